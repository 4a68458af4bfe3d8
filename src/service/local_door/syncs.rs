//! What the controller remembers of its Secrets.

use super::LocalDoor;
use crate::domain::audit::Action;
use crate::domain::path::RecordPath;
use crate::domain::sync::restart::{Remembered, WorkloadId};
use crate::service::context::ResourceOrigin;
use crate::service::door::{SyncRow, SyncState, WorkloadRow};
use crate::service::error::{Error, Result};
use crate::service::failure::store_failed;
use crate::store::syncs::{StoredSync, bears_name, delete, deletions_confirmed_at, load};
use crate::store::workloads::{self, StoredWorkload};
use crate::store::{self, audit};

impl LocalDoor {
    pub(super) async fn load_syncs(&self) -> Result<SyncState> {
        let rows = load(&self.vault.pool, self.cluster.id).await.map_err(store_failed)?;
        let rows = rows.into_iter().map(from_stored).collect::<Result<Vec<_>>>()?;
        let confirmed = deletions_confirmed_at(&self.vault.pool, self.cluster.id)
            .await
            .map_err(store_failed)?;
        let remembered = workloads::load(&self.vault.pool, self.cluster.id)
            .await
            .map_err(store_failed)?;
        let workloads = remembered
            .into_iter()
            .map(from_stored_workload)
            .collect::<Result<Vec<_>>>()?;
        Ok(SyncState {
            rows,
            deletions_confirmed_at: confirmed,
            workloads,
        })
    }

    pub(super) async fn replace_workloads(&self, namespace: &str, rows: &[WorkloadRow]) -> Result<()> {
        let rows = rows.iter().map(to_stored_workload).collect::<Result<Vec<_>>>()?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        workloads::clear(&mut tx, self.cluster.id, namespace)
            .await
            .map_err(store_failed)?;
        for row in &rows {
            workloads::insert(&mut tx, self.cluster.id, row)
                .await
                .map_err(store_failed)?;
        }
        store::commit(tx).await.map_err(store_failed)
    }

    pub(super) async fn remember_sync(&self, row: &SyncRow) -> Result<bool> {
        self.remembering
            .remember(&self.vault.pool, self.cluster.id, to_stored(row)?)
            .await
            .map_err(store_failed)
    }

    pub(super) async fn forget_sync(&self, row: &SyncRow, secret_deleted: bool) -> Result<()> {
        let ctx = self.own_context(&ResourceOrigin {
            uid: row.uid.clone(),
            generation: row.generation,
        });
        let what = if secret_deleted { "deleted" } else { "kept" };
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        if !delete(&mut tx, self.cluster.id, &row.uid).await.map_err(store_failed)? {
            return Ok(());
        }
        // One of the same name that was made meanwhile goes on feeding.
        if !bears_name(&mut tx, self.cluster.id, &row.namespace, &row.name)
            .await
            .map_err(store_failed)?
        {
            let manager = self.manager(&row.namespace, &row.name);
            self.release_in(&mut tx, &ctx, &manager, None).await?;
        }
        let resource = format!("Secret {}/{} {what}", row.namespace, row.secret_name);
        audit::insert(&mut tx, &ctx.entry(Action::SyncForget, &resource))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        Ok(())
    }
}

fn from_stored(row: StoredSync) -> Result<SyncRow> {
    let retired = row.soft_delete.as_deref().map(RecordPath::parse).transpose();
    Ok(SyncRow {
        soft_delete: retired.map_err(Error::internal)?,
        records: serde_json::from_value(row.records).map_err(Error::internal)?,
        uid: row.uid,
        namespace: row.namespace,
        name: row.name,
        generation: row.generation,
        crd_uid: row.crd_uid,
        delete_with_owner: row.delete_with_owner,
        secret_name: row.secret_name,
        secret_uid: row.secret_uid,
        secret_resource_version: row.secret_resource_version,
        data_hash: row.data_hash,
        content_hash: row.content_hash,
        content_changed_at: row.content_changed_at,
        restarts: row.restarts,
    })
}

fn to_stored(row: &SyncRow) -> Result<StoredSync> {
    Ok(StoredSync {
        uid: row.uid.clone(),
        namespace: row.namespace.clone(),
        name: row.name.clone(),
        generation: row.generation,
        crd_uid: row.crd_uid.clone(),
        delete_with_owner: row.delete_with_owner,
        secret_name: row.secret_name.clone(),
        secret_uid: row.secret_uid.clone(),
        secret_resource_version: row.secret_resource_version.clone(),
        data_hash: row.data_hash.clone(),
        records: serde_json::to_value(&row.records).map_err(Error::internal)?,
        content_hash: row.content_hash.clone(),
        content_changed_at: row.content_changed_at,
        restarts: row.restarts,
        soft_delete: row.soft_delete.as_ref().map(ToString::to_string),
    })
}

fn from_stored_workload(row: StoredWorkload) -> Result<WorkloadRow> {
    Ok(WorkloadRow {
        namespace: row.namespace,
        id: WorkloadId {
            kind: row.kind,
            name: row.name,
        },
        uid: row.uid,
        remembered: Remembered {
            carried: serde_json::from_value(row.carried).map_err(Error::internal)?,
            seen_at: row.seen_at,
            restarted_at: row.restarted_at,
            gating: row.gating,
        },
    })
}

fn to_stored_workload(row: &WorkloadRow) -> Result<StoredWorkload> {
    Ok(StoredWorkload {
        namespace: row.namespace.clone(),
        kind: row.id.kind.clone(),
        name: row.id.name.clone(),
        uid: row.uid.clone(),
        carried: serde_json::to_value(&row.remembered.carried).map_err(Error::internal)?,
        seen_at: row.remembered.seen_at,
        restarted_at: row.remembered.restarted_at,
        gating: row.remembered.gating,
    })
}
