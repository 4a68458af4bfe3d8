//! What an operator with the root key and the database at hand may do from the command line. Never reachable over HTTP (R22).

use jiff::Timestamp;

use super::Vault;
use super::context::{Credential, Door, OpContext, Origin};
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use super::reviewer::ClusterIssuer;
use crate::crypto::cluster_token::ClusterKeys;
use crate::crypto::random;
use crate::domain::actor::Actor;
use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
pub use crate::store::roots::OrphanedRoot;
use crate::store::{self, audit, changes, clusters, policies, roots, sessions};

/// Bytes of an issuer's name.
const MAX_ISSUER_BYTES: usize = 512;

impl Vault {
    /// Gives the records under a namespace's root to the namespace of today (R40).
    ///
    /// # Errors
    /// [`Reason::PathNotFound`] if there is no such root, and those of the store.
    pub async fn adopt_root(&self, path: &str, namespace_uid: &str) -> Result<()> {
        let ctx = process_context(self.clock.now());
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        if !roots::adopt(&mut tx, path, namespace_uid).await.map_err(store_failed)? {
            let message = "there is no namespace root at this path; give it as '<cluster prefix>/<namespace>', such as 'k8s/shop'";
            return Err(Error::new(Reason::PathNotFound, message));
        }
        // A workload of the earlier namespace has no claim on what is the new one's.
        sessions::revoke_of_other_namespaces(&mut tx, path, namespace_uid)
            .await
            .map_err(store_failed)?;
        audit::insert(&mut tx, &ctx.entry(Action::RootAdopt, path))
            .await
            .map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Root, path)
            .await
            .map_err(store_failed)?;
        policies::raise_epoch(&mut tx).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }

    /// The roots of a cluster that belong to namespaces which are not there any more.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn orphaned_roots(&self, cluster_prefix: &str) -> Result<Vec<OrphanedRoot>> {
        roots::orphaned(&self.pool, cluster_prefix).await.map_err(store_failed)
    }

    /// Removes the records of a namespace that is not there any more, and leaves its root to the namespace of today. Answers how many went.
    ///
    /// # Errors
    /// [`Reason::PathNotFound`] if the root does not belong to that namespace, and those of the store.
    pub async fn purge_root(&self, root: &OrphanedRoot) -> Result<u64> {
        let ctx = process_context(self.clock.now());
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        let purged = roots::purge(&mut tx, &root.path, &root.namespace_uid)
            .await
            .map_err(store_failed)?;
        let Some(records) = purged else {
            let message = "the root belongs to another namespace by now; look again with 'aether-vault roots list'";
            return Err(Error::new(Reason::PathNotFound, message));
        };
        sessions::revoke_of_other_namespaces(&mut tx, &root.path, root.successor.as_deref().unwrap_or_default())
            .await
            .map_err(store_failed)?;
        audit::insert(&mut tx, &ctx.entry(Action::RootPurge, &root.path))
            .await
            .map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Root, &root.path)
            .await
            .map_err(store_failed)?;
        policies::raise_epoch(&mut tx).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        Ok(records)
    }

    /// Lets the controller of a cluster carry out the deletions that its brake holds.
    ///
    /// # Errors
    /// [`Reason::PathNotFound`] if no such cluster is registered, and those of the store.
    pub async fn confirm_deletions(&self, cluster_prefix: &str) -> Result<()> {
        let ctx = process_context(self.clock.now());
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        if !clusters::confirm_deletions(&mut tx, cluster_prefix)
            .await
            .map_err(store_failed)?
        {
            let message =
                "no cluster of this prefix is registered; 'controller.cluster_prefix' of its controller has it";
            return Err(Error::new(Reason::PathNotFound, message));
        }
        audit::insert(&mut tx, &ctx.entry(Action::SyncConfirm, cluster_prefix))
            .await
            .map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Sync, cluster_prefix)
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }
}

impl Vault {
    /// Keeps what a cluster signs service account tokens with, for logins that cannot ask its API server. Answers whether it differs from
    /// before.
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`] for keys that cannot be used, [`Reason::PathNotFound`] if no such cluster is registered, and those of the
    /// store.
    pub async fn publish_issuer(&self, cluster_prefix: &str, issuer: &ClusterIssuer) -> Result<bool> {
        let ClusterIssuer { issuer, jwks } = issuer;
        if ClusterKeys::parse(jwks).is_err() || issuer.is_empty() || issuer.len() > MAX_ISSUER_BYTES {
            return Err(Error::new(
                Reason::InvalidRequest,
                "these are no issuer and keys for service account tokens that can be used: a JSON Web Key Set with 1 to 32 keys for RS256 or \
                 ES256 is, each with an id",
            ));
        }
        let cluster = clusters::for_login(&self.pool, cluster_prefix)
            .await
            .map_err(store_failed)?;
        let cluster = cluster.ok_or_else(|| {
            let message =
                "no cluster of this prefix is registered; 'controller.cluster_prefix' of its controller has it";
            Error::new(Reason::PathNotFound, message)
        })?;
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        let changed = clusters::publish_issuer(&mut tx, cluster.id, issuer, jwks)
            .await
            .map_err(store_failed)?;
        if changed {
            let ctx = process_context(self.clock.now());
            audit::insert(&mut tx, &ctx.entry(Action::ClusterIssuer, cluster_prefix))
                .await
                .map_err(store_failed)?;
        }
        store::commit(tx).await.map_err(store_failed)?;
        Ok(changed)
    }
}

/// The context of the process itself.
pub(super) fn process_context(now: Timestamp) -> OpContext {
    OpContext {
        actor: Actor::System,
        door: Door::Process,
        now,
        request_id: random::uuid_v7(now),
        origin: Origin::default(),
        credential: Credential::Own,
    }
}
