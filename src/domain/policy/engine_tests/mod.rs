//! Tests of the engine, and what they are made with.

mod conditions;
pub(in crate::domain::policy) mod properties;
mod rules;

use std::collections::BTreeMap;

use super::*;
use crate::domain::actor::{ApiKeyIdentity, GroupName, NamespaceName, UserIdentity};
use crate::domain::policy::{KeyScope, ScopeDocument};

pub(in crate::domain::policy) const NOW: Timestamp = Timestamp::UNIX_EPOCH;

pub(in crate::domain::policy) fn identity(name: &str, role: Role, groups: &[&str]) -> UserIdentity {
    let group = |name: &&str| GroupName {
        name: (*name).into(),
        since: None,
    };
    UserIdentity {
        id: Uuid::from_u128(7),
        name: name.into(),
        name_since: None,
        role,
        groups: groups.iter().map(group).collect(),
    }
}

pub(in crate::domain::policy) fn user(name: &str, role: Role, groups: &[&str]) -> Actor {
    Actor::User(identity(name, role, groups))
}

/// A key of `owner` with one scope over `capabilities`.
pub(in crate::domain::policy) fn api_key(
    id: u128,
    owner: UserIdentity,
    paths: &[&str],
    capabilities: &[Capability],
) -> Actor {
    let scope = ScopeDocument {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        capabilities: capabilities.to_vec(),
    };
    Actor::ApiKey(ApiKeyIdentity {
        id: Uuid::from_u128(id),
        name: "deploy".into(),
        owner,
        scopes: KeyScope::compile(&[scope]).unwrap(),
        administers: false,
    })
}

pub(in crate::domain::policy) fn now() -> Circumstances {
    Circumstances::at(NOW)
}

fn named(name: &str) -> NamespaceName {
    NamespaceName {
        name: name.into(),
        uid: format!("uid-{name}"),
        labels: BTreeMap::from([("team".into(), name.into())]),
    }
}

pub(in crate::domain::policy) fn namespace(cluster: &str, name: &str) -> Actor {
    Actor::Namespace {
        cluster: cluster.into(),
        namespace: named(name),
    }
}

pub(in crate::domain::policy) fn account(cluster: &str, ns: &str, name: &str) -> Actor {
    Actor::ServiceAccount {
        cluster: cluster.into(),
        namespace: named(ns),
        name: name.into(),
        uid: name.into(),
    }
}

pub(in crate::domain::policy) fn path(text: &str) -> RecordPath {
    RecordPath::parse(text).unwrap()
}

pub(in crate::domain::policy) fn policy(name: &str, scope: &str, document: &str) -> StoredPolicy {
    StoredPolicy {
        id: Uuid::from_u128(name.bytes().fold(0, |id, b| id << 8 | u128::from(b))),
        name: name.into(),
        cluster: None,
        scope: PathPrefix::parse(scope).unwrap(),
        written_at: NOW,
        document: serde_json::from_str(document).unwrap(),
    }
}

/// A policy of one rule for one subject.
pub(in crate::domain::policy) fn simple(
    name: &str,
    subject: &str,
    effect: &str,
    pattern: &str,
    capability: &str,
) -> StoredPolicy {
    let document = format!(
        r#"{{"subjects": [{subject}], "rules": [{{"effect": "{effect}", "paths": ["{pattern}"], "capabilities": ["{capability}"]}}]}}"#
    );
    policy(name, "", &document)
}

pub(in crate::domain::policy) const EVERYONE: &str = r#"{"kind": "Everyone"}"#;

fn decide(policies: Vec<StoredPolicy>, actor: &Actor, capability: Capability, at: &str) -> Decision {
    PolicySnapshot::compile(1, policies).decide(actor, capability, &path(at), &now())
}
