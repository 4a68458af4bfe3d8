//! Values behind a token that is good once. The hash of the token finds them; the row outlives its use until its end, so that a second
//! use can be told from a token that never was.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::audit::Bearer;
use super::error::StoreResult;
use super::pool::Pool;
use crate::domain::audit::AuditEntry;

/// A wrapped value, ready to be stored.
pub struct NewWrap<'a> {
    /// Its id.
    pub id: Uuid,
    /// The hash of the token.
    pub hash: &'a [u8],
    /// The root of the record's path.
    pub root_id: Uuid,
    /// The record's path.
    pub path: &'a str,
    /// The version that was wrapped.
    pub version: i64,
    /// Who made it, for the bound on how many wait.
    pub maker: &'a str,
    /// Whose right to read it rests on.
    pub user_id: Option<Uuid>,
    /// The API key that it was made with.
    pub api_key_id: Option<Uuid>,
    /// The wrapped data key.
    pub wrapped_dek: &'a [u8],
    /// The encrypted value.
    pub ciphertext: &'a [u8],
    /// Seconds that it waits for its reader.
    pub seconds: i64,
}

/// Stores a wrapped value; answers its end. `None` if its maker has as many as there may be.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(tx: &mut Tx<'_>, new: &NewWrap<'_>, most: i64) -> StoreResult<Option<Timestamp>> {
    let end = sqlx::query_scalar!(
        r#"INSERT INTO wraps (id, hash, root_id, path, version, user_id, api_key_id, wrapped_dek, ciphertext, expires_at, maker)
           SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, now() + make_interval(secs => $10::bigint::double precision), $12
           WHERE (SELECT count(*) FROM wraps WHERE maker = $12 AND used_at IS NULL AND expires_at > now()) < $11
           RETURNING expires_at AS "end: jiff_sqlx::Timestamp""#,
        new.id,
        new.hash,
        new.root_id,
        new.path,
        new.version,
        new.user_id,
        new.api_key_id,
        new.wrapped_dek,
        new.ciphertext,
        new.seconds,
        most,
        new.maker,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(end.map(jiff_sqlx::Timestamp::to_jiff))
}

/// A wrapped value as stored.
pub struct Wrap {
    /// Its id.
    pub id: Uuid,
    /// The record's path.
    pub path: String,
    /// The version that was wrapped.
    pub version: i64,
    /// Wrapped key and ciphertext, until it was used.
    pub sealed: Option<(Vec<u8>, Vec<u8>)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used, or revoked.
    pub used_at: Option<Timestamp>,
    /// Whether it is not past its end, its root is in use, and whoever made it may still act.
    pub good: bool,
}

/// Looks a wrapped value up without using it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, hash: &[u8]) -> StoreResult<Option<Wrap>> {
    let row = sqlx::query!(
        r#"SELECT id, path, version, wrapped_dek, ciphertext, created_at AS "created_at: jiff_sqlx::Timestamp",
                  expires_at AS "expires_at: jiff_sqlx::Timestamp", used_at AS "used_at: jiff_sqlx::Timestamp",
                  (w.expires_at > now()
                   AND EXISTS (SELECT FROM roots r WHERE r.id = w.root_id AND r.state = 'active')
                   AND (w.user_id IS NULL OR EXISTS (SELECT FROM users u
                        WHERE u.id = w.user_id AND u.disabled_at IS NULL AND u.deleted_at IS NULL))
                   AND (w.api_key_id IS NULL OR EXISTS (SELECT FROM api_keys k
                        WHERE k.id = w.api_key_id AND k.revoked_at IS NULL AND k.expires_at > now()))) AS "good!"
           FROM wraps w WHERE hash = $1"#,
        hash
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Wrap {
        id: row.id,
        path: row.path,
        version: row.version,
        sealed: row.wrapped_dek.zip(row.ciphertext),
        created_at: row.created_at.to_jiff(),
        expires_at: row.expires_at.to_jiff(),
        used_at: row.used_at.map(jiff_sqlx::Timestamp::to_jiff),
        good: row.good,
    }))
}

/// Uses a wrapped value up, with the entry that says so: of all who try, one gets `true`. `false` too if it is past its end, whoever made it
/// may not act any more, the root is not in use, or the credential of who asks does not hold. One round trip.
///
/// # Errors
/// [`super::StoreError`]; whether it was used up is then unknown.
pub async fn take(pool: &Pool, id: Uuid, bearer: Bearer, entry: &AuditEntry) -> StoreResult<bool> {
    let taken = sqlx::query!(
        r#"WITH taken AS (
             UPDATE wraps w SET used_at = now(), wrapped_dek = NULL, ciphertext = NULL
             WHERE w.id = $1 AND w.used_at IS NULL AND w.expires_at > now()
               AND EXISTS (SELECT FROM roots r WHERE r.id = w.root_id AND r.state = 'active')
               AND (w.user_id IS NULL OR EXISTS (SELECT FROM users u
                    WHERE u.id = w.user_id AND u.disabled_at IS NULL AND u.deleted_at IS NULL))
               AND (w.api_key_id IS NULL OR EXISTS (SELECT FROM api_keys k
                    WHERE k.id = w.api_key_id AND k.revoked_at IS NULL AND k.expires_at > now()))
               AND ($2::uuid IS NULL OR EXISTS (SELECT FROM sessions x
                    WHERE x.id = $2 AND x.revoked_at IS NULL AND x.expires_at > now()
                      AND ($19::bigint IS NULL OR x.revision = $19)))
               AND ($3::uuid IS NULL OR EXISTS (SELECT FROM api_keys k
                    WHERE k.id = $3 AND k.revision = $4 AND k.revoked_at IS NULL AND k.expires_at > now()))
             RETURNING w.path, w.version
           ), audit AS (
             INSERT INTO audit_entries (request_id, actor_kind, actor_id, actor_name, door, action, resource, version, decision,
                                        reason, policy, rule, client, user_agent, origin_uid, origin_generation)
             SELECT $5, $6, $7, $8, $9, $10, path, version, $11, $12, $13, $14, $15, $16, $17, $18 FROM taken
           )
           SELECT path FROM taken"#,
        id,
        bearer.session,
        bearer.api_key.map(|(id, _)| id),
        bearer.api_key.map(|(_, revision)| revision),
        entry.request_id,
        entry.actor_kind,
        entry.actor_id,
        entry.actor_name,
        entry.door,
        entry.action.as_str(),
        entry.outcome.as_str(),
        entry.reason,
        entry.policy,
        entry.rule,
        entry.client,
        entry.user_agent,
        entry.origin_uid,
        entry.origin_generation,
        bearer.session_revision,
    )
    .fetch_optional(pool)
    .await?;
    Ok(taken.is_some())
}

/// Removes what is past its end, a bounded number at a time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!("DELETE FROM wraps WHERE id IN (SELECT id FROM wraps WHERE expires_at < now() LIMIT 1000)")
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}
