//! The key pairs that values are sealed to; inside the envelope, public halves included.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A sealing key as stored.
#[derive(Debug, Clone)]
pub struct SealingKeyRow {
    /// Its name, in hex.
    pub id: String,
    /// The id that the envelope is bound to.
    pub envelope_id: Uuid,
    /// The wrapped data key.
    pub wrapped_dek: Vec<u8>,
    /// The sealed key pair.
    pub ciphertext: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// All keys, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn load(pool: &Pool) -> StoreResult<Vec<SealingKeyRow>> {
    let rows = sqlx::query!(
        r#"SELECT id, envelope_id, wrapped_dek, ciphertext, created_at AS "created_at: jiff_sqlx::Timestamp"
           FROM sealing_keys ORDER BY created_at DESC, id"#
    )
    .fetch_all(pool)
    .await?;
    let row = rows.into_iter().map(|row| SealingKeyRow {
        id: row.id,
        envelope_id: row.envelope_id,
        wrapped_dek: row.wrapped_dek,
        ciphertext: row.ciphertext,
        created_at: row.created_at.to_jiff(),
    });
    Ok(row.collect())
}

/// Adds a key; with `only_first`, only if there is none yet. `false` if another process was faster.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(tx: &mut Tx<'_>, key: &SealingKeyRow, only_first: bool) -> StoreResult<bool> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('aether_vault_sealing_key'))")
        .execute(&mut **tx)
        .await?;
    // By the clock at this moment, not by that of the transaction's begin: the one that waited for the lock is the newer one.
    let done = sqlx::query!(
        "INSERT INTO sealing_keys (id, envelope_id, wrapped_dek, ciphertext, created_at)
         SELECT $1, $2, $3, $4, clock_timestamp() WHERE NOT $5 OR NOT EXISTS (SELECT FROM sealing_keys)",
        key.id,
        key.envelope_id,
        key.wrapped_dek,
        key.ciphertext,
        only_first,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
