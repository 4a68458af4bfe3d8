//! What may be done with a record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A capability on records. Nothing implies anything else: who may read may not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// See that it exists: in lists, and its metadata.
    List,
    /// Read its values.
    Read,
    /// Write its first version.
    Create,
    /// Write a further version.
    Update,
    /// Soft-delete versions.
    Delete,
    /// Bring soft-deleted versions back.
    Undelete,
    /// Destroy versions for good.
    Destroy,
    /// Copy it into a Kubernetes Secret.
    Sync,
    /// Let a resource generate its values.
    Generate,
}

impl Capability {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::List,
        Self::Read,
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Undelete,
        Self::Destroy,
        Self::Sync,
        Self::Generate,
    ];

    /// As written in policies and audit entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Destroy => "destroy",
            Self::Sync => "sync",
            Self::Generate => "generate",
        }
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySet(u16);

impl CapabilitySet {
    /// Whether `capability` is in the set.
    #[must_use]
    pub fn holds(self, capability: Capability) -> bool {
        self.0 & Self::bit(capability) != 0
    }

    fn bit(capability: Capability) -> u16 {
        1 << capability as u16
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(
            capabilities
                .into_iter()
                .fold(0, |bits, capability| bits | Self::bit(capability)),
        )
    }
}
