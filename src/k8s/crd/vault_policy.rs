//! `VaultPolicy`: who may do what with which records. Its form is that of a policy document in the API.

#![expect(clippy::duplicated_attributes, reason = "each printer column has a type_ of its own")]

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel;
use super::condition::Condition;

/// Subjects, rules and an optional end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "aethervault.io",
    version = "v1alpha1",
    kind = "VaultPolicy",
    plural = "vaultpolicies",
    shortname = "vp",
    category = "aethervault",
    namespaced,
    status = "VaultPolicyStatus",
    derive = "PartialEq",
    doc = "Allows and denies access to records of the vault. In the operator's own namespace it reaches the cluster's prefix, in any other namespace only that namespace's records.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct VaultPolicySpec {
    /// Whom it concerns; any of them.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub subjects: Vec<PolicySubject>,
    /// What it allows and denies. A deny wins over every allow, whatever the order.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<PolicyRule>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires_at: Option<Timestamp>,
}

/// Whom a policy concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!(self.kind in ['User', 'Group', 'Role']) || (has(self.name) && !has(self.namespace) && !has(self.matchLabels))"
    ).message("a subject of kind User, Group or Role has a name, and neither namespace nor matchLabels"),
    validation = Rule::new(
        "self.kind != 'ServiceAccount' || (has(self.name) && has(self.namespace) && !has(self.matchLabels))"
    ).message("a subject of kind ServiceAccount has a namespace and a name (or '*' for all of the namespace), and no matchLabels"),
    validation = Rule::new(
        "self.kind != 'Namespace' || ((has(self.name) || has(self.matchLabels)) && !has(self.namespace))"
    ).message("a subject of kind Namespace has a name (or '*'), matchLabels or both, and no namespace"),
    validation = Rule::new(
        "self.kind != 'Everyone' || (!has(self.name) && !has(self.namespace) && !has(self.matchLabels))"
    ).message("a subject of kind Everyone has nothing else"),
)]
pub struct PolicySubject {
    /// User, Group, Role, ServiceAccount, Namespace or Everyone.
    pub kind: SubjectKind,
    /// The name. `*` stands for every service account of a namespace, or for every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// The namespace of a service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Labels that a namespace must carry, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, super::bounded::LabelValue>>", extend("minProperties" = 1, "maxProperties" = 16))]
    #[x_kube(validation = cel::qualified_names(), validation = cel::label_values())]
    pub match_labels: Option<BTreeMap<String, String>>,
}

/// The kinds of subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// A person, by canonical name.
    User,
    /// The members of a group.
    Group,
    /// Everyone of an administrative role.
    Role,
    /// A workload that logged in with its service account.
    ServiceAccount,
    /// The controller acting for the resources of a namespace.
    Namespace,
    /// Every actor.
    Everyone,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// `allow` or `deny`.
    pub effect: RuleEffect,
    /// Path patterns; any of them. `*` is one segment or part of one, `**` any number of segments, `~/` this namespace's own root, and
    /// `{namespace}`, `{serviceaccount}` and `{user.id}` stand for who asks.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(
        validation = Rule::new("self.all(p, p.matches('^(~|[A-Za-z0-9*{][A-Za-z0-9._@+=~*{}-]*)(/[A-Za-z0-9*{][A-Za-z0-9._@+=~*{}-]*)*$'))")
            .message(
                "a pattern is a path such as 'shared/pki/*' or '~/**': segments of letters, digits, . _ @ + = ~ - and *, or a variable such \
                 as {namespace}, joined by single '/'"
            )
    )]
    pub paths: Vec<String>,
    /// Capabilities; any of them.
    #[schemars(length(min = 1, max = 9), extend("x-kubernetes-list-type" = "set"))]
    pub capabilities: Vec<RuleCapability>,
}

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleEffect {
    /// Grants, unless any deny matches.
    Allow,
    /// Forbids, whatever else matches.
    Deny,
}

/// What may be done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleCapability {
    /// See that it exists.
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

/// What the controller found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultPolicyStatus {
    /// The generation that the controller looked at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Confined, Ready.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
