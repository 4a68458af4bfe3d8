//! What the reconcilers of one term of leadership share.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::core::ObjectMeta;
use tokio::sync::Notify;

use super::calendar::Calendar;
use super::definition::Definitions;
use super::events::Events;
use super::index::Index;
use super::key::Key;
use super::memory::Memory;
use super::namespaces::{Namespaces, Seen};
use super::own_status::OwnStatus;
use super::queue::Queue;
use super::restart::{Restarts, Told};
use super::vault_secret::ownership::OWNER_UID;
use super::watch::Cache;
use crate::domain::path::RecordPath;
use crate::domain::sync::outage::{Outage, OutageNews};
use crate::k8s::crd::{VaultPolicy, VaultSecret};
use crate::k8s::metrics::ControllerMetrics;
use crate::k8s::settings::ControllerSettings;
use crate::service::context::Clock;
use crate::service::door::{Inspection, RecordRef, SyncRow, VaultDoor};

/// An object as it came through a watch, or why it cannot be read.
pub(super) enum Resource<K> {
    /// As it is.
    Sound(K),
    /// It does not fit the types of this version.
    Malformed(Box<ObjectMeta>),
}

impl<K: kube::Resource> Resource<K> {
    pub(super) fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    pub(super) fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Sound(object) => object.meta(),
            Self::Malformed(meta) => meta,
        }
    }
}

/// What a watch of metadata tells of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretMeta {
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) owner: Option<String>,
}

impl SecretMeta {
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            owner: meta
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(OWNER_UID))
                .cloned(),
        }
    }
}

/// What the vault said of the records of a `VaultSecret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) refs: Vec<RecordRef>,
    pub(super) inspections: Vec<Inspection>,
}

/// What is remembered of a `VaultSecret` for the length of a term.
#[derive(Default, Clone)]
pub(super) struct Notes {
    /// What the vault said last.
    pub(super) known: Option<Known>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// The status that was written and not told by the watch yet.
    pub(super) own_status: OwnStatus,
    /// What became of the workloads that use the Secret, if that was looked at.
    pub(super) restarts: Option<Told>,
    /// Somebody asked to compare with the Secret itself.
    pub(super) forced: bool,
}

/// A resource that is gone and was never remembered, and its own record.
#[derive(Clone)]
pub(super) struct LetGo {
    pub(super) key: Key,
    pub(super) uid: String,
    pub(super) record: RecordPath,
}

/// Shared by everything that runs in a term.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) door: Arc<dyn VaultDoor>,
    pub(super) settings: ControllerSettings,
    pub(super) metrics: ControllerMetrics,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) vault_secrets: Cache<Resource<VaultSecret>>,
    pub(super) vault_policies: Cache<Resource<VaultPolicy>>,
    pub(super) secrets: Cache<SecretMeta>,
    pub(super) namespaces: Namespaces,
    /// What the watch of namespaces keeps; without a scope where they are read by name.
    pub(super) watched_namespaces: Cache<Seen>,
    pub(super) definitions: Definitions,
    pub(super) index: Index,
    pub(super) memory: Memory,
    pub(super) queue: Queue<Known>,
    pub(super) notes: AllNotes,
    pub(super) calendar: Calendar,
    /// Resources that went before anything of them was remembered, and the records that they may have fed.
    pub(super) let_go: Mutex<Vec<LetGo>>,
    /// The uid of the definition of `VaultSecret`; empty where it may not be read.
    pub(super) definition: Mutex<String>,
    /// Rings when a `VaultSecret` is gone.
    pub(super) gone: Notify,
    pub(super) restarts: Restarts,
    pub(super) revoked: Revoked,
    pub(super) outage: Mutex<Outage>,
}

/// The `VaultSecret`s, by uid, whose Secret is to go because access was lost. The reaper takes them away, so that the brake holds an accident.
#[derive(Default)]
pub(super) struct Revoked(Mutex<HashSet<String>>);

impl Revoked {
    pub(super) fn order(&self, uid: &str) {
        self.lock().insert(uid.to_owned());
    }

    pub(super) fn lift(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn holds(&self, uid: &str) -> bool {
        self.lock().contains(uid)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The notes of every `VaultSecret`, by uid.
#[derive(Default)]
pub(super) struct AllNotes(Mutex<HashMap<String, Notes>>);

impl AllNotes {
    pub(super) fn get(&self, uid: &str) -> Notes {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    pub(super) fn change<T>(&self, uid: &str, change: impl FnOnce(&mut Notes) -> T) -> T {
        change(self.lock().entry(uid.to_owned()).or_default())
    }

    pub(super) fn remove(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Notes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// The uid of the definition that `VaultSecret`s come through.
    pub(super) fn definition_uid(&self) -> String {
        self.definition.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_definition_uid(&self, uid: String) {
        *self.definition.lock().unwrap_or_else(PoisonError::into_inner) = uid;
    }

    /// Notes a resource whose record has to be given back.
    pub(super) fn let_go(&self, gone: LetGo) {
        self.let_go.lock().unwrap_or_else(PoisonError::into_inner).push(gone);
    }

    /// Takes what was noted.
    pub(super) fn take_let_go(&self) -> Vec<LetGo> {
        std::mem::take(&mut *self.let_go.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the `VaultSecret` of a row is gone. What is not watched is never taken for gone.
    pub(super) fn is_gone(&self, row: &SyncRow) -> bool {
        let there = self.vault_secrets.get(&Key::new(&row.namespace, &row.name));
        self.settings.watches(&row.namespace) && there.is_none_or(|object| object.uid() != row.uid)
    }

    /// Notes whether the vault answered. One event and one metric speak of an outage, for all objects.
    pub(super) fn vault_answered(&self, answered: bool) {
        let news = self
            .outage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(answered);
        match news {
            None => {}
            Some(OutageNews::Begun) => {
                self.metrics.vault_available.set(0);
                let note =
                    "the vault does not answer: Secrets stay as they are, and changes wait; look at its database";
                self.events.warn_of(self.lease(), "VaultUnavailable", note.to_owned());
            }
            Some(OutageNews::Over) => {
                self.metrics.vault_available.set(1);
                let note = "the vault answers again: changes that waited are carried out";
                self.events.note_of(self.lease(), "VaultAvailable", note.to_owned());
            }
        }
    }

    /// The Lease stands for the controller as a whole.
    fn lease(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            namespace: Some(self.settings.operator_namespace.clone()),
            name: Some(self.settings.lease_name.clone()),
            ..Default::default()
        }
    }

    /// Whether the `VaultSecret` of a row stands, and its Secret is to go.
    pub(super) fn is_revoked(&self, row: &SyncRow) -> bool {
        self.revoked.holds(&row.uid) && !self.is_gone(row)
    }

    /// Whether a Secret is exactly as it was remembered.
    pub(super) fn untouched(&self, row: &SyncRow) -> bool {
        let secret = self.secrets.get(&Key::new(&row.namespace, &row.secret_name));
        secret.is_some_and(|secret| {
            secret.uid == row.secret_uid && secret.resource_version == row.secret_resource_version
        })
    }
}
