//! What the controller remembers of its Secrets.

use super::LocalDoor;
use crate::domain::audit::Action;
use crate::service::context::ResourceOrigin;
use crate::service::door::{SyncRow, SyncState};
use crate::service::error::{Error, Result};
use crate::service::failure::store_failed;
use crate::store::syncs::{StoredSync, delete, deletions_confirmed_at, load, upsert};
use crate::store::{self, audit};

impl LocalDoor {
    pub(super) async fn load_syncs(&self) -> Result<SyncState> {
        let rows = load(&self.vault.pool, self.cluster.id).await.map_err(store_failed)?;
        let rows = rows.into_iter().map(from_stored).collect::<Result<Vec<_>>>()?;
        let confirmed = deletions_confirmed_at(&self.vault.pool, self.cluster.id)
            .await
            .map_err(store_failed)?;
        Ok(SyncState {
            rows,
            deletions_confirmed_at: confirmed,
        })
    }

    pub(super) async fn remember_sync(&self, row: &SyncRow) -> Result<bool> {
        upsert(&self.vault.pool, self.cluster.id, &to_stored(row)?)
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
        let resource = format!("Secret {}/{} {what}", row.namespace, row.secret_name);
        audit::insert(&mut tx, &ctx.entry(Action::SyncForget, &resource))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }
}

fn from_stored(row: StoredSync) -> Result<SyncRow> {
    Ok(SyncRow {
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
    })
}
