//! Roots: the first one or two segments of every path. Key lineages, quotas and built-in rights hang on a root.

use std::collections::BTreeSet;

use super::path::{PathPrefix, RecordPath};

/// The first segment of the roots that belong to users.
pub const USERS: &str = "users";

/// The kind of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// `<cluster prefix>/<namespace>`.
    Namespace,
    /// `users/<user id>`.
    User,
    /// Any other first segment; reachable through policies only.
    Shared,
}

impl RootKind {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::User => "user",
            Self::Shared => "shared",
        }
    }
}

/// The root that a path belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RootPath {
    /// Its kind.
    pub kind: RootKind,
    path: String,
}

/// A path that lies directly under a cluster's prefix or under `users`, where only roots are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path ends at a root; a record lies below it, such as 'k8s/shop/orders-db'")]
pub struct NoRecordHere;

impl RootPath {
    /// The root of `path`, given the prefixes of the registered clusters (the only source of prefixes).
    ///
    /// # Errors
    /// [`NoRecordHere`] if the path itself is a root.
    pub fn of(path: &RecordPath, cluster_prefixes: &BTreeSet<String>) -> Result<Self, NoRecordHere> {
        let first = path.segments().next().unwrap_or_default();
        let (kind, segments) = if first == USERS {
            (RootKind::User, 2)
        } else if cluster_prefixes.contains(first) {
            (RootKind::Namespace, 2)
        } else {
            (RootKind::Shared, 1)
        };
        let path = path.head(segments).ok_or(NoRecordHere)?.to_owned();
        Ok(Self { kind, path })
    }

    /// The root's path, without a trailing `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.path
    }
}

/// The prefix that a namespace's own records lie under: what `~/` in a `VaultSecret` stands for.
#[must_use]
pub fn namespace_prefix(cluster: &str, namespace: &str) -> Option<PathPrefix> {
    PathPrefix::parse(&format!("{cluster}/{namespace}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(path: &str) -> Result<(RootKind, String), NoRecordHere> {
        let prefixes = BTreeSet::from(["k8s".to_owned(), "k8s-eu".to_owned()]);
        RootPath::of(&RecordPath::parse(path).unwrap(), &prefixes).map(|root| (root.kind, root.as_str().to_owned()))
    }

    #[test]
    fn the_root_follows_the_registered_clusters() {
        assert_eq!(root("k8s/shop/db"), Ok((RootKind::Namespace, "k8s/shop".into())));
        assert_eq!(root("k8s-eu/shop/a/b"), Ok((RootKind::Namespace, "k8s-eu/shop".into())));
        assert_eq!(root("users/7/mail"), Ok((RootKind::User, "users/7".into())));
        assert_eq!(root("shared/pki/ca"), Ok((RootKind::Shared, "shared".into())));
        assert_eq!(root("k8s-us/shop/db"), Ok((RootKind::Shared, "k8s-us".into())));
    }

    #[test]
    fn a_root_is_no_record() {
        assert_eq!(root("k8s/shop"), Err(NoRecordHere));
        assert_eq!(root("users/7"), Err(NoRecordHere));
    }
}
