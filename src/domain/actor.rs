//! Who acts. Only `service` makes actors, from a verified token or through the controller's door.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A user's administrative role. Path rules govern records; administration goes by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    User {
        /// The account.
        id: Uuid,
        /// Its canonical name.
        name: String,
        /// Its role.
        role: Role,
        /// The groups that it belongs to.
        groups: Vec<String>,
    },
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
            Self::User { .. } => "user",
            Self::ServiceAccount { .. } => "serviceaccount",
            Self::Namespace { .. } => "namespace",
            Self::System => "system",
        }
    }

    /// What tells this actor from any other of its kind: a user id, a uid.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::User { id, .. } => id.to_string(),
            Self::ServiceAccount { uid, .. } => uid.clone(),
            Self::Namespace { namespace, .. } => namespace.uid.clone(),
            Self::System => "system".to_owned(),
        }
    }

    /// The name that people know it by.
    #[must_use]
    pub fn display(&self) -> String {
        match self {
            Self::User { name, .. } => name.clone(),
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
}
