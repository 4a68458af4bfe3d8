//! Tokens of invitations and resets: the hash of each, good once.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The first password of a new user.
    Invite,
    /// A new password after the old one was taken away.
    Reset,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Reset => "reset",
        }
    }
}

/// Stores a token of `seconds`, in place of any that the user has; answers its end.
///
/// # Errors
/// [`super::StoreError`].
pub async fn replace(
    tx: &mut Tx<'_>,
    id: Uuid,
    user_id: Uuid,
    purpose: Purpose,
    hash: &[u8],
    seconds: f64,
) -> StoreResult<Timestamp> {
    sqlx::query!("DELETE FROM one_time_tokens WHERE user_id = $1", user_id)
        .execute(&mut **tx)
        .await?;
    let end = sqlx::query_scalar!(
        r#"INSERT INTO one_time_tokens (id, user_id, purpose, hash, expires_at)
           VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5)) RETURNING expires_at AS "end: jiff_sqlx::Timestamp""#,
        id,
        user_id,
        purpose.as_str(),
        hash,
        seconds,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(end.to_jiff())
}

/// Takes a token out, so that it is good once; answers whose it was. `None` for one that is unknown, used, past its end, or of a user
/// who may not act.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take(tx: &mut Tx<'_>, hash: &[u8]) -> StoreResult<Option<Uuid>> {
    Ok(sqlx::query_scalar!(
        "DELETE FROM one_time_tokens t USING users u
         WHERE t.hash = $1 AND t.expires_at > now() AND u.id = t.user_id AND u.disabled_at IS NULL AND u.deleted_at IS NULL
         RETURNING t.user_id",
        hash
    )
    .fetch_optional(&mut **tx)
    .await?)
}

/// Removes tokens past their end, a bounded number at a time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM one_time_tokens WHERE id IN (SELECT id FROM one_time_tokens WHERE expires_at < now() LIMIT 10000)"
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
