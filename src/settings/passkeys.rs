//! Settings of passkeys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom passkeys are for. A passkey is bound to its domain for its life: another one makes all of them worthless.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Passkeys {
    /// The domain that passkeys are for, such as `vault.example.org`; without one there are none. Passkeys are bound to it for their life.
    pub rp_id: Option<String>,
    /// Origins of the pages at that domain, or below it, that may use them.
    pub origins: Vec<String>,
    /// What browsers call this vault: 1 to 64 characters.
    pub name: String,
}

impl Default for Passkeys {
    fn default() -> Self {
        Self {
            rp_id: None,
            origins: Vec::new(),
            name: "Aether Vault".to_owned(),
        }
    }
}
