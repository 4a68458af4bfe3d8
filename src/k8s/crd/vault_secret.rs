//! `VaultSecret`: binds one record of the vault to one Kubernetes Secret, and may say where the record's content comes from.
//!
//! Nothing has a default in the schema: what a user applied is what the API server keeps, so GitOps tools see no difference.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cel;
use super::condition::Condition;
use super::source::Source;
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
    validation = Rule::new(
        "!has(self.spec.source) || !has(self.spec.source.importFrom) || !has(self.spec.source.importFrom.mode) || \
         self.spec.source.importFrom.mode != 'Follow' || self.spec.source.importFrom.secretName != \
         (has(self.spec.target) && has(self.spec.target.name) ? self.spec.target.name : self.metadata.name)"
    )
    .message("importFrom with mode Follow names the Secret that this resource writes, and would follow itself; set another target.name, or use mode Once"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = cel::class_stays(),
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
    /// The controller that looks after this resource, where a cluster has several: its `controller.class`. Absent means the one without a
    /// class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub controller_class: Option<String>,
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
    #[x_kube(validation = cel::secret_name())]
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

/// One key of the Secret; exactly one of `from`, `template` and `file`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.from), has(self.template), has(self.file)].filter(x, x).size() == 1")
        .message("give exactly one of: from, template, file")
)]
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
    /// A whole record written as one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileFrom>,
}

/// A record as one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileFrom {
    /// How it is written.
    pub format: FileFormat,
    /// The record; absent means the own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = cel::path_alphabet(), validation = cel::path_bounds())]
    pub path: Option<String>,
    /// A version to stay at; absent means the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<i64>,
    /// The keys of the record that go in; absent means all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<super::bounded::KeyText>>", length(min = 1, max = 64), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = cel::key_list())]
    pub keys: Option<Vec<String>>,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// `KEY='value'` lines, as shells, Docker Compose and dotenv libraries read them.
    Dotenv,
    /// A JSON object.
    Json,
    /// A YAML mapping.
    Yaml,
    /// `key=value` lines, as `java.util.Properties` reads them.
    Properties,
    /// Docker's credentials, of the keys `registry`, `username`, `password` and, if there is one, `email`.
    DockerConfigJson,
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
    /// How the names of keys change, one rule after the other, before they get the prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub rename: Option<Vec<Rename>>,
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

/// A rule for names of keys; exactly one of `stripPrefix`, `replace` and `case`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.stripPrefix), has(self.replace), has(self.case)].filter(x, x).size() == 1")
        .message("a rule of rename has exactly one of: stripPrefix, replace, case"),
    validation = Rule::new("has(self.replace) == has(self.with)").message("replace and with go together; with may be empty")
)]
pub struct Rename {
    /// What is taken from the front of names that begin with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub strip_prefix: Option<String>,
    /// What is replaced wherever it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub replace: Option<String>,
    /// What stands there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub with: Option<String>,
    /// Upper or Lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Case>,
}

/// The case of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Case {
    /// `DB_HOST`.
    Upper,
    /// `db_host`.
    Lower,
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
    /// When the generated values are made anew next, by `source.generate.rotation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub next_rotation_time: Option<Time>,
    /// The records that the Secret was made of, with their versions, where those are more than the own record alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub records: Option<Vec<CarriedRecord>>,
    /// The keys that cannot be made, each with its own reason; then the Secret is not written. Absent when every key can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub keys: Option<Vec<KeyAtFault>>,
}

/// A record that the Secret was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarriedRecord {
    /// Its path.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Its version.
    pub version: i64,
}

/// A key of the Secret that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyAtFault {
    /// The key.
    #[schemars(length(max = 253))]
    pub key: String,
    /// Why, in one word, as in the conditions.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What to do about it.
    #[schemars(length(max = 2048))]
    pub message: String,
}

impl VaultSecretStatus {
    /// The most entries of `records` and of `keys`.
    pub const LISTED: usize = 64;
}
