//! Watches: what the cluster holds, kept in memory, a map for each kind.
//!
//! A scope (the whole cluster or one namespace) is one watch; several scopes share a map. Objects are stored reduced to what is needed.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, watcher::Config};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::key::Key;
use crate::k8s::settings::ControllerSettings;

/// What is known of the objects of a kind.
pub(super) struct Cache<V> {
    objects: RwLock<HashMap<Key, Arc<V>>>,
    /// How many scopes were never listed in full.
    unlisted: watch::Sender<usize>,
}

/// What a watch told.
pub(super) enum Notice<'a, V> {
    /// An object is new or changed; `before` is what was known of its name, `listing` is set while the scope is listed.
    Applied {
        key: &'a Key,
        object: &'a Arc<V>,
        before: Option<Arc<V>>,
        listing: bool,
    },
    /// An object is gone.
    Gone { key: &'a Key, object: &'a Arc<V> },
    /// The scope was listed in full.
    Listed,
}

impl<V> Cache<V> {
    pub(super) fn new(scopes: usize) -> Self {
        Self {
            objects: RwLock::new(HashMap::new()),
            unlisted: watch::Sender::new(scopes),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<V>> {
        self.read().get(key).cloned()
    }

    pub(super) fn all(&self) -> Vec<(Key, Arc<V>)> {
        self.read()
            .iter()
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect()
    }

    /// Waits until every scope was listed in full once. Before that, nothing may be taken for gone.
    pub(super) async fn listed(&self) {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.unlisted.subscribe().wait_for(|scopes| *scopes == 0).await;
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Key, Arc<V>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Key, Arc<V>>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scopes to watch: the whole cluster, or each namespace that is named.
pub(super) fn scopes<K>(client: &Client, settings: &ControllerSettings) -> Vec<Api<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    if settings.watch_namespaces.is_empty() {
        return vec![Api::all(client.clone())];
    }
    settings
        .watch_namespaces
        .iter()
        .map(|namespace| Api::namespaced(client.clone(), namespace))
        .collect()
}

/// Follows one scope for as long as it is polled. `reduce` takes what is kept, `None` of what is another controller's; `notice` must not block.
pub(super) async fn follow<K, V>(
    api: Api<K>,
    config: Config,
    cache: &Cache<V>,
    reduce: impl Fn(K) -> Option<V>,
    mut notice: impl FnMut(Notice<'_, V>),
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let kind = K::kind(&());
    let mut events = Box::pin(watcher(api, config).default_backoff().into_stream());
    let mut scope = HashSet::new();
    let mut listing = HashSet::new();
    let mut listed = false;
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            Err(error) => {
                if failing {
                    debug!(%kind, %error, "the watch still fails");
                } else {
                    failing = true;
                    warn!(%kind, error = %explain(&error), "the watch failed; trying again");
                }
                continue;
            }
            Ok(Event::Init) => listing.clear(),
            Ok(Event::InitApply(object)) => {
                let key = Key::of(&object);
                if let Some(object) = reduce(object) {
                    listing.insert(key.clone());
                    apply(cache, &key, object, true, &mut notice);
                }
            }
            Ok(Event::InitDone) => {
                for key in scope.difference(&listing) {
                    remove(cache, key, &mut notice);
                }
                scope = std::mem::take(&mut listing);
                if !listed {
                    listed = true;
                    cache.unlisted.send_modify(|scopes| *scopes = scopes.saturating_sub(1));
                }
                notice(Notice::Listed);
            }
            Ok(Event::Apply(object)) => {
                let key = Key::of(&object);
                if let Some(object) = reduce(object) {
                    scope.insert(key.clone());
                    apply(cache, &key, object, false, &mut notice);
                }
            }
            Ok(Event::Delete(object)) => {
                let key = Key::of(&object);
                scope.remove(&key);
                remove(cache, &key, &mut notice);
            }
        }
        if failing {
            failing = false;
            info!(%kind, "the watch works again");
        }
    }
}

fn apply<V>(cache: &Cache<V>, key: &Key, object: V, listing: bool, notice: &mut impl FnMut(Notice<'_, V>)) {
    let object = Arc::new(object);
    let before = cache.write().insert(key.clone(), Arc::clone(&object));
    notice(Notice::Applied {
        key,
        object: &object,
        before,
        listing,
    });
}

fn remove<V>(cache: &Cache<V>, key: &Key, notice: &mut impl FnMut(Notice<'_, V>)) {
    let object = cache.write().remove(key);
    if let Some(object) = object {
        notice(Notice::Gone { key, object: &object });
    }
}

/// The error with what to do about the common ones.
fn explain(error: &watcher::Error) -> String {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    };
    match status {
        Some(404) => format!("{error}; apply the definitions of this version (`aether-vault generate crds`)"),
        Some(403) => format!(
            "{error}; give the controller's service account the roles under config/rbac, or set controller.watch_namespaces"
        ),
        _ => error.to_string(),
    }
}
