//! The secrets of authenticators, sealed like records, and the last step whose code was accepted.

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A secret as stored.
#[derive(Debug, Clone)]
pub struct TotpRow {
    /// The id that the envelope is bound to.
    pub id: Uuid,
    /// The wrapped data key.
    pub wrapped_dek: Vec<u8>,
    /// The sealed secret.
    pub ciphertext: Vec<u8>,
    /// Whether a code of it was shown, so that it counts.
    pub confirmed: bool,
}

/// The secret of a user.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, user_id: Uuid) -> StoreResult<Option<TotpRow>> {
    Ok(sqlx::query_as!(
        TotpRow,
        r#"SELECT id, wrapped_dek, ciphertext, confirmed_at IS NOT NULL AS "confirmed!" FROM totp WHERE user_id = $1"#,
        user_id
    )
    .fetch_optional(pool)
    .await?)
}

/// Stores a secret that is not confirmed yet, in place of another that was not; `false` if the user has one that is.
///
/// # Errors
/// [`super::StoreError`].
pub async fn offer(
    tx: &mut Tx<'_>,
    user_id: Uuid,
    id: Uuid,
    wrapped_dek: &[u8],
    ciphertext: &[u8],
) -> StoreResult<bool> {
    let done = sqlx::query!(
        "INSERT INTO totp AS t (user_id, id, wrapped_dek, ciphertext) VALUES ($1, $2, $3, $4)
         ON CONFLICT ON CONSTRAINT totp_pkey DO UPDATE
             SET id = excluded.id, wrapped_dek = excluded.wrapped_dek, ciphertext = excluded.ciphertext, spent_step = 0, created_at = now()
             WHERE t.confirmed_at IS NULL",
        user_id,
        id,
        wrapped_dek,
        ciphertext,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes a secret count, and spends the step whose code showed it; `false` if it counts already or is another by now.
///
/// # Errors
/// [`super::StoreError`].
pub async fn confirm(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid, step: i64) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE totp SET confirmed_at = now(), spent_step = $3 WHERE user_id = $1 AND id = $2 AND confirmed_at IS NULL",
        user_id,
        id,
        step,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Spends a step, and all before it, in one statement: of two requests with one code, whatever process they came to, one succeeds (R4,
/// RFC 6238, section 5.2). `false` if it was spent before, or the secret does not count.
///
/// # Errors
/// [`super::StoreError`].
pub async fn spend(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid, step: i64) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE totp SET spent_step = $3
         WHERE user_id = $1 AND id = $2 AND confirmed_at IS NOT NULL AND spent_step < $3",
        user_id,
        id,
        step,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a user's secret; answers whether there was one that counted.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<bool> {
    let counted = sqlx::query_scalar!(
        r#"DELETE FROM totp WHERE user_id = $1 RETURNING confirmed_at IS NOT NULL AS "counted!""#,
        user_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(counted == Some(true))
}

/// Removes secrets that were offered a day ago and never confirmed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!("DELETE FROM totp WHERE confirmed_at IS NULL AND created_at < now() - interval '1 day'")
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}
