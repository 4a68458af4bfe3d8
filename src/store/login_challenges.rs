//! Logins that have passed their first factor and wait for the second: the hash of a token for each.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A challenge with the user that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeRow {
    /// Its id.
    pub id: Uuid,
    /// How the first factor was shown.
    pub method: String,
    /// Whether it is good for enrolling a second factor, since the account has none and needs one.
    pub enrols: bool,
    /// The user's id.
    pub user_id: Uuid,
    /// The user's canonical name.
    pub user_name: String,
    /// The user's role.
    pub role: String,
    /// The identity that the login came by.
    pub identity_id: Option<Uuid>,
    /// The session at that identity's provider.
    pub provider_session: Option<String>,
}

/// Stores a challenge of `seconds`; answers its end.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(
    tx: &mut Tx<'_>,
    id: Uuid,
    user_id: Uuid,
    method: &str,
    enrols: bool,
    hash: &[u8],
    seconds: f64,
) -> StoreResult<Timestamp> {
    let end = sqlx::query_scalar!(
        r#"INSERT INTO login_challenges (id, user_id, method, enrols, hash, expires_at)
           VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) RETURNING expires_at AS "end: jiff_sqlx::Timestamp""#,
        id,
        user_id,
        method,
        enrols,
        hash,
        seconds,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(end.to_jiff())
}

/// Notes the identity that a login came by, and the session at its provider.
///
/// # Errors
/// [`super::StoreError`].
pub async fn came_by(tx: &mut Tx<'_>, id: Uuid, identity: Uuid, provider_session: Option<&str>) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE login_challenges SET identity_id = $2, provider_session = $3 WHERE id = $1",
        id,
        identity,
        provider_session
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A challenge by its hash, if it has not ended and its user may act.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, hash: &[u8]) -> StoreResult<Option<ChallengeRow>> {
    Ok(sqlx::query_as!(
        ChallengeRow,
        "SELECT c.id, c.method, c.enrols, u.id AS user_id, u.name AS user_name, u.role, c.identity_id, c.provider_session
         FROM login_challenges c JOIN users u ON u.id = c.user_id
         WHERE c.hash = $1 AND c.expires_at > now() AND u.disabled_at IS NULL AND u.deleted_at IS NULL",
        hash
    )
    .fetch_optional(pool)
    .await?)
}

/// Takes a challenge out, so that it is good once; `false` if it has ended, or another request took it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!("DELETE FROM login_challenges WHERE id = $1 AND expires_at > now()", id)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends every challenge of a user.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end_all_of(pool: &Pool, user_id: Uuid) -> StoreResult<u64> {
    let done = sqlx::query!("DELETE FROM login_challenges WHERE user_id = $1", user_id)
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}

/// Removes challenges past their end, a bounded number at a time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM login_challenges WHERE id IN (SELECT id FROM login_challenges WHERE expires_at < now() LIMIT 10000)"
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
