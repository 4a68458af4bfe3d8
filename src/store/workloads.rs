//! Workloads that use Secrets whose changes restart them.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A row as stored; see the door's `WorkloadRow` for the meaning of each column.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described where they are used, at the door")]
pub struct StoredWorkload {
    pub namespace: String,
    pub kind: String,
    pub name: String,
    pub uid: String,
    pub carried: Value,
    pub seen_at: Timestamp,
    pub restarted_at: Option<Timestamp>,
    pub gating: bool,
}

/// All rows of a cluster.
///
/// # Errors
/// [`super::StoreError`].
pub async fn load(pool: &Pool, cluster_id: Uuid) -> StoreResult<Vec<StoredWorkload>> {
    let rows = sqlx::query!(
        r#"SELECT namespace, kind, name, uid, carried, seen_at AS "seen_at: jiff_sqlx::Timestamp",
                  restarted_at AS "restarted_at: jiff_sqlx::Timestamp", gating
           FROM workloads WHERE cluster_id = $1"#,
        cluster_id
    )
    .fetch_all(pool)
    .await?;
    let stored = rows.into_iter().map(|row| StoredWorkload {
        namespace: row.namespace,
        kind: row.kind,
        name: row.name,
        uid: row.uid,
        carried: row.carried,
        seen_at: row.seen_at.to_jiff(),
        restarted_at: row.restarted_at.map(jiff_sqlx::Timestamp::to_jiff),
        gating: row.gating,
    });
    Ok(stored.collect())
}

/// Forgets the workloads of a namespace.
///
/// # Errors
/// [`super::StoreError`].
pub async fn clear(tx: &mut Tx<'_>, cluster_id: Uuid, namespace: &str) -> StoreResult<()> {
    sqlx::query!(
        "DELETE FROM workloads WHERE cluster_id = $1 AND namespace = $2",
        cluster_id,
        namespace
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds a workload.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(tx: &mut Tx<'_>, cluster_id: Uuid, row: &StoredWorkload) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO workloads (cluster_id, namespace, kind, name, uid, carried, seen_at, restarted_at, gating)
         VALUES ($1, $2, $3, $4, $5, $6, ($7::text)::timestamptz, ($8::text)::timestamptz, $9)",
        cluster_id,
        row.namespace,
        row.kind,
        row.name,
        row.uid,
        row.carried,
        row.seen_at.to_string(),
        row.restarted_at.map(|at| at.to_string()),
        row.gating,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
