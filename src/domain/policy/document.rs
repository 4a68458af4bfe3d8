//! A policy as it is written and stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::capability::Capability;
use super::condition::Conditions;

/// Subjects, rules and an optional end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyDocument {
    /// Whom it concerns; any of them.
    pub subjects: Vec<Subject>,
    /// What it allows and denies.
    pub rules: Vec<Rule>,
    /// When it ends. From then on neither its allows nor its denies count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// One rule: an effect on capabilities over paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicyRule")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Allow or deny.
    pub effect: Effect,
    /// Path patterns; any of them.
    pub paths: Vec<String>,
    /// Capabilities; any of them.
    pub capabilities: Vec<Capability>,
    /// The rule counts only where all of these hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// The rule does not count where all of these hold: "denied, unless the second factor is fresh".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<Conditions>,
}

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Grants, unless any deny matches.
    Allow,
    /// Forbids, whatever else matches.
    Deny,
}

/// Whom a policy concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PolicySubject")]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum Subject {
    /// A user, by canonical name.
    User {
        /// The name.
        name: String,
    },
    /// The members of a group.
    Group {
        /// The group's name.
        name: String,
    },
    /// Everyone of a role.
    Role {
        /// `admin`, `auditor` or `user`.
        name: String,
    },
    /// An API key, by id.
    ApiKey {
        /// The key's id.
        id: Uuid,
    },
    /// A service account, or every one of a namespace with `*`.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name, or `*`.
        name: String,
    },
    /// The controller acting for a namespace, by name or by labels.
    Namespace {
        /// The namespace's name, or `*`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Labels that it must carry, all of them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", rename = "matchLabels")]
        match_labels: BTreeMap<String, String>,
    },
    /// Every actor.
    Everyone {},
}
