//! What was last applied to which Secret.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A row as stored; see the door's `SyncRow` for the meaning of each column.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described where they are used, at the door")]
pub struct StoredSync {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub generation: i64,
    pub crd_uid: String,
    pub delete_with_owner: bool,
    pub secret_name: String,
    pub secret_uid: String,
    pub secret_resource_version: String,
    pub data_hash: Vec<u8>,
    pub records: Value,
    pub content_hash: Vec<u8>,
    pub content_changed_at: Option<Timestamp>,
    pub restarts: bool,
    pub soft_delete: Option<String>,
}

/// All rows of a cluster.
///
/// # Errors
/// [`super::StoreError`].
pub async fn load(pool: &Pool, cluster_id: Uuid) -> StoreResult<Vec<StoredSync>> {
    let rows = sqlx::query!(
        r#"SELECT uid, namespace, name, generation, crd_uid, delete_with_owner, secret_name, secret_uid,
                  secret_resource_version, data_hash, records, content_hash,
                  content_changed_at AS "content_changed_at: jiff_sqlx::Timestamp", restarts, soft_delete
           FROM syncs WHERE cluster_id = $1"#,
        cluster_id
    )
    .fetch_all(pool)
    .await?;
    let stored = rows.into_iter().map(|row| StoredSync {
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
        records: row.records,
        content_hash: row.content_hash,
        content_changed_at: row.content_changed_at.map(jiff_sqlx::Timestamp::to_jiff),
        restarts: row.restarts,
        soft_delete: row.soft_delete,
    });
    Ok(stored.collect())
}

/// When held deletions of a cluster were last confirmed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn deletions_confirmed_at(pool: &Pool, cluster_id: Uuid) -> StoreResult<Option<Timestamp>> {
    let at = sqlx::query_scalar!(
        r#"SELECT deletions_confirmed_at AS "at: jiff_sqlx::Timestamp" FROM clusters WHERE id = $1"#,
        cluster_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(at.flatten().map(jiff_sqlx::Timestamp::to_jiff))
}

/// Remembers rows of different resources; answers the uids of those that were, which leaves out rows of which a newer generation is
/// remembered. One round trip.
///
/// # Errors
/// [`super::StoreError`]; nothing of it is then remembered.
pub async fn upsert(pool: &Pool, cluster_id: Uuid, rows: &[&StoredSync]) -> StoreResult<HashSet<String>> {
    let text = |f: fn(&StoredSync) -> &str| rows.iter().map(|row| f(row).to_owned()).collect::<Vec<_>>();
    let bytes = |f: fn(&StoredSync) -> &[u8]| rows.iter().map(|row| f(row).to_vec()).collect::<Vec<_>>();
    let truth = |f: fn(&StoredSync) -> bool| rows.iter().map(|row| f(row)).collect::<Vec<_>>();
    let generations: Vec<i64> = rows.iter().map(|row| row.generation).collect();
    let records: Vec<Value> = rows.iter().map(|row| row.records.clone()).collect();
    let content_changed_at: Vec<Option<String>> = rows
        .iter()
        .map(|row| row.content_changed_at.map(|at| at.to_string()))
        .collect();
    let soft_delete: Vec<Option<String>> = rows.iter().map(|row| row.soft_delete.clone()).collect();
    let remembered = sqlx::query_scalar!(
        r#"INSERT INTO syncs AS s (cluster_id, uid, namespace, name, generation, crd_uid, delete_with_owner, secret_name, secret_uid,
                                   secret_resource_version, data_hash, records, content_hash, content_changed_at, restarts,
                                   soft_delete)
           SELECT $1, uid, namespace, name, generation, crd_uid, delete_with_owner, secret_name, secret_uid,
                  secret_resource_version, data_hash, records, content_hash, content_changed_at::timestamptz, restarts, soft_delete
           FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::boolean[], $8::text[], $9::text[],
                       $10::text[], $11::bytea[], $12::jsonb[], $13::bytea[], $14::text[], $15::boolean[], $16::text[])
                AS r(uid, namespace, name, generation, crd_uid, delete_with_owner, secret_name, secret_uid,
                     secret_resource_version, data_hash, records, content_hash, content_changed_at, restarts, soft_delete)
           -- Two who remember the same resources take them in one order, and never wait for each other.
           ORDER BY uid
           ON CONFLICT ON CONSTRAINT syncs_pkey DO UPDATE
           SET namespace = EXCLUDED.namespace, name = EXCLUDED.name, generation = EXCLUDED.generation, crd_uid = EXCLUDED.crd_uid,
               delete_with_owner = EXCLUDED.delete_with_owner, secret_name = EXCLUDED.secret_name, secret_uid = EXCLUDED.secret_uid,
               secret_resource_version = EXCLUDED.secret_resource_version, data_hash = EXCLUDED.data_hash,
               records = EXCLUDED.records, content_hash = EXCLUDED.content_hash,
               content_changed_at = EXCLUDED.content_changed_at, restarts = EXCLUDED.restarts,
               soft_delete = EXCLUDED.soft_delete, updated_at = now()
           WHERE s.generation <= EXCLUDED.generation
           RETURNING s.uid"#,
        cluster_id,
        &text(|row| &row.uid),
        &text(|row| &row.namespace),
        &text(|row| &row.name),
        &generations,
        &text(|row| &row.crd_uid),
        &truth(|row| row.delete_with_owner),
        &text(|row| &row.secret_name),
        &text(|row| &row.secret_uid),
        &text(|row| &row.secret_resource_version),
        &bytes(|row| &row.data_hash),
        &records,
        &bytes(|row| &row.content_hash),
        &content_changed_at as &[Option<String>],
        &truth(|row| row.restarts),
        &soft_delete as &[Option<String>],
    )
    .fetch_all(pool)
    .await?;
    Ok(remembered.into_iter().collect())
}

/// Forgets a row; `false` if it was forgotten before.
///
/// # Errors
/// [`super::StoreError`].
pub async fn delete(tx: &mut Tx<'_>, cluster_id: Uuid, uid: &str) -> StoreResult<bool> {
    let done = sqlx::query!("DELETE FROM syncs WHERE cluster_id = $1 AND uid = $2", cluster_id, uid)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a `VaultSecret` of this name is remembered.
///
/// # Errors
/// [`super::StoreError`].
pub async fn bears_name(tx: &mut Tx<'_>, cluster_id: Uuid, namespace: &str, name: &str) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM syncs WHERE cluster_id = $1 AND namespace = $2 AND name = $3) AS "it_does!""#,
        cluster_id,
        namespace,
        name,
    )
    .fetch_one(&mut **tx)
    .await?)
}
