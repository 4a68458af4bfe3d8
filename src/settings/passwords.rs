//! Settings of passwords.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which passwords people may choose: long ones that nobody else knows, without rules on what they are made of (NIST SP 800-63B).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordPolicy {
    /// Characters that a new password needs, 8 to 64; there are no rules on what it is made of.
    pub min_length: u32,
    /// Hashes of stolen passwords that nobody may choose: SHA-1 or SHA-256 in hexadecimal, one a line, in the order of hashes, a `:COUNT`
    /// behind each or not, as Have I Been Pwned publishes them. It is searched on disk, not loaded, and may be replaced while the process
    /// runs.
    pub breached_file: Option<PathBuf>,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            min_length: 15,
            breached_file: None,
        }
    }
}
