//! Devices that ask to be let in (RFC 8628).

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// Grants that may be open, over all; beyond that no device asks for another.
const MAX_OPEN: i64 = 50_000;
/// Seconds that polling too often adds to the interval (RFC 8628, section 3.5), and the longest one.
const SLOW_DOWN_SECONDS: i32 = 5;
const MAX_POLL_SECONDS: i32 = 60;

/// A grant that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct NewGrant<'a> {
    /// Its id.
    pub id: Uuid,
    /// The hash of the device's code.
    pub device_hash: &'a [u8],
    /// The hash of the user's code.
    pub user_hash: &'a [u8],
    /// The device's address.
    pub client: Option<&'a str>,
    /// The device's name for itself.
    pub user_agent: Option<&'a str>,
}

/// A grant that waits for somebody to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// Its id.
    pub id: Uuid,
    /// The device's address.
    pub client: Option<String>,
    /// The device's name for itself.
    pub user_agent: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Where a grant stands when its device asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polled {
    /// Its id.
    pub id: Uuid,
    /// Seconds until it may ask again.
    pub poll_seconds: i32,
    /// Whether it asked sooner than it may.
    pub too_soon: bool,
    /// Whether its time is over.
    pub expired: bool,
    /// Whether somebody refused.
    pub denied: bool,
    /// Who let it in, and in which session.
    pub approved: Option<(Uuid, Uuid)>,
}

/// Stores a grant of `seconds`; answers its end, or `None` if too many are open.
///
/// # Errors
/// [`super::StoreError`]; constraint `device_grants_user_hash_key` if the user's code is in use.
pub async fn insert(pool: &Pool, grant: &NewGrant<'_>, seconds: f64) -> StoreResult<Option<Timestamp>> {
    let end = sqlx::query_scalar!(
        r#"INSERT INTO device_grants (id, device_hash, user_hash, client, user_agent, expires_at)
           SELECT $1, $2, $3, $4, $5, now() + make_interval(secs => $6)
           WHERE (SELECT count(*) FROM (SELECT FROM device_grants WHERE expires_at > now() LIMIT $7) AS open) < $7
           RETURNING expires_at AS "end: jiff_sqlx::Timestamp""#,
        grant.id,
        grant.device_hash,
        grant.user_hash,
        grant.client,
        grant.user_agent,
        seconds,
        MAX_OPEN,
    )
    .fetch_optional(pool)
    .await?;
    Ok(end.map(jiff_sqlx::Timestamp::to_jiff))
}

/// The grant of a user's code, if nobody has decided yet and its time is not over.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find_open(tx: &mut Tx<'_>, user_hash: &[u8]) -> StoreResult<Option<GrantRow>> {
    let row = sqlx::query!(
        r#"SELECT id, client, user_agent, created_at AS "created_at: jiff_sqlx::Timestamp", expires_at AS "expires_at: jiff_sqlx::Timestamp"
           FROM device_grants
           WHERE user_hash = $1 AND expires_at > now() AND approved_by IS NULL AND denied_at IS NULL FOR UPDATE"#,
        user_hash
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| GrantRow {
        id: row.id,
        client: row.client,
        user_agent: row.user_agent,
        created_at: row.created_at.to_jiff(),
        expires_at: row.expires_at.to_jiff(),
    }))
}

/// Lets a device in, on behalf of a user in a session.
///
/// # Errors
/// [`super::StoreError`].
pub async fn approve(tx: &mut Tx<'_>, id: Uuid, user_id: Uuid, session: Uuid) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE device_grants SET approved_by = $2, approved_session = $3 WHERE id = $1",
        id,
        user_id,
        session
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Refuses a device.
///
/// # Errors
/// [`super::StoreError`].
pub async fn deny(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<()> {
    sqlx::query!("UPDATE device_grants SET denied_at = now() WHERE id = $1", id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that a device asks, and answers where its grant stands. Asking too soon makes the interval longer.
///
/// # Errors
/// [`super::StoreError`].
pub async fn poll(tx: &mut Tx<'_>, device_hash: &[u8]) -> StoreResult<Option<Polled>> {
    let row = sqlx::query!(
        r#"UPDATE device_grants g SET
               last_polled_at = now(),
               poll_seconds = CASE WHEN before.too_soon THEN least(before.poll_seconds + $2, $3) ELSE before.poll_seconds END
           FROM (SELECT id, poll_seconds,
                        coalesce(last_polled_at + make_interval(secs => poll_seconds) > now(), false) AS too_soon
                 FROM device_grants WHERE device_hash = $1 FOR UPDATE) AS before
           WHERE g.id = before.id
           RETURNING g.id, g.poll_seconds, before.too_soon AS "too_soon!", (g.expires_at <= now()) AS "expired!",
                     (g.denied_at IS NOT NULL) AS "denied!", g.approved_by, g.approved_session"#,
        device_hash,
        SLOW_DOWN_SECONDS,
        MAX_POLL_SECONDS,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Polled {
        id: row.id,
        poll_seconds: row.poll_seconds,
        too_soon: row.too_soon,
        expired: row.expired,
        denied: row.denied,
        approved: row.approved_by.zip(row.approved_session),
    }))
}

/// Removes a grant that has served, or never will; `false` if it is gone.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!("DELETE FROM device_grants WHERE id = $1", id)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a session may still act, and when it last saw a second factor.
///
/// # Errors
/// [`super::StoreError`].
pub async fn approving_session(tx: &mut Tx<'_>, session: Uuid) -> StoreResult<Option<Option<Timestamp>>> {
    let row = sqlx::query!(
        r#"SELECT second_factor_at AS "second_factor_at: jiff_sqlx::Timestamp" FROM sessions
           WHERE id = $1 AND revoked_at IS NULL AND expires_at > now()"#,
        session
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| row.second_factor_at.map(jiff_sqlx::Timestamp::to_jiff)))
}

/// Removes grants that ended an hour ago, a bounded number at a time: until then a device is told that its time is over.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM device_grants WHERE id IN (
             SELECT id FROM device_grants WHERE expires_at < now() - interval '1 hour' LIMIT 10000)"
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
