//! Namespaces as policy sees them: name, uid and labels as they are now.
//!
//! With cluster-wide roles they are watched (metadata only). With namespaced roles nothing cluster-wide may be listed, so each watched
//! namespace is read by name, which a Role in it can allow, and again every minute.
//!
//! A namespace that was deleted and made again is somebody else (R40). It must have been without resources in between, so the first
//! resource that appears in an empty namespace makes us read the namespace anew instead of trusting what a watch told earlier.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, Client};
use tokio::time::sleep;
use tracing::warn;

use crate::domain::actor::NamespaceName;

/// How often namespaces that cannot be watched are read.
pub(super) const REFRESH: Duration = Duration::from_mins(1);

/// A namespace as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: NamespaceName,
    /// It is being deleted: nothing can be made in it.
    pub(super) terminating: bool,
    created: Option<Timestamp>,
}

/// The namespaces that matter.
pub(super) struct Namespaces {
    api: Api<PartialObjectMeta<Namespace>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: HashMap<String, Seen>,
    /// To be read anew before they are believed.
    doubtful: HashSet<String>,
}

/// Why a namespace is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error("the namespace does not exist")]
    Absent,
    #[error("the namespace cannot be read: {0}")]
    Api(#[from] kube::Error),
}

impl Namespaces {
    pub(super) fn new(client: &Client) -> Self {
        Self {
            api: Api::all(client.clone()),
            state: Mutex::default(),
        }
    }

    /// The namespace as it is now.
    ///
    /// # Errors
    /// It does not exist, or had to be read and could not be.
    pub(super) async fn look_up(&self, namespace: &str) -> Result<Seen, Unknown> {
        {
            let state = self.lock();
            if !state.doubtful.contains(namespace)
                && let Some(seen) = state.seen.get(namespace)
            {
                return Ok(seen.clone());
            }
        }
        self.read(namespace).await
    }

    /// The namespaces that are known, as policy sees them.
    pub(super) fn known(&self) -> Vec<NamespaceName> {
        self.lock().seen.values().map(|seen| seen.name.clone()).collect()
    }

    /// Reads a namespace.
    async fn read(&self, namespace: &str) -> Result<Seen, Unknown> {
        let found = self.api.get_opt(namespace).await?;
        let mut state = self.lock();
        state.doubtful.remove(namespace);
        let Some(object) = found else {
            state.seen.remove(namespace);
            return Err(Unknown::Absent);
        };
        let seen = reduce(&object.metadata);
        state.seen.insert(namespace.to_owned(), seen.clone());
        Ok(seen)
    }

    /// Notes what the watch told; answers whether policy may decide differently now. What it tells of an earlier namespace of the same
    /// name, because it lags behind a read, is ignored.
    pub(super) fn put(&self, seen: Seen) -> bool {
        let mut state = self.lock();
        let before = state.seen.get(&seen.name.name);
        if before.is_some_and(|before| before.name.uid != seen.name.uid && before.created > seen.created) {
            return false;
        }
        let differs = before.is_some_and(|before| before.name != seen.name);
        state.seen.insert(seen.name.name.clone(), seen);
        differs
    }

    /// The watch told that a namespace is gone.
    pub(super) fn remove(&self, gone: &Seen) {
        let mut state = self.lock();
        if state
            .seen
            .get(&gone.name.name)
            .is_some_and(|seen| seen.name.uid == gone.name.uid)
        {
            state.seen.remove(&gone.name.name);
        }
    }

    /// The first resource appeared in an empty namespace: what is known of the namespace may be of an earlier one.
    pub(super) fn doubt(&self, namespace: &str) {
        self.lock().doubtful.insert(namespace.to_owned());
    }

    /// Reads the named namespaces again and again; `changed` is told when policy may decide differently.
    pub(super) async fn refresh(&self, namespaces: &[String], changed: impl Fn(&str)) {
        loop {
            for namespace in namespaces {
                let before = self.lock().seen.get(namespace).map(|seen| seen.name.clone());
                match self.read(namespace).await {
                    Ok(seen) if before.is_some_and(|before| before != seen.name) => changed(namespace),
                    Ok(_) | Err(Unknown::Absent) => {}
                    Err(error) => warn!(%namespace, %error, "keeping what was known of the namespace"),
                }
            }
            sleep(REFRESH).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What policy sees of a namespace.
pub(super) fn reduce(metadata: &ObjectMeta) -> Seen {
    Seen {
        name: NamespaceName {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
        },
        terminating: metadata.deletion_timestamp.is_some(),
        created: metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}
