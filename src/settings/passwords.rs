//! Settings of passwords.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which passwords people may choose: long ones that nobody else knows, without rules on what they are made of (NIST SP 800-63B).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordPolicy {
    /// Characters at least: 8 to 64.
    pub min_length: u32,
    /// Hashes of breached passwords, which nobody may choose: SHA-1 or SHA-256 in hexadecimal, one a line, sorted.
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
