//! Sessions as people see and end them.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// Sessions that are shown of one user at most: the newest.
const MOST: i64 = 1000;

/// A session that may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: Uuid,
    /// How it began.
    pub method: String,
    /// The workload's cluster, if it is one's.
    pub cluster: Option<String>,
    /// The workload's namespace.
    pub namespace: Option<String>,
    /// The workload's service account.
    pub service_account: Option<String>,
    /// The workload's pod.
    pub pod: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed, or saw a second factor.
    pub last_used_at: Timestamp,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
    /// When it ends in any case.
    pub ends_at: Timestamp,
    /// When it last saw a second factor.
    pub second_factor_at: Option<Timestamp>,
    /// Where it began.
    pub client: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
}

struct Row {
    id: Uuid,
    method: String,
    cluster: Option<String>,
    namespace: Option<String>,
    service_account: Option<String>,
    pod: Option<String>,
    created_at: jiff_sqlx::Timestamp,
    last_used_at: jiff_sqlx::Timestamp,
    expires_at: jiff_sqlx::Timestamp,
    ends_at: jiff_sqlx::Timestamp,
    second_factor_at: Option<jiff_sqlx::Timestamp>,
    client: Option<String>,
    user_agent: Option<String>,
}

impl From<Row> for SessionInfo {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            method: row.method,
            cluster: row.cluster,
            namespace: row.namespace,
            service_account: row.service_account,
            pod: row.pod,
            created_at: row.created_at.to_jiff(),
            last_used_at: row.last_used_at.to_jiff(),
            expires_at: row.expires_at.to_jiff(),
            ends_at: row.ends_at.to_jiff(),
            second_factor_at: row.second_factor_at.map(jiff_sqlx::Timestamp::to_jiff),
            client: row.client,
            user_agent: row.user_agent,
        }
    }
}

/// The sessions of a user, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_user(pool: &Pool, user_id: Uuid) -> StoreResult<Vec<SessionInfo>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT s.id, s.method, NULL::text AS cluster, s.namespace, s.service_account, s.pod,
                  s.created_at AS "created_at: jiff_sqlx::Timestamp", s.last_used_at AS "last_used_at: jiff_sqlx::Timestamp",
                  s.expires_at AS "expires_at: jiff_sqlx::Timestamp", s.ends_at AS "ends_at: jiff_sqlx::Timestamp",
                  s.second_factor_at AS "second_factor_at: jiff_sqlx::Timestamp", s.client, s.user_agent
           FROM sessions s WHERE s.user_id = $1 AND s.revoked_at IS NULL AND s.expires_at > now()
           ORDER BY s.id DESC LIMIT $2"#,
        user_id,
        MOST,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The sessions of workloads before `before`, newest first, at most `limit`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_workloads(pool: &Pool, before: Option<Uuid>, limit: i64) -> StoreResult<Vec<SessionInfo>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT s.id, s.method, c.prefix AS "cluster?", s.namespace, s.service_account, s.pod,
                  s.created_at AS "created_at: jiff_sqlx::Timestamp", s.last_used_at AS "last_used_at: jiff_sqlx::Timestamp",
                  s.expires_at AS "expires_at: jiff_sqlx::Timestamp", s.ends_at AS "ends_at: jiff_sqlx::Timestamp",
                  s.second_factor_at AS "second_factor_at: jiff_sqlx::Timestamp", s.client, s.user_agent
           FROM sessions s JOIN clusters c ON c.id = s.cluster_id
           WHERE s.revoked_at IS NULL AND s.expires_at > now() AND ($1::uuid IS NULL OR s.id < $1)
           ORDER BY s.id DESC LIMIT $2"#,
        before,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Ends a session of a user; `false` if the user has no such session.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke_of_user(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE sessions SET revoked_at = now() WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > now()",
        id,
        user_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the session of a workload; `false` if there is none.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke_of_workload(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE sessions SET revoked_at = now()
         WHERE id = $1 AND cluster_id IS NOT NULL AND revoked_at IS NULL AND expires_at > now()",
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the sessions of a user, but for one; answers which.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke_all_but(tx: &mut Tx<'_>, user_id: Uuid, but: Option<Uuid>) -> StoreResult<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "UPDATE sessions SET revoked_at = now()
         WHERE user_id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR id <> $2) RETURNING id",
        user_id,
        but
    )
    .fetch_all(&mut **tx)
    .await?)
}
