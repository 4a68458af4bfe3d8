//! What the compliance report asks about records and accounts.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use super::error::StoreResult;
use super::pool::Pool;

/// A record that has grown old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldRecord {
    /// Its path.
    pub path: String,
    /// Its current version.
    pub version: i64,
    /// When it was last written.
    pub written_at: Timestamp,
    /// When it was last read, as far as the sums of access go back.
    pub read_at: Option<Timestamp>,
}

/// An account that a password alone opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoneFactor {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Its last log-in.
    pub last_login_at: Option<Timestamp>,
}

/// Records that were not read within `days` and are older than that, in the order of paths.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unread(pool: &Pool, days: i32, limit: i64) -> StoreResult<Vec<OldRecord>> {
    let rows = sqlx::query!(
        r#"SELECT s.path, s.current_version, v.created_at AS "written_at: SqlTimestamp",
                  (SELECT max(a.last_at) FROM access_daily a WHERE a.resource = s.path AND a.reads > 0) AS "read_at: SqlTimestamp"
           FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.current_version
           WHERE s.created_at < now() - make_interval(days => $1)
             AND NOT EXISTS (SELECT FROM access_daily a WHERE a.resource = s.path AND a.reads > 0
                             AND a.day >= (now() AT TIME ZONE 'UTC')::date - $1::int)
           ORDER BY s.path LIMIT $2"#,
        days,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| OldRecord {
            path: row.path,
            version: row.current_version,
            written_at: row.written_at.to_jiff(),
            read_at: row.read_at.map(SqlTimestamp::to_jiff),
        })
        .collect())
}

/// Records whose current version is older than `days`, in the order of paths: those of version 1 were never rotated.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unrotated(pool: &Pool, days: i32, limit: i64) -> StoreResult<Vec<OldRecord>> {
    let rows = sqlx::query!(
        r#"SELECT s.path, s.current_version, v.created_at AS "written_at: SqlTimestamp",
                  (SELECT max(a.last_at) FROM access_daily a WHERE a.resource = s.path AND a.reads > 0) AS "read_at: SqlTimestamp"
           FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.current_version
           WHERE v.created_at < now() - make_interval(days => $1)
           ORDER BY s.path LIMIT $2"#,
        days,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| OldRecord {
            path: row.path,
            version: row.current_version,
            written_at: row.written_at.to_jiff(),
            read_at: row.read_at.map(SqlTimestamp::to_jiff),
        })
        .collect())
}

/// Accounts of people who may log in and have no second factor, in the order of names.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lone_factor(pool: &Pool, limit: i64) -> StoreResult<Vec<LoneFactor>> {
    let rows = sqlx::query!(
        r#"SELECT u.id, u.name, u.role, u.last_login_at AS "last_login_at: SqlTimestamp"
           FROM users u
           WHERE u.kind = 'person' AND u.disabled_at IS NULL AND u.deleted_at IS NULL
             AND NOT EXISTS (SELECT FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
             AND NOT EXISTS (SELECT FROM passkeys p WHERE p.user_id = u.id)
           ORDER BY u.name LIMIT $1"#,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| LoneFactor {
            id: row.id,
            name: row.name,
            role: row.role,
            last_login_at: row.last_login_at.map(SqlTimestamp::to_jiff),
        })
        .collect())
}
