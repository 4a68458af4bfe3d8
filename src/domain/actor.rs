//! Who acts. Only `service` makes actors, from a verified token or through the controller's door.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::policy::KeyScope;

/// A user's administrative role. Path rules govern records; administration goes by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Administers everything and holds every capability on records; a deny still binds it.
    Admin,
    /// Reads and verifies the audit log, nothing else.
    Auditor,
    /// Has their own root and what policies grant.
    User,
}

impl Role {
    /// As stored and as shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::User => "user",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Admin, Self::Auditor, Self::User]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// Whoever asks, with everything that policy may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person (or a machine user), logged in.
    User(UserIdentity),
    /// A program with an API key: its owner's rights, within the key's scopes only.
    ApiKey(ApiKeyIdentity),
    /// A workload, by its service account.
    ServiceAccount {
        /// Prefix of its cluster, such as `k8s`.
        cluster: String,
        /// Its namespace.
        namespace: NamespaceName,
        /// Its name.
        name: String,
        /// The service account's uid.
        uid: String,
    },
    /// The controller acting for a namespace: that namespace's rights and nothing more.
    Namespace {
        /// Prefix of its cluster, such as `k8s`.
        cluster: String,
        /// The namespace, with the labels it has now.
        namespace: NamespaceName,
    },
    /// The process itself: migrations of keys, clean-up. It never reads values.
    System,
}

/// A user as policy sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentity {
    /// The account.
    pub id: Uuid,
    /// Its canonical name.
    pub name: String,
    /// When the name was last retired, if somebody else bore it before: what was written until then means them (R40).
    pub name_since: Option<Timestamp>,
    /// Its role.
    pub role: Role,
    /// The groups that it belongs to.
    pub groups: Vec<GroupName>,
}

/// A group's name, as its members bear it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupName {
    /// The canonical name.
    pub name: String,
    /// When a group of this name was last removed: what was written until then means that one (R40).
    pub since: Option<Timestamp>,
}

/// An API key as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyIdentity {
    /// The key. Policies name it by this alone: a key made again under the same name is another (R40).
    pub id: Uuid,
    /// The name that its owner gave it.
    pub name: String,
    /// Whose rights it acts with.
    pub owner: UserIdentity,
    /// What it may do at most; any of them.
    pub scopes: Vec<KeyScope>,
    /// Whether it may use its owner's role for administration.
    pub administers: bool,
}

/// A namespace as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceName {
    /// Its name.
    pub name: String,
    /// Its uid: another namespace of the same name is somebody else (R40).
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Actor {
    /// The kind, as audit entries and logs name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::ApiKey(_) => "apikey",
            Self::ServiceAccount { .. } => "serviceaccount",
            Self::Namespace { .. } => "namespace",
            Self::System => "system",
        }
    }

    /// What tells this actor from any other of its kind: a user id, a uid.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::User(user) => user.id.to_string(),
            Self::ApiKey(key) => key.id.to_string(),
            Self::ServiceAccount { uid, .. } => uid.clone(),
            Self::Namespace { namespace, .. } => namespace.uid.clone(),
            Self::System => "system".to_owned(),
        }
    }

    /// The name that people know it by.
    #[must_use]
    pub fn display(&self) -> String {
        match self {
            Self::User(user) => user.name.clone(),
            Self::ApiKey(key) => format!("{}/{}", key.owner.name, key.name),
            Self::ServiceAccount {
                cluster,
                namespace,
                name,
                ..
            } => format!("{cluster}/{}/{name}", namespace.name),
            Self::Namespace { cluster, namespace } => format!("{cluster}/{}", namespace.name),
            Self::System => "system".to_owned(),
        }
    }

    /// The account behind it: a user, or the owner of an API key.
    #[must_use]
    pub fn user(&self) -> Option<&UserIdentity> {
        match self {
            Self::User(user) => Some(user),
            Self::ApiKey(key) => Some(&key.owner),
            Self::ServiceAccount { .. } | Self::Namespace { .. } | Self::System => None,
        }
    }

    /// The role that it may use for administration. An API key has its owner's only if it says so.
    #[must_use]
    pub fn administrative_role(&self) -> Option<Role> {
        match self {
            Self::User(user) => Some(user.role),
            Self::ApiKey(key) => key.administers.then_some(key.owner.role),
            Self::ServiceAccount { .. } | Self::Namespace { .. } | Self::System => None,
        }
    }
}
