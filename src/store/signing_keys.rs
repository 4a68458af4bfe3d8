//! The keys that access tokens are signed with; sealed like records, public halves included.
//!
//! One signs, the newest; those before it are retired and verify until the last token of theirs has ended.

use uuid::Uuid;

use super::Tx;
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

/// All keys, the one that signs first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn load(pool: &Pool) -> StoreResult<Vec<SigningKeyRow>> {
    Ok(sqlx::query_as!(
        SigningKeyRow,
        "SELECT kid, id, wrapped_dek, ciphertext FROM signing_keys ORDER BY retired_at IS NOT NULL, created_at DESC, kid"
    )
    .fetch_all(pool)
    .await?)
}

/// Holds the right to add or remove keys until the transaction ends.
async fn hold(tx: &mut Tx<'_>) -> StoreResult<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('aether_vault_signing_key'))")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Adds a key if there is none yet; `false` if another process was faster.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert_first(pool: &Pool, key: &SigningKeyRow) -> StoreResult<bool> {
    let mut tx = super::begin(pool).await?;
    hold(&mut tx).await?;
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

/// Whether no key is younger than `seconds`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_due(pool: &Pool, seconds: f64) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (SELECT FROM signing_keys WHERE created_at > now() - make_interval(secs => $1)) AS "due!""#,
        seconds
    )
    .fetch_one(pool)
    .await?)
}

/// Adds the key that signs from now on and retires the others, unless one is younger than `seconds`: of several processes that do this at
/// once, one does. `false` if there was nothing to do.
///
/// # Errors
/// [`super::StoreError`].
pub async fn rotate(tx: &mut Tx<'_>, key: &SigningKeyRow, seconds: f64) -> StoreResult<bool> {
    hold(tx).await?;
    let done = sqlx::query!(
        "INSERT INTO signing_keys (kid, id, wrapped_dek, ciphertext)
         SELECT $1, $2, $3, $4
         WHERE NOT EXISTS (SELECT FROM signing_keys WHERE created_at > now() - make_interval(secs => $5))",
        key.kid,
        key.id,
        key.wrapped_dek,
        key.ciphertext,
        seconds,
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE signing_keys SET retired_at = now() WHERE kid <> $1 AND retired_at IS NULL",
        key.kid
    )
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// Removes keys that were retired more than `seconds` ago; answers how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove_retired(tx: &mut Tx<'_>, seconds: f64) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM signing_keys WHERE retired_at <= now() - make_interval(secs => $1)",
        seconds
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}
