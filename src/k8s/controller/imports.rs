//! Secrets that records follow. They are somebody else's, so the watch of our own does not see them: each has a watch of its own, of its
//! metadata alone, for as long as a resource follows it.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use super::context::Context;
use super::key::Key;
use super::queue::{Causes, Class};

/// Watches whatever is followed, for as long as it is polled.
pub(super) async fn follow_imports(context: Arc<Context>) {
    let mut watches: JoinSet<()> = JoinSet::new();
    let mut running: HashMap<Key, AbortHandle> = HashMap::new();
    loop {
        let followed = context.index.followed();
        running.retain(|secret, watch| {
            let wanted = followed.contains_key(secret);
            if !wanted {
                watch.abort();
            }
            wanted
        });
        for secret in followed.into_keys() {
            running
                .entry(secret.clone())
                .or_insert_with(|| watches.spawn(follow(Arc::clone(&context), secret)));
        }
        while watches.try_join_next().is_some() {}
        context.index.follows_changed().await;
    }
}

/// Wakes the resources that follow a Secret whenever that changes.
async fn follow(context: Arc<Context>, secret: Key) {
    let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(context.client.clone(), &secret.namespace);
    let config = Config::default().fields(&format!("metadata.name={}", secret.name));
    let mut events = pin!(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => {
                for key in context.index.followed().remove(&secret).into_iter().flatten() {
                    context.queue.add(key, Causes::AGAIN, Class::Change, None);
                }
            }
            Ok(Event::Init | Event::InitApply(_)) => {}
            Err(error) => debug!(%secret, %error, "the watch of a followed Secret failed; trying again"),
        }
    }
}
