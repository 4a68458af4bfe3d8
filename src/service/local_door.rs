//! The controller's door in the same process: one registered cluster, and no way to act for anybody outside it.

mod feed;
mod making;
mod policies;
mod reads;
mod remembering;
mod syncs;
mod wanted;

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{Mutex, broadcast};

use self::remembering::Remembering;
pub use self::wanted::{Wanted, WantedNamespaces};
use super::Vault;
use super::binding::orphaned;
use super::context::{Credential, Door, OpContext, Origin, ResourceOrigin};
use super::door::{
    Asker, Changes, Feed, Inspection, PolicyReport, PolicyResource, RecordHead, RecordRef, SealingKeyInfo, SyncRecord,
    SyncRow, SyncState, VaultDoor, WorkloadRow,
};
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use super::feed::News;
use super::maintenance::process_context;
use super::reviewer::{ClusterIssuer, SeenNamespace};
use crate::crypto::mac::{self, MacKey};
use crate::crypto::random;
use crate::domain::actor::{Actor, NamespaceName};
use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
use crate::domain::path::RecordPath;
use crate::store::clusters::Cluster;
use crate::store::{self, audit, changes, cluster_namespaces, clusters, roots};

/// Namespaces of one statement.
const NOTED_AT_A_TIME: usize = 1000;
/// Several replicas look; one note in this many seconds is enough.
const NOTED_EVERY_SECONDS: f64 = 0.5;

/// The door of one registered cluster.
pub struct LocalDoor {
    vault: Arc<Vault>,
    cluster: Cluster,
    mac_key: MacKey,
    remembering: Remembering,
    news: Mutex<Option<broadcast::Receiver<News>>>,
}

impl LocalDoor {
    /// Registers the cluster and opens its door to the controller of a class; empty is the one without a class.
    ///
    /// # Errors
    /// [`Reason::ClusterMismatch`] if the prefix belongs to a cluster with another kube-system uid or to the controller of another class,
    /// [`Reason::InvalidRequest`] for a prefix that cannot be one, and those of the store.
    pub async fn register(vault: Arc<Vault>, prefix: &str, kube_system_uid: &str, class: &str) -> Result<Self> {
        let now = vault.clock.now();
        let mut tx = store::begin(&vault.pool).await.map_err(store_failed)?;
        let registered = clusters::register(&mut tx, random::uuid_v7(now), prefix, kube_system_uid, class).await;
        let (cluster, new) = registered.map_err(|error| {
            if error.is_constraint("clusters_prefix_check") {
                let message =
                    "controller.cluster_prefix must be a DNS label, such as 'k8s' or 'k8s-eu', and not 'users'";
                Error::new(Reason::InvalidRequest, message).because(error)
            } else {
                store_failed(error)
            }
        })?;
        if cluster.kube_system_uid != kube_system_uid {
            let message = format!(
                "cluster prefix '{prefix}' belongs to the cluster whose kube-system namespace has uid {}; this one has uid \
                 {kube_system_uid}. Set another controller.cluster_prefix for this cluster",
                cluster.kube_system_uid
            );
            return Err(Error::new(Reason::ClusterMismatch, message));
        }
        if cluster.controller_class != class {
            // What the other one looks after would look gone to this one.
            let message = format!(
                "cluster prefix '{prefix}' belongs to the controller {}; this is the controller {}. Set another controller.cluster_prefix for this \
                 controller, or controller.class as it was",
                of_class(&cluster.controller_class),
                of_class(class),
            );
            return Err(Error::new(Reason::ClusterMismatch, message));
        }
        if new && roots::find(&vault.pool, prefix).await.map_err(store_failed)?.is_some() {
            let message = format!(
                "records were written under '{prefix}/' before this cluster was registered, and they belong to a shared root of that \
                 name; choose another controller.cluster_prefix, or move those records away and shred the root"
            );
            return Err(Error::new(Reason::ClusterMismatch, message));
        }
        if new {
            let ctx = process_context(now);
            audit::insert(&mut tx, &ctx.entry(Action::ClusterRegister, prefix))
                .await
                .map_err(store_failed)?;
            changes::insert(&mut tx, ChangeKind::Root, prefix)
                .await
                .map_err(store_failed)?;
            store::policies::raise_epoch(&mut tx).await.map_err(store_failed)?;
        }
        store::commit(tx).await.map_err(store_failed)?;
        if new {
            vault.feed.announce();
        }
        vault.authority.refresh().await?;
        let mac_key = vault.keys.mac_key().await?;
        Ok(Self {
            vault,
            cluster,
            mac_key,
            remembering: Remembering::default(),
            news: Mutex::new(None),
        })
    }

    /// Whether policies of the operator's own namespace reach everything, or this cluster's prefix only.
    #[must_use]
    pub fn is_platform(&self) -> bool {
        self.cluster.platform
    }

    /// The context of an asker, after its namespace was found to be the one that its root belongs to (R40).
    async fn context(&self, asker: &Asker) -> Result<OpContext> {
        let ctx = OpContext {
            actor: Actor::Namespace {
                cluster: self.cluster.prefix.clone(),
                namespace: asker.namespace.clone(),
            },
            ..self.own_context(&asker.resource)
        };
        self.check_binding(&ctx, asker).await?;
        Ok(ctx)
    }

    /// The context of the controller itself, working for a resource.
    fn own_context(&self, resource: &ResourceOrigin) -> OpContext {
        let now = self.vault.clock.now();
        OpContext {
            actor: Actor::System,
            door: Door::Controller,
            now,
            request_id: random::uuid_v7(now),
            origin: Origin {
                resource: Some(resource.clone()),
                ..Origin::default()
            },
            credential: Credential::Own,
        }
    }

    async fn check_binding(&self, ctx: &OpContext, asker: &Asker) -> Result<()> {
        let path = format!("{}/{}", self.cluster.prefix, asker.namespace.name);
        let uid = asker.namespace.uid.as_str();
        let bound = match self.vault.bindings.get(&path) {
            Some(bound) => bound,
            None => {
                let bound = self.vault.bind_root(ctx, &path, uid).await?;
                self.vault.bindings.insert(path.clone(), bound.clone());
                bound
            }
        };
        if *bound == *uid {
            return Ok(());
        }
        Err(orphaned(&path, &bound, uid))
    }

    /// Publishes what this cluster signs service account tokens with, for logins that cannot ask its API server. Answers whether it differs
    /// from before.
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`] for keys that cannot be used, and those of the store.
    pub async fn publish_issuer(&self, issuer: &ClusterIssuer) -> Result<bool> {
        self.vault.publish_issuer(&self.cluster.prefix, issuer).await
    }

    /// Notes the namespaces of this cluster, as an answer had them to a question that was asked at `asked_at` or later.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn note_namespaces(&self, seen: &[SeenNamespace], asked_at: Timestamp) -> Result<()> {
        for part in seen.chunks(NOTED_AT_A_TIME) {
            let names: Vec<_> = part.iter().map(|namespace| namespace.name.clone()).collect();
            let uids: Vec<_> = part.iter().map(|namespace| namespace.uid.clone()).collect();
            let created: Vec<_> = part.iter().map(|namespace| namespace.created_at.as_second()).collect();
            cluster_namespaces::note(
                &self.vault.pool,
                self.cluster.id,
                &names,
                &uids,
                &created,
                asked_at,
                NOTED_EVERY_SECONDS,
            )
            .await
            .map_err(store_failed)?;
        }
        Ok(())
    }

    async fn next_changes(&self) -> Result<Changes> {
        let mut news = self.news.lock().await;
        let Some(receiver) = news.as_mut() else {
            *news = Some(self.vault.feed.subscribe());
            return Ok(Changes {
                everything: true,
                ..Changes::default()
            });
        };
        let mut changes = Changes::default();
        let mut next = receiver.recv().await;
        loop {
            match next {
                Ok(News::Changes(batch)) => {
                    for change in batch.iter() {
                        note(&mut changes, change);
                    }
                }
                Ok(News::Everything) | Err(broadcast::error::RecvError::Lagged(_)) => changes.everything = true,
                Err(broadcast::error::RecvError::Closed) => {
                    return Err(Error::new(Reason::StoreUnavailable, "the change feed has ended"));
                }
            }
            // Whatever came in the meantime goes along.
            match receiver.try_recv() {
                Ok(more) => next = Ok(more),
                Err(broadcast::error::TryRecvError::Lagged(n)) => next = Err(broadcast::error::RecvError::Lagged(n)),
                Err(_) => break,
            }
        }
        changes.paths.sort_unstable();
        changes.paths.dedup();
        Ok(changes)
    }
}

fn note(changes: &mut Changes, change: &store::changes::Change) {
    match change.kind {
        ChangeKind::Record => match RecordPath::parse(&change.subject) {
            Ok(path) => changes.paths.push(path),
            Err(_) => changes.everything = true,
        },
        ChangeKind::Policy | ChangeKind::Root => changes.policies = true,
        ChangeKind::Sync => changes.syncs = true,
        ChangeKind::Config | ChangeKind::Session | ChangeKind::Namespace => {}
    }
}

impl VaultDoor for LocalDoor {
    fn prefix(&self) -> &str {
        &self.cluster.prefix
    }

    fn changes(&self) -> BoxFuture<'_, Result<Changes>> {
        Box::pin(self.next_changes())
    }

    fn inspect<'a>(
        &'a self,
        asks: &'a [(Asker, Vec<RecordRef>)],
    ) -> BoxFuture<'a, Result<Vec<Result<Vec<Inspection>>>>> {
        Box::pin(self.inspect_all(asks))
    }

    fn read<'a>(&'a self, asker: &'a Asker, refs: &'a [RecordRef]) -> BoxFuture<'a, Result<Vec<Result<SyncRecord>>>> {
        Box::pin(self.read_all(asker, refs))
    }

    fn feed<'a>(&'a self, asker: &'a Asker, feed: &'a Feed) -> BoxFuture<'a, Result<(RecordHead, bool)>> {
        Box::pin(self.feed_record(asker, feed))
    }

    fn release<'a>(&'a self, asker: &'a Asker, path: &'a RecordPath, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.release_record(asker, path, name))
    }

    fn sealing_keys(&self) -> BoxFuture<'_, Result<Vec<SealingKeyInfo>>> {
        Box::pin(self.vault.sealing_keys())
    }

    fn hash(&self, canonical: &[u8]) -> Vec<u8> {
        mac::keyed_hash(&self.mac_key, canonical).to_vec()
    }

    fn apply_policy<'a>(&'a self, policy: &'a PolicyResource) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.apply(policy))
    }

    fn report_policy<'a>(
        &'a self,
        policy: &'a PolicyResource,
        namespaces: &'a [NamespaceName],
    ) -> BoxFuture<'a, Result<PolicyReport>> {
        Box::pin(self.report(policy, namespaces))
    }

    fn retain_policies<'a>(&'a self, crd_uid: &'a str, live: &'a [String]) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.retain(crd_uid, live))
    }

    fn syncs(&self) -> BoxFuture<'_, Result<SyncState>> {
        Box::pin(self.load_syncs())
    }

    fn remember<'a>(&'a self, row: &'a SyncRow) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.remember_sync(row))
    }

    fn forget<'a>(&'a self, row: &'a SyncRow, secret_deleted: bool) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.forget_sync(row, secret_deleted))
    }

    fn retire<'a>(&'a self, asker: &'a Asker, path: &'a RecordPath) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.retire_record(asker, path))
    }

    fn remember_workloads<'a>(&'a self, namespace: &'a str, workloads: &'a [WorkloadRow]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.replace_workloads(namespace, workloads))
    }
}

fn of_class(class: &str) -> String {
    if class.is_empty() {
        "without a class".to_owned()
    } else {
        format!("of class '{class}'")
    }
}
