//! Policies that come from resources.

use super::LocalDoor;
use crate::crypto::random;
use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
use crate::domain::policy;
use crate::service::context::ResourceOrigin;
use crate::service::door::PolicyResource;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::policies::{ResourcePolicy, full_name, raise_epoch, retain, upsert};
use crate::store::{self, audit, changes};

impl LocalDoor {
    pub(super) async fn apply(&self, resource: &PolicyResource) -> Result<bool> {
        policy::validate(&resource.document).map_err(|problems| {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Error::new(Reason::InvalidPolicy, problems.join("; "))
        })?;
        let scope = self.scope_of(resource);
        let ctx = self.own_context(&ResourceOrigin {
            uid: resource.uid.clone(),
            generation: resource.generation,
        });
        let document = serde_json::to_value(&resource.document).map_err(Error::internal)?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let stored = ResourcePolicy {
            id: random::uuid_v7(ctx.now()),
            cluster_id: self.cluster.id,
            namespace: &resource.namespace,
            name: &resource.name,
            resource_uid: &resource.uid,
            crd_uid: &resource.crd_uid,
            generation: resource.generation,
            scope: &scope,
            document: &document,
        };
        if !upsert(&mut tx, &stored).await.map_err(store_failed)? {
            return Ok(false);
        }
        let name = full_name(Some(&self.cluster.prefix), &resource.namespace, &resource.name);
        audit::insert(&mut tx, &ctx.entry(Action::PolicyApply, &name))
            .await
            .map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Policy, &name)
            .await
            .map_err(store_failed)?;
        raise_epoch(&mut tx).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        Ok(true)
    }

    pub(super) async fn retain(&self, crd_uid: &str, live: &[String]) -> Result<u64> {
        let ctx = self.own_context(&ResourceOrigin {
            uid: crd_uid.to_owned(),
            generation: 0,
        });
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let removed = retain(&mut tx, self.cluster.id, crd_uid, live)
            .await
            .map_err(store_failed)?;
        if removed.is_empty() {
            return Ok(0);
        }
        for name in &removed {
            let name = format!("{}/{name}", self.cluster.prefix);
            audit::insert(&mut tx, &ctx.entry(Action::PolicyRemove, &name))
                .await
                .map_err(store_failed)?;
            changes::insert(&mut tx, ChangeKind::Policy, &name)
                .await
                .map_err(store_failed)?;
        }
        raise_epoch(&mut tx).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        Ok(u64::try_from(removed.len()).unwrap_or(u64::MAX))
    }

    /// What a resource may reach: never more than the controller says, nor than the cluster has.
    fn scope_of(&self, resource: &PolicyResource) -> String {
        let own = format!("{}/", self.cluster.prefix);
        let asked = resource.scope.as_str();
        if self.cluster.platform || asked.starts_with(&own) {
            asked.to_owned()
        } else {
            own
        }
    }
}
