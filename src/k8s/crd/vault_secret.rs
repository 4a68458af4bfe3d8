//! `VaultSecret`: binds one record of the vault to one Kubernetes Secret, and may say where the record's content comes from.
//!
//! Nothing has a default in the schema: what a user applied is what the API server keeps, so GitOps tools see no difference.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel;
use super::condition::Condition;
use super::vault_policy::RuleWindow;

/// What a `VaultSecret` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "aethervault.io",
    version = "v1alpha1",
    kind = "VaultSecret",
    plural = "vaultsecrets",
    shortname = "vs",
    category = "aethervault",
    namespaced,
    status = "VaultSecretStatus",
    derive = "PartialEq",
    doc = "Binds one record of the vault to one Kubernetes Secret.",
    selectable = ".spec.path",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.recordVersion"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Path", type_ = "string", json_path = ".status.path", priority = 1),
    validation = Rule::new("has(self.spec.path) || self.metadata.name.size() <= 128")
        .message("without spec.path the name is a path segment, which has at most 128 characters; shorten the name or set spec.path"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!has(oldSelf.source) || !has(self.source) || \
         (has(self.path) == has(oldSelf.path) && (!has(self.path) || self.path == oldSelf.path))"
    )
    .message(
        "path is immutable while source is set, since the values made for the old path would be made again; remove source first, \
         or create another VaultSecret"
    )
)]
pub struct VaultSecretSpec {
    /// The record: `~/name` below the namespace's own root, or an absolute path. Absent means `~/` and this resource's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = cel::path_alphabet(), validation = cel::path_bounds())]
    pub path: Option<String>,
    /// Where the record's content comes from. Absent means that people or programs write it through the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Keys of the Secret, one by one. Without `data` and `dataFrom`, every key of the record appears under its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub data: Option<Vec<DataItem>>,
    /// Records whose keys all appear in the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub data_from: Option<Vec<DataFrom>>,
    /// The Secret. Absent means one of this resource's name, type Opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What becomes of the record when this resource is deleted: Retain (the default), or SoftDelete, after which it can be brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_policy: Option<RecordPolicy>,
    /// Whether the workloads that use the Secret are restarted when its data changes. Absent means no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// While true, neither the record nor the Secret is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Where a record's content comes from; exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.generate)").message("source needs exactly one of: generate"))]
pub struct Source {
    /// Values that are made once, by check-and-set, and kept in the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
}

/// Generated values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generate {
    /// A generator for each key. A key that exists is never made again; adding one here adds it to the record.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    #[x_kube(validation = cel::key_names())]
    pub keys: BTreeMap<String, Generator>,
}

/// How one value is made; exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.password), has(self.bytes), has(self.uuid)].filter(x, x).size() == 1")
        .message("a generated key needs exactly one of: password, bytes, uuid")
)]
pub struct Generator {
    /// Random characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordGenerator>,
    /// Random bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<BytesGenerator>,
    /// A random UUID (version 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<UuidGenerator>,
}

/// Random characters, of each chosen class at least one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.symbolSet) || (has(self.symbols) && self.symbols)")
        .message("symbolSet is given but symbols is not true; set it, or leave symbolSet out"),
    validation = Rule::new(
        "!has(self.lower) || self.lower || !has(self.upper) || self.upper || !has(self.digits) || self.digits || \
         (has(self.symbols) && self.symbols)"
    )
    .message("a password needs at least one of lower, upper, digits, symbols")
)]
pub struct PasswordGenerator {
    /// How many; absent means 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 1024))]
    pub length: Option<u32>,
    /// Lower-case letters; absent means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<bool>,
    /// Upper-case letters; absent means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<bool>,
    /// Digits; absent means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<bool>,
    /// Symbols; absent means no, because they need escaping in URLs and configuration files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbols: Option<bool>,
    /// Which symbols: ASCII punctuation, each once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub symbol_set: Option<String>,
    /// Leaves out `0 O 1 I l |`; absent means no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_ambiguous: Option<bool>,
}

/// Random bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BytesGenerator {
    /// How many, before they are encoded; absent means 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub length: Option<u32>,
    /// How they are written; absent means hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<BytesEncoding>,
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BytesEncoding {
    /// Lower-case hexadecimal text.
    Hex,
    /// Base64 text with padding.
    Base64,
    /// Base64 text for URLs and file names, without padding.
    Base64url,
    /// The bytes themselves.
    Raw,
}

/// A random UUID; it has no options.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UuidGenerator {}

/// The Secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.creationPolicy) && self.creationPolicy == 'Merge' && (has(self.type) || (has(self.immutable) && self.immutable)))")
        .message("with creationPolicy Merge the Secret belongs to somebody else: remove type and immutable, or use creationPolicy Own"),
    validation = Rule::new("!(has(self.creationPolicy) && self.creationPolicy == 'Merge' && (has(self.adopt) || (has(self.ownerReference) && self.ownerReference)))")
        .message("with creationPolicy Merge the Secret stays somebody else's: remove adopt and ownerReference, or use creationPolicy Own"),
    validation = Rule::new("!(has(self.ownerReference) && self.ownerReference && has(self.deletionPolicy) && self.deletionPolicy == 'Retain')")
        .message("with ownerReference the cluster deletes the Secret with this resource: remove ownerReference, or deletionPolicy Retain")
)]
pub struct Target {
    /// Its name; absent means this resource's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$') && !self.contains('..') && !self.contains('.-') && !self.contains('-.')")
            .message("a Secret's name holds only lower-case letters, digits, '-' and '.', and each part starts and ends with a letter or a digit")
    )]
    pub name: Option<String>,
    /// Its type; absent means Opaque. Changing it makes the Secret anew, since Kubernetes keeps the type of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("!(self in ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token'])")
            .message("Secrets of this type grant access to the cluster itself and cannot be made from the vault; use another type, such as Opaque")
    )]
    pub secret_type: Option<String>,
    /// Labels to set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, super::bounded::LabelValue>", extend("maxProperties" = 64))]
    #[x_kube(validation = cel::not_reserved(), validation = cel::qualified_names(), validation = cel::label_values())]
    pub labels: BTreeMap<String, String>,
    /// Annotations to set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, super::bounded::AnnotationValue>", extend("maxProperties" = 64))]
    #[x_kube(validation = cel::not_reserved(), validation = cel::qualified_names())]
    pub annotations: BTreeMap<String, String>,
    /// Whether kubelets may rely on it never changing in place; a change makes the Secret anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// Own (the default): the Secret holds exactly this data. Merge: its keys are added to a Secret that somebody else owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_policy: Option<CreationPolicy>,
    /// What becomes of the Secret when this resource is deleted: Delete (the default) or Retain. It is for that event alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// What becomes of the Secret when the record may not be read any more or is gone: Keep (the default) stops updating it, Delete
    /// removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_revoked: Option<OnRevoked>,
    /// Whose Secrets of this name may be taken over without an annotation on each; absent means nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adopt>,
    /// Makes the Secret show below this resource in tree views, by an owner reference. The cluster then deletes the Secret with this
    /// resource, also when the definition of `VaultSecret` is deleted; absent means no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_reference: Option<bool>,
}

/// Whose Secrets may be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Adopt {
    /// Those that External Secrets Operator made and that no `ExternalSecret` owns any more.
    ExternalSecrets,
}

/// Who owns the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum CreationPolicy {
    /// The controller does; foreign keys are removed.
    #[default]
    Own,
    /// Somebody else does; only this resource's keys are touched.
    Merge,
}

/// What becomes of the Secret when its `VaultSecret` is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It goes too.
    #[default]
    Delete,
    /// It stays.
    Retain,
}

/// What becomes of the Secret when access is lost or the record is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnRevoked {
    /// It stays as it was last written.
    #[default]
    Keep,
    /// It goes; workloads that start without it fail.
    Delete,
}

/// What becomes of the record when its `VaultSecret` is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum RecordPolicy {
    /// It stays.
    #[default]
    Retain,
    /// Its current version is soft-deleted, unless another `VaultSecret` uses it.
    SoftDelete,
}

/// Restarts of the workloads that use the Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode == 'Auto' || (!has(self.cooldown) && !has(self.window))")
        .message("cooldown and window are for mode Auto: remove them, or set mode to Auto")
)]
pub struct Restart {
    /// Auto restarts Deployments, StatefulSets, DaemonSets and Argo Rollouts of the namespace that use the Secret, one after another, once for
    /// each change of its data. Off restarts nothing.
    pub mode: RestartMode,
    /// The least time between two restarts of a workload: a number with `s`, `m`, `h` or `d`, up to `7d`; absent means `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), regex(pattern = r"^[0-9]{1,7}[smhd]$"))]
    pub cooldown: Option<String>,
    /// When restarts may happen; absent means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<RuleWindow>,
}

/// Whether workloads are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartMode {
    /// When the data of the Secret changes.
    Auto,
    /// Never.
    Off,
}

/// One key of the Secret; exactly one of `from` and `template`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.from) != has(self.template)").message("give exactly one of: from, template"))]
pub struct DataItem {
    /// The key in the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::key_name())]
    pub key: String,
    /// A value taken from a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ValueFrom>,
    /// A text with values filled in: `{{ data.password }}` is a key of the own record, `{{ records["shared/x"].data.key }}` of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub template: Option<String>,
}

/// A value of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// The record; absent means the own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = cel::path_alphabet(), validation = cel::path_bounds())]
    pub path: Option<String>,
    /// Its key.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = cel::key_name())]
    pub key: String,
    /// A version to stay at; absent means the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<i64>,
    /// A part of a value that is JSON: names of properties and numbers of list items from 0, joined by dots, such as `db.hosts.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("!self.startsWith('.') && !self.endsWith('.') && !self.contains('..')")
            .message("a property is names joined by single dots, such as 'db.hosts.0'")
    )]
    pub property: Option<String>,
    /// How the text that is found is decoded; absent means not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode: Option<Decoding>,
}

/// How text is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decoding {
    /// Standard base64.
    Base64,
}

/// A record whose keys all appear in the Secret; `{}` is the own one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataFrom {
    /// The record; absent means the own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = cel::path_alphabet(), validation = cel::path_bounds())]
    pub path: Option<String>,
    /// What each key gets in front, such as `SMTP_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = cel::key_name())]
    pub prefix: Option<String>,
    /// A version to stay at; absent means the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<i64>,
}

/// What the controller found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultSecretStatus {
    /// The generation that the controller looked at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Authorized, Stored, Synced, Ready, Reconciling, Stalled; with `restart` also Restarted.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The record's path, written out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub path: Option<String>,
    /// The version of the record that the Secret carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_version: Option<i64>,
    /// The Secret's name, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub secret_name: Option<String>,
}
