//! Recovery codes: the hash of each, good once.

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;

/// Stores a user's codes in place of any that they have.
///
/// # Errors
/// [`super::StoreError`].
pub async fn replace(tx: &mut Tx<'_>, user_id: Uuid, hashes: &[Vec<u8>]) -> StoreResult<()> {
    remove(tx, user_id).await?;
    sqlx::query!(
        "INSERT INTO recovery_codes (user_id, hash) SELECT $1, * FROM unnest($2::bytea[])",
        user_id,
        hashes
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Spends a code in one statement; `false` if there is no such code, or it was spent.
///
/// # Errors
/// [`super::StoreError`].
pub async fn spend(tx: &mut Tx<'_>, user_id: Uuid, hash: &[u8]) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE recovery_codes SET used_at = now() WHERE user_id = $1 AND hash = $2 AND used_at IS NULL",
        user_id,
        hash
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a user's codes.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<()> {
    sqlx::query!("DELETE FROM recovery_codes WHERE user_id = $1", user_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
