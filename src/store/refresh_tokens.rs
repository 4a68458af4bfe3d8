//! Refresh tokens: the hash of each, good once. All tokens of a session are one family.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;

/// What a presented token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Never used.
    Fresh,
    /// Used a moment ago, and no successor of it was: whoever sent it may have got no answer.
    Retry,
    /// Used before, or a sibling of it was: somebody else has it too.
    Reused,
}

/// A token with the session and the user that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRow {
    /// Its id.
    pub id: Uuid,
    /// The token that it succeeded.
    pub parent_id: Option<Uuid>,
    /// The session.
    pub session_id: Uuid,
    /// The user's id.
    pub user_id: Uuid,
    /// The user's canonical name.
    pub user_name: String,
    /// The user's role.
    pub role: String,
    /// Whether the session may go on: neither revoked nor past its end, and the user in good standing.
    pub live: bool,
    /// What the token is worth.
    pub standing: Standing,
}

/// Stores the token that a session begins with.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(tx: &mut Tx<'_>, id: Uuid, session_id: Uuid, hash: &[u8]) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO refresh_tokens (id, session_id, hash) VALUES ($1, $2, $3)",
        id,
        session_id,
        hash
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A token by its hash. Holds its session until the transaction ends, so that uses of one family come one after another.
/// `retry_seconds` is for how long a used token may be sent again.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hold(tx: &mut Tx<'_>, hash: &[u8], retry_seconds: f64) -> StoreResult<Option<RefreshRow>> {
    // A statement of its own: the next one then sees what was committed while this one waited.
    sqlx::query!(
        "SELECT s.id FROM sessions s JOIN refresh_tokens t ON t.session_id = s.id WHERE t.hash = $1 FOR UPDATE OF s",
        hash
    )
    .fetch_optional(&mut **tx)
    .await?;
    let row = sqlx::query!(
        r#"SELECT t.id, t.parent_id, t.session_id, u.id AS user_id, u.name AS user_name, u.role,
                  (s.revoked_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL AND u.deleted_at IS NULL) AS "live!",
                  t.used_at IS NULL AS "fresh!",
                  (t.used_at > now() - make_interval(secs => $2)
                   AND EXISTS (SELECT FROM refresh_tokens c WHERE c.session_id = t.session_id AND c.parent_id = t.id)
                   AND NOT EXISTS (SELECT FROM refresh_tokens c
                                   WHERE c.session_id = t.session_id AND c.parent_id = t.id AND c.used_at IS NOT NULL)) AS retry
           FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
           WHERE t.hash = $1"#,
        hash,
        retry_seconds,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| RefreshRow {
        id: row.id,
        parent_id: row.parent_id,
        session_id: row.session_id,
        user_id: row.user_id,
        user_name: row.user_name,
        role: row.role,
        live: row.live,
        standing: match (row.fresh, row.retry) {
            (true, _) => Standing::Fresh,
            (false, Some(true)) => Standing::Retry,
            (false, _) => Standing::Reused,
        },
    }))
}

/// Spends a token, and its siblings with it: only one holder of a family goes on. Stores the successor, and moves the session's end
/// `idle_seconds` on, never past its last one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn rotate(
    tx: &mut Tx<'_>,
    used: &RefreshRow,
    successor: Uuid,
    hash: &[u8],
    idle_seconds: f64,
) -> StoreResult<(Timestamp, Timestamp)> {
    sqlx::query!(
        "UPDATE refresh_tokens SET used_at = coalesce(used_at, now())
         WHERE session_id = $1 AND (id = $2 OR parent_id = $3)",
        used.session_id,
        used.id,
        used.parent_id,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO refresh_tokens (id, session_id, parent_id, hash) VALUES ($1, $2, $3, $4)",
        successor,
        used.session_id,
        used.id,
        hash
    )
    .execute(&mut **tx)
    .await?;
    let ends = sqlx::query!(
        r#"UPDATE sessions SET last_used_at = now(), expires_at = least(ends_at, now() + make_interval(secs => $2))
           WHERE id = $1
           RETURNING expires_at AS "expires_at: jiff_sqlx::Timestamp", ends_at AS "ends_at: jiff_sqlx::Timestamp""#,
        used.session_id,
        idle_seconds,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((ends.expires_at.to_jiff(), ends.ends_at.to_jiff()))
}
