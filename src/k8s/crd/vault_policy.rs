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
#[x_kube(validation = cel::class_stays())]
pub struct VaultPolicySpec {
    /// The controller that puts this policy in force, where a cluster has several: its `controller.class`. Absent means the one without a
    /// class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub controller_class: Option<String>,
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
    /// Tell in the status what this would change, without taking effect. What was in force from this resource before stays so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<bool>,
}

/// Whom a policy concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!(self.kind in ['User', 'Group', 'Role']) || (has(self.name) && !has(self.namespace) && !has(self.matchLabels) && !has(self.id))"
    ).message("a subject of kind User, Group or Role has a name, and neither namespace nor matchLabels"),
    validation = Rule::new(
        "self.kind != 'ServiceAccount' || (has(self.name) && has(self.namespace) && !has(self.matchLabels) && !has(self.id))"
    ).message("a subject of kind ServiceAccount has a namespace and a name (or '*' for all of the namespace), and no matchLabels"),
    validation = Rule::new(
        "self.kind != 'Namespace' || ((has(self.name) || has(self.matchLabels)) && !has(self.namespace) && !has(self.id))"
    ).message("a subject of kind Namespace has a name (or '*'), matchLabels or both, and no namespace"),
    validation = Rule::new(
        "self.kind != 'Everyone' || (!has(self.name) && !has(self.namespace) && !has(self.matchLabels) && !has(self.id))"
    ).message("a subject of kind Everyone has nothing else"),
    validation = Rule::new(
        "self.kind != 'ApiKey' || (has(self.id) && !has(self.name) && !has(self.namespace) && !has(self.matchLabels))"
    ).message("a subject of kind ApiKey has the key's id, and nothing else"),
)]
pub struct PolicySubject {
    /// User, Group, Role, ApiKey, ServiceAccount, Namespace or Everyone.
    pub kind: SubjectKind,
    /// The name. `*` stands for every service account of a namespace, or for every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// The id of an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))]
    pub id: Option<String>,
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
    /// A program, by the id of its API key.
    ApiKey,
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
#[x_kube(
    validation = Rule::new(
        "self.effect != 'deny' || !has(self.conditions) || !has(self.conditions.secondFactorWithin)"
    ).message("a deny is lifted by a second factor under 'unless'; under 'conditions' it would begin with one"),
    validation = Rule::new(
        "self.effect != 'allow' || !has(self.unless) || !has(self.unless.secondFactorWithin)"
    ).message("an allow asks for a second factor under 'conditions'; under 'unless' it would end with one"),
)]
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
    /// The rule counts only where all of these hold. What cannot be told counts against access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<RuleConditions>,
    /// The rule does not count where all of these hold: "denied, unless the second factor is fresh".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<RuleConditions>,
}

/// Circumstances, all of them together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct RuleConditions {
    /// The second factor was given within this time, such as `15m`, from `1s` to `30d`. Resources, workloads and API keys have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), regex(pattern = r"^[0-9]{1,7}[smhd]$"))]
    pub second_factor_within: Option<String>,
    /// The client's address lies in one of these networks, in CIDR form. The controller has no client address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 43), regex(pattern = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")), extend("x-kubernetes-list-type" = "set"))]
    pub networks: Option<Vec<String>>,
    /// The time of day and the day of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window: Option<RuleWindow>,
    /// From then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub not_before: Option<Timestamp>,
    /// Until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires_at: Option<Timestamp>,
}

/// Days and hours of a week. A window that ends before it begins goes on into the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleWindow {
    /// The days on which it begins; every day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub days: Option<Vec<RuleDay>>,
    /// When it begins, such as `08:00`.
    #[schemars(length(max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: String,
    /// When it ends, such as `18:30` or `24:00`.
    #[schemars(length(max = 5), regex(pattern = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    pub to: String,
    /// The time zone by its IANA name, such as `Europe/Berlin`; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "they are the days of the week")]
pub enum RuleDay {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
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
    /// Accepted, Confined, Conflicts, Ready.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How many users, keys, workloads and namespaces the policy concerned when the controller looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<i64>,
    /// How many records it concerned then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<i64>,
    /// What it would change, with `spec.preview`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<PolicyPreview>,
}

/// What a policy would change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPreview {
    /// For how many pairs of actor and record something becomes possible.
    pub opens: i64,
    /// For how many something is no longer possible.
    pub closes: i64,
    /// The first of them, one a line.
    #[serde(default)]
    #[schemars(length(max = 20), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub changes: Vec<String>,
    /// Whether a bound was reached, so that there may be more.
    pub cut_off: bool,
}
