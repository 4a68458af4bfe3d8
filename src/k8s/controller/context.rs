//! What the reconcilers of one term of leadership share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use kube::core::ObjectMeta;
use tokio::sync::Notify;

use super::definition::Definitions;
use super::events::Events;
use super::index::Index;
use super::key::Key;
use super::memory::Memory;
use super::namespaces::{Namespaces, Seen};
use super::queue::Queue;
use super::vault_secret::ownership::OWNER_UID;
use super::watch::Cache;
use crate::k8s::crd::vault_secret::VaultSecretStatus;
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

/// What was written to `.status` last, until the watch tells the same: the watch lags behind our own writes.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) status: VaultSecretStatus,
    pub(super) resource_version: String,
}

/// What is remembered of a `VaultSecret` for the length of a term.
#[derive(Default, Clone)]
pub(super) struct Notes {
    /// What the vault said last.
    pub(super) known: Option<Known>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// The status that was written and not seen yet.
    pub(super) written: Option<Written>,
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
    /// The uid of the definition of `VaultSecret`; empty where it may not be read.
    pub(super) definition: Mutex<String>,
    /// Rings when a `VaultSecret` is gone.
    pub(super) gone: Notify,
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

    /// Whether the `VaultSecret` of a row is gone. What is not watched is never taken for gone.
    pub(super) fn is_gone(&self, row: &SyncRow) -> bool {
        let there = self.vault_secrets.get(&Key::new(&row.namespace, &row.name));
        self.settings.watches(&row.namespace) && there.is_none_or(|object| object.uid() != row.uid)
    }

    /// Whether a Secret is exactly as it was remembered.
    pub(super) fn untouched(&self, row: &SyncRow) -> bool {
        let secret = self.secrets.get(&Key::new(&row.namespace, &row.secret_name));
        secret.is_some_and(|secret| {
            secret.uid == row.secret_uid && secret.resource_version == row.secret_resource_version
        })
    }
}
