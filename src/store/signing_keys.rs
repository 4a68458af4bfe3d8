//! The keys that access tokens are signed with; sealed like records, public halves included.

use uuid::Uuid;

use super::error::StoreResult;
use super::pool::Pool;

/// A signing key as stored.
#[derive(Debug, Clone)]
pub struct SigningKeyRow {
    /// The id that tokens name.
    pub kid: String,
    /// The id that the envelope is bound to.
    pub id: Uuid,
    /// The wrapped data key.
    pub wrapped_dek: Vec<u8>,
    /// The sealed key pair.
    pub ciphertext: Vec<u8>,
}

/// All keys, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn load(pool: &Pool) -> StoreResult<Vec<SigningKeyRow>> {
    Ok(sqlx::query_as!(
        SigningKeyRow,
        "SELECT kid, id, wrapped_dek, ciphertext FROM signing_keys ORDER BY created_at DESC, kid"
    )
    .fetch_all(pool)
    .await?)
}

/// Adds a key if there is none yet; `false` if another process was faster.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert_first(pool: &Pool, key: &SigningKeyRow) -> StoreResult<bool> {
    let mut tx = super::begin(pool).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('aether_vault_signing_key'))")
        .execute(&mut *tx)
        .await?;
    let done = sqlx::query!(
        "INSERT INTO signing_keys (kid, id, wrapped_dek, ciphertext)
         SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM signing_keys)",
        key.kid,
        key.id,
        key.wrapped_dek,
        key.ciphertext,
    )
    .execute(&mut *tx)
    .await?;
    super::commit(tx).await?;
    Ok(done.rows_affected() == 1)
}
