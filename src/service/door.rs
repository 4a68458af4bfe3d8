//! The controller's door to the vault: everything that `k8s` may ask of `service`.
//!
//! A door belongs to one registered cluster. The controller names a namespace of that cluster and the resource it works for; the door
//! makes the actor, so the controller cannot act as anyone else. A remote door can stand in later without a change to `k8s`.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::context::ResourceOrigin;
use super::error::Result;
pub use super::reviewer::{ClusterIssuer, ReviewError, Reviewed, SeenNamespace, TokenReviewer};
pub use crate::crypto::certificate::{PairError, check_pair};
use crate::domain::actor::NamespaceName;
use crate::domain::path::{PathPrefix, RecordPath};
use crate::domain::policy::{Effect, PolicyDocument};
use crate::domain::record::{KeyName, RecordData, Version, VersionState};
use crate::domain::source::{GenerateSource, SourceState};
use crate::domain::sync::restart::{Remembered, WorkloadId};

/// For whom the controller asks: a namespace of its cluster, and the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The namespace, with uid and labels as they are now.
    pub namespace: NamespaceName,
    /// The resource that it works for.
    pub resource: ResourceOrigin,
}

/// A record, or one version of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordRef {
    /// The path.
    pub path: RecordPath,
    /// A pinned version; the current one if absent.
    pub version: Option<Version>,
}

/// What is known of a record without reading its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHead {
    /// The record's id.
    pub id: Uuid,
    /// The version that the reference leads to.
    pub version: Version,
    /// What that version holds.
    pub state: VersionState,
    /// Rises with each change of the record: a write, a deletion, a change of metadata.
    pub revision: i64,
    /// The resource that feeds it and alone may write it.
    pub managed_by: Option<Arc<str>>,
    /// What its source did so far.
    pub source: Option<Arc<SourceState>>,
}

/// What a resource puts into a record.
pub struct Feed {
    /// The record.
    pub path: RecordPath,
    /// The name of the resource, in the namespace that asks.
    pub name: String,
    /// What goes in.
    pub content: FeedContent,
    /// Keyed hash of the wish for a rotation, if there is one (see [`VaultDoor::hash`]).
    pub rotate_now: Option<String>,
    /// Whether there was no record a moment ago, so that it can be made without looking first; nothing is lost if there is one by now.
    pub absent: bool,
}

/// What goes into a record. No `Debug`: it may hold values.
pub enum FeedContent {
    /// Generated values: made if they are missing, made anew when that is due. Needs `generate`.
    Generate(GenerateSource),
    /// Sealed values, by key: the record holds exactly these. Needs `create` and `update`.
    Sealed(BTreeMap<KeyName, String>),
    /// The data of a Kubernetes Secret. Needs `create` and `update`.
    Import {
        /// Keys and values.
        data: RecordData,
        /// Whether the record follows; otherwise it is made once.
        follow: bool,
    },
}

impl FeedContent {
    /// Whether the resource alone may write the record from now on.
    #[must_use]
    pub fn manages(&self) -> bool {
        match self {
            Self::Generate(source) => source.manages(),
            Self::Sealed(_) => true,
            Self::Import { follow, .. } => *follow,
        }
    }

    /// What it is, as metrics name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Generate(_) => "generate",
            Self::Sealed(_) => "sealed",
            Self::Import { follow: true, .. } => "follow",
            Self::Import { follow: false, .. } => "import",
        }
    }
}

/// A public key that values are sealed to, as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingKeyInfo {
    /// Its written form, `avsp1.…`.
    pub public_key: String,
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Authorisation and head of one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspection {
    /// Policy denies, or does not allow. Says nothing about existence (R35).
    Denied {
        /// Who denied, for the condition: a policy's name and rule, or that nothing allows.
        because: String,
    },
    /// Allowed, and there is no such record.
    Absent,
    /// Allowed, and this is it.
    Present(RecordHead),
}

/// A record that was read for a Secret.
pub struct SyncRecord {
    /// Its head as confirmed by the audit commit.
    pub head: RecordHead,
    /// Its values.
    pub data: RecordData,
}

/// What changed since the last call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Records that were written, deleted, or otherwise changed.
    pub paths: Vec<RecordPath>,
    /// Policies changed: decisions may differ.
    pub policies: bool,
    /// Held deletions were confirmed, or `syncs` changed otherwise.
    pub syncs: bool,
    /// The feed cannot say what changed (a restore, a long outage): compare everything.
    pub everything: bool,
}

/// What the controller remembers of a `VaultSecret` and its Secret. Rows only move forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRow {
    /// The `VaultSecret`'s uid.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The generation that was applied.
    pub generation: i64,
    /// The uid that the CRD had.
    pub crd_uid: String,
    /// Whether the Secret goes when the `VaultSecret` goes.
    pub delete_with_owner: bool,
    /// The Secret's name.
    pub secret_name: String,
    /// The Secret's uid, as last written or seen; empty while it is being made.
    pub secret_uid: String,
    /// The Secret's resourceVersion, as last written or seen.
    pub secret_resource_version: String,
    /// Keyed hash of the Secret's data, type, labels and annotations as applied (see [`VaultDoor::hash`]).
    pub data_hash: Vec<u8>,
    /// Keyed hash of the Secret's data alone, as applied: what restarts of its consumers go by.
    pub content_hash: Vec<u8>,
    /// When the data last changed while restarts were asked for.
    pub content_changed_at: Option<Timestamp>,
    /// Whether restarts of its consumers are asked for.
    pub restarts: bool,
    /// The record that is soft-deleted when the `VaultSecret` goes.
    pub soft_delete: Option<RecordPath>,
    /// The records that went in, with the versions and revisions they had.
    pub records: Vec<SyncedRecord>,
}

/// What the controller remembers of a workload that uses Secrets with restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadRow {
    /// Its namespace.
    pub namespace: String,
    /// Its kind and name.
    pub id: WorkloadId,
    /// Its uid.
    pub uid: String,
    /// What its pods carry, and when it was restarted.
    pub remembered: Remembered,
}

/// A record that a Secret carries.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SyncedRecord {
    /// The path.
    pub path: RecordPath,
    /// The version carried.
    pub version: Version,
    /// The record's revision when it was read.
    pub revision: i64,
    /// Whether the version was pinned.
    pub pinned: bool,
}

/// Everything remembered of a cluster.
#[derive(Debug, Clone, Default)]
pub struct SyncState {
    /// A row for each `VaultSecret` that was ever applied and not forgotten.
    pub rows: Vec<SyncRow>,
    /// When an operator last confirmed held deletions.
    pub deletions_confirmed_at: Option<Timestamp>,
    /// The workloads that use Secrets with restarts.
    pub workloads: Vec<WorkloadRow>,
}

/// A `VaultPolicy` to put in force.
#[derive(Debug, Clone)]
pub struct PolicyResource {
    /// The resource's uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The uid of the CRD that it came through; empty where the controller may not read CRDs.
    pub crd_uid: String,
    /// What it may reach at most; nothing outside counts.
    pub scope: PathPrefix,
    /// Subjects and rules.
    pub document: PolicyDocument,
}

impl PolicyResource {
    /// Whether a rule of it denies.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.document.rules.iter().any(|rule| rule.effect == Effect::Deny)
    }
}

/// What a policy concerns, and what it would change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyReport {
    /// Actors that it concerns.
    pub subjects: usize,
    /// Records that it concerns.
    pub records: usize,
    /// Pairs of actor and record for which something would become possible.
    pub opens: usize,
    /// Pairs for which something would no longer be possible.
    pub closes: usize,
    /// The first changes, one a line.
    pub changes: Vec<String>,
    /// The policies whose denies overrule what it allows, one a line.
    pub overruled: Vec<String>,
    /// Whether a bound was reached, so that there may be more.
    pub cut_off: bool,
}

/// Everything that `k8s` may ask of the vault.
pub trait VaultDoor: Send + Sync + 'static {
    /// The cluster's prefix, such as `k8s`.
    fn prefix(&self) -> &str;

    /// Waits for changes. One consumer; after an error or a restart the first answer is `everything`.
    fn changes(&self) -> BoxFuture<'_, Result<Changes>>;

    /// Authorises the `sync` of each reference and tells the heads, in order, for many askers in one round trip. Reads no values.
    ///
    /// # Errors
    /// Per asker: [`super::error::Reason::RootOrphaned`]. As a whole: the store is unavailable.
    fn inspect<'a>(
        &'a self,
        asks: &'a [(Asker, Vec<RecordRef>)],
    ) -> BoxFuture<'a, Result<Vec<Result<Vec<Inspection>>>>>;

    /// Reads records for a Secret: authorised as `sync`, audited with the resource, confirmed by the audit commit.
    fn read<'a>(&'a self, asker: &'a Asker, refs: &'a [RecordRef]) -> BoxFuture<'a, Result<Vec<Result<SyncRecord>>>>;

    /// Brings a record to what its resource asks for, under check-and-set. What is due is decided from what is remembered beside the record;
    /// a deleted record is never made again. Answers the head, and whether a version was written.
    ///
    /// # Errors
    /// [`super::error::Reason::ManagedByResource`] if another resource feeds the record, [`super::error::Reason::SealedValue`] with each key
    /// whose sealed value does not open, and those of reading and writing.
    fn feed<'a>(&'a self, asker: &'a Asker, feed: &'a Feed) -> BoxFuture<'a, Result<(RecordHead, bool)>>;

    /// Gives a record back that the resource of this name fed; nothing happens if it did not. Answers whether it did.
    fn release<'a>(&'a self, asker: &'a Asker, path: &'a RecordPath, name: &'a str) -> BoxFuture<'a, Result<bool>>;

    /// The public keys that values are sealed to, the newest first.
    fn sealing_keys(&self) -> BoxFuture<'_, Result<Vec<SealingKeyInfo>>>;

    /// Keyed hash of whatever decides a Secret's content; the key never leaves the vault.
    ///
    /// `canonical` is an unambiguous encoding of data, type, labels and annotations.
    fn hash(&self, canonical: &[u8]) -> Vec<u8>;

    /// Puts a policy in force. Answers whether anything changed.
    ///
    /// # Errors
    /// [`super::error::Reason::InvalidPolicy`] with every problem in the message.
    fn apply_policy<'a>(&'a self, policy: &'a PolicyResource) -> BoxFuture<'a, Result<bool>>;

    /// Tells what a policy concerns, and what would change if it were in force as it is here. Nothing takes effect.
    ///
    /// `namespaces` are those whose labels are known. The work is bounded.
    ///
    /// # Errors
    /// [`super::error::Reason::InvalidPolicy`] with every problem in the message.
    fn report_policy<'a>(
        &'a self,
        policy: &'a PolicyResource,
        namespaces: &'a [NamespaceName],
    ) -> BoxFuture<'a, Result<PolicyReport>>;

    /// Ends the policies of this cluster that came through this CRD and whose resources are not among `live`. Answers how many.
    ///
    /// Policies that came through another CRD stay: when somebody deletes the CRD and makes it again, every resource is gone, and a
    /// vanished deny must not open anything. Applying a policy of the same namespace and name as such a one replaces it.
    fn retain_policies<'a>(&'a self, crd_uid: &'a str, live: &'a [String]) -> BoxFuture<'a, Result<u64>>;

    /// Everything remembered of this cluster's Secrets.
    fn syncs(&self) -> BoxFuture<'_, Result<SyncState>>;

    /// Remembers what was applied. `false` if a newer generation is remembered already.
    fn remember<'a>(&'a self, row: &'a SyncRow) -> BoxFuture<'a, Result<bool>>;

    /// Forgets a `VaultSecret` that is gone; audited with what became of its Secret.
    fn forget<'a>(&'a self, row: &'a SyncRow, secret_deleted: bool) -> BoxFuture<'a, Result<()>>;

    /// Soft-deletes the current version of a record for a `VaultSecret` that is gone, with the namespace's rights. What is deleted, or
    /// not there, is none to delete.
    ///
    /// # Errors
    /// [`super::error::Reason::RootOrphaned`], [`super::error::Reason::PolicyDenied`], those of the store.
    fn retire<'a>(&'a self, asker: &'a Asker, path: &'a RecordPath) -> BoxFuture<'a, Result<()>>;

    /// Remembers the workloads of a namespace that use Secrets with restarts, in place of all that were remembered of it.
    fn remember_workloads<'a>(&'a self, namespace: &'a str, workloads: &'a [WorkloadRow]) -> BoxFuture<'a, Result<()>>;
}
