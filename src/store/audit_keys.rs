//! The keys that audit blocks are signed with; sealed, public halves included.

use uuid::Uuid;

use super::error::StoreResult;
use super::pool::Pool;

/// A key as stored.
#[derive(Debug, Clone)]
pub struct AuditKeyRow {
    /// The id that blocks name.
    pub kid: String,
    /// The id that the envelope is bound to.
    pub id: Uuid,
    /// The wrapped data key.
    pub wrapped_dek: Vec<u8>,
    /// The sealed seed.
    pub ciphertext: Vec<u8>,
}

/// All keys, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn load(pool: &Pool) -> StoreResult<Vec<AuditKeyRow>> {
    Ok(sqlx::query_as!(
        AuditKeyRow,
        "SELECT kid, id, wrapped_dek, ciphertext FROM audit_keys ORDER BY created_at DESC, kid"
    )
    .fetch_all(pool)
    .await?)
}

/// Adds a key if there is none yet; `false` if another process was faster.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert_first(pool: &Pool, key: &AuditKeyRow) -> StoreResult<bool> {
    let mut tx = super::begin(pool).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('aether_vault_audit_key'))")
        .execute(&mut *tx)
        .await?;
    let done = sqlx::query!(
        "INSERT INTO audit_keys (kid, id, wrapped_dek, ciphertext)
         SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM audit_keys)",
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
