//! Wrapped key-encryption keys and the sentinel that proves the root key.

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A wrapped key.
#[derive(Debug, Clone)]
pub struct KekRow {
    /// Its id.
    pub id: Uuid,
    /// The root whose lineage it belongs to.
    pub root_id: Uuid,
    /// `data`, `mac` or `system`.
    pub purpose: String,
    /// Its place in the lineage, from 1.
    pub generation: i32,
    /// The root key that wraps it.
    pub root_key_id: String,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
}

/// A key by id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, id: Uuid) -> StoreResult<Option<KekRow>> {
    Ok(sqlx::query_as!(
        KekRow,
        "SELECT id, root_id, purpose, generation, root_key_id, wrapped FROM keks WHERE id = $1",
        id
    )
    .fetch_optional(pool)
    .await?)
}

/// The newest key of a lineage.
///
/// # Errors
/// [`super::StoreError`].
pub async fn newest(pool: &Pool, root_id: Uuid, purpose: &str) -> StoreResult<Option<KekRow>> {
    Ok(sqlx::query_as!(
        KekRow,
        "SELECT id, root_id, purpose, generation, root_key_id, wrapped FROM keks
         WHERE root_id = $1 AND purpose = $2 ORDER BY generation DESC LIMIT 1",
        root_id,
        purpose,
    )
    .fetch_optional(pool)
    .await?)
}

/// Adds a key to a lineage; `false` if that generation exists: another process was faster, and its key counts.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(tx: &mut Tx<'_>, row: &KekRow) -> StoreResult<bool> {
    let done = sqlx::query!(
        "INSERT INTO keks (id, root_id, purpose, generation, root_key_id, wrapped) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT ON CONSTRAINT keks_lineage_key DO NOTHING",
        row.id,
        row.root_id,
        row.purpose,
        row.generation,
        row.root_key_id,
        row.wrapped,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Reserves `count` uses of a key for this process; answers all that were ever reserved.
///
/// # Errors
/// [`super::StoreError`].
pub async fn reserve_uses(pool: &Pool, id: Uuid, count: i64) -> StoreResult<i64> {
    Ok(sqlx::query_scalar!(
        "UPDATE keks SET uses_reserved = uses_reserved + $2 WHERE id = $1 RETURNING uses_reserved",
        id,
        count
    )
    .fetch_one(pool)
    .await?)
}

/// The sentinel: id of the root key that sealed it, and the sealed bytes.
///
/// # Errors
/// [`super::StoreError`].
pub async fn sentinel(pool: &Pool) -> StoreResult<Option<(String, Vec<u8>)>> {
    let row = sqlx::query!("SELECT root_key_id, sealed FROM key_sentinel")
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|row| (row.root_key_id, row.sealed)))
}

/// Writes the sentinel of a new vault; `false` if there is one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert_sentinel(pool: &Pool, root_key_id: &str, sealed: &[u8]) -> StoreResult<bool> {
    let done = sqlx::query!(
        "INSERT INTO key_sentinel (root_key_id, sealed) VALUES ($1, $2) ON CONFLICT ON CONSTRAINT key_sentinel_pkey DO NOTHING",
        root_key_id,
        sealed,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether anything was ever encrypted: then a missing sentinel is a fault, not a new vault.
///
/// # Errors
/// [`super::StoreError`].
pub async fn any(pool: &Pool) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM keks) AS "any!""#)
        .fetch_one(pool)
        .await?)
}

/// How old the keys in use are, in seconds: of each lineage the newest counts. A vault without any has age 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyAges {
    /// The oldest of those that wrap the data keys of records; shredded roots have none.
    pub record: f64,
    /// Signs access tokens.
    pub signing: f64,
    /// Values are sealed to it.
    pub sealing: f64,
    /// Signs blocks of the audit log.
    pub audit: f64,
}

/// How old the keys in use are. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn ages(pool: &Pool) -> StoreResult<KeyAges> {
    let row = sqlx::query!(
        r#"WITH newest (record, signing, sealing, audit) AS (
             SELECT (SELECT min(made) FROM (SELECT max(k.created_at) AS made FROM keks k JOIN roots r ON r.id = k.root_id
                       WHERE k.purpose = 'data' AND r.state <> 'shredded' GROUP BY k.root_id) AS lineages),
                    (SELECT max(created_at) FROM signing_keys),
                    (SELECT max(created_at) FROM sealing_keys),
                    (SELECT max(created_at) FROM audit_keys))
           SELECT COALESCE(extract(epoch FROM now() - record), 0)::float8 AS "record!",
                  COALESCE(extract(epoch FROM now() - signing), 0)::float8 AS "signing!",
                  COALESCE(extract(epoch FROM now() - sealing), 0)::float8 AS "sealing!",
                  COALESCE(extract(epoch FROM now() - audit), 0)::float8 AS "audit!"
           FROM newest"#
    )
    .fetch_one(pool)
    .await?;
    Ok(KeyAges {
        record: row.record,
        signing: row.signing,
        sealing: row.sealing,
        audit: row.audit,
    })
}
