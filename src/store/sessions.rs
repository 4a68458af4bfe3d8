//! Sessions: what an access token stands on.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A session with the user that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The user's id.
    pub user_id: Uuid,
    /// The user's canonical name.
    pub user_name: String,
    /// The user's role.
    pub role: String,
    /// When the name was last retired, if somebody else bore it before.
    pub name_since: Option<Timestamp>,
    /// Whether it may act: neither revoked nor past its end, and the user not disabled.
    pub live: bool,
    /// Rises when what the session stands for changes.
    pub revision: i64,
    /// When it last saw a second factor.
    pub second_factor_at: Option<Timestamp>,
}

/// A session by id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, id: Uuid) -> StoreResult<Option<SessionRow>> {
    let row = sqlx::query!(
        r#"SELECT u.id AS user_id, u.name AS user_name, u.role, s.revision,
                  s.second_factor_at AS "second_factor_at: jiff_sqlx::Timestamp",
                  (SELECT r.retired_at FROM retired_names r WHERE r.kind = 'user' AND r.name = u.name)
                      AS "name_since: jiff_sqlx::Timestamp",
                  (s.revoked_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL AND u.deleted_at IS NULL) AS "live!"
           FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| SessionRow {
        user_id: row.user_id,
        user_name: row.user_name,
        role: row.role,
        name_since: row.name_since.map(jiff_sqlx::Timestamp::to_jiff),
        live: row.live,
        revision: row.revision,
        second_factor_at: row.second_factor_at.map(jiff_sqlx::Timestamp::to_jiff),
    }))
}

/// Notes when a session saw a second factor, and raises its revision; `false` if it has ended.
///
/// # Errors
/// [`super::StoreError`].
pub async fn step_up(tx: &mut Tx<'_>, id: Uuid, at: Timestamp) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE sessions SET second_factor_at = ($2::text)::timestamptz, revision = revision + 1, last_used_at = now()
         WHERE id = $1 AND revoked_at IS NULL AND expires_at > now()",
        id,
        at.to_string(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a session began within `seconds`, and its user has no password to show again.
///
/// # Errors
/// [`super::StoreError`].
pub async fn began_without_password(pool: &Pool, id: Uuid, seconds: f64) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM sessions s JOIN users u ON u.id = s.user_id
                          WHERE s.id = $1 AND s.created_at > now() - make_interval(secs => $2) AND u.password_hash IS NULL) AS "recent!""#,
        id,
        seconds,
    )
    .fetch_one(pool)
    .await?)
}

/// Name, role and, if somebody else bore the name before, until when.
///
/// # Errors
/// [`super::StoreError`].
pub async fn bearer_of(pool: &Pool, user_id: Uuid) -> StoreResult<Option<(String, String, Option<Timestamp>)>> {
    let row = sqlx::query!(
        r#"SELECT u.name, u.role,
                  (SELECT r.retired_at FROM retired_names r WHERE r.kind = 'user' AND r.name = u.name) AS "since: jiff_sqlx::Timestamp"
           FROM users u WHERE u.id = $1"#,
        user_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.name, row.role, row.since.map(jiff_sqlx::Timestamp::to_jiff))))
}

/// The groups of a user, each with the time until which the name meant another group.
///
/// # Errors
/// [`super::StoreError`].
pub async fn groups_of(pool: &Pool, user_id: Uuid) -> StoreResult<Vec<(String, Option<Timestamp>)>> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT g.name,
                  (SELECT r.retired_at FROM retired_names r WHERE r.kind = 'group' AND r.name = g.name)
                      AS "since: jiff_sqlx::Timestamp"
           FROM group_members m JOIN groups g ON g.id = m.group_id WHERE m.user_id = $1 ORDER BY g.name"#,
        user_id
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name, row.since.map(jiff_sqlx::Timestamp::to_jiff)))
        .collect())
}

/// A session to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: Uuid,
    /// The user's id.
    pub user_id: Uuid,
    /// `password`, `passkey`, `sso` or `device`.
    pub method: &'a str,
    /// When a second factor was shown.
    pub second_factor_at: Option<Timestamp>,
    /// The client's address.
    pub client: Option<&'a str>,
    /// The client's name for itself, fit to be stored.
    pub user_agent: Option<&'a str>,
    /// The identity that it came by.
    pub identity_id: Option<Uuid>,
    /// The session at that identity's provider.
    pub provider_session: Option<&'a str>,
    /// Seconds after which it ends unless it is used.
    pub idle_seconds: f64,
    /// Seconds after which it ends in any case.
    pub seconds: f64,
}

/// Begins a session; answers, by the database's clock, when it ends unless it is used and when in any case.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(tx: &mut Tx<'_>, new: &NewSession<'_>) -> StoreResult<(Timestamp, Timestamp)> {
    let ends = sqlx::query!(
        r#"INSERT INTO sessions (id, user_id, method, second_factor_at, client, user_agent, expires_at, ends_at,
                                 identity_id, provider_session)
           VALUES ($1, $2, $3, ($4::text)::timestamptz, $5, $6, now() + make_interval(secs => least($7::float8, $8::float8)), now() + make_interval(secs => $8::float8), $9, $10)
           RETURNING expires_at AS "expires_at: jiff_sqlx::Timestamp", ends_at AS "ends_at: jiff_sqlx::Timestamp""#,
        new.id,
        new.user_id,
        new.method,
        new.second_factor_at.map(|at| at.to_string()),
        new.client,
        new.user_agent,
        new.idle_seconds,
        new.seconds,
        new.identity_id,
        new.provider_session,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((ends.expires_at.to_jiff(), ends.ends_at.to_jiff()))
}

/// Ends a session; `false` if it was ended before.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE sessions SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL",
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends every session of a user.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke_all_of(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<u64> {
    let done = sqlx::query!(
        "UPDATE sessions SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL",
        user_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Removes sessions that ended more than a day ago, be it by themselves; answers how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM sessions WHERE expires_at < now() - interval '1 day' OR revoked_at < now() - interval '1 day'"
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// The workload that a session belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadRow {
    /// The cluster's id.
    pub cluster_id: Uuid,
    /// The cluster's prefix.
    pub cluster: String,
    /// The namespace's name.
    pub namespace: String,
    /// The namespace's uid.
    pub namespace_uid: String,
    /// The service account's name.
    pub service_account: String,
    /// The service account's uid.
    pub service_account_uid: String,
    /// The pod that its token was bound to.
    pub pod: Option<String>,
    /// The pod's uid.
    pub pod_uid: Option<String>,
}

/// The workload of a session that is neither revoked nor past its end.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find_workload(pool: &Pool, id: Uuid) -> StoreResult<Option<WorkloadRow>> {
    Ok(sqlx::query_as!(
        WorkloadRow,
        r#"SELECT c.id AS cluster_id, c.prefix AS cluster, s.namespace AS "namespace!", s.namespace_uid AS "namespace_uid!",
                  s.service_account AS "service_account!", s.service_account_uid AS "service_account_uid!", s.pod, s.pod_uid
           FROM sessions s JOIN clusters c ON c.id = s.cluster_id
           WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > now()"#,
        id
    )
    .fetch_optional(pool)
    .await?)
}

/// Begins a workload's session of `seconds`; answers its end by the database's clock.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert_workload(
    tx: &mut Tx<'_>,
    id: Uuid,
    workload: &WorkloadRow,
    client: Option<&str>,
    seconds: f64,
) -> StoreResult<Timestamp> {
    let end = sqlx::query_scalar!(
        r#"INSERT INTO sessions (id, method, cluster_id, namespace, namespace_uid, service_account, service_account_uid, pod, pod_uid,
                                 client, expires_at, ends_at)
           VALUES ($1, 'workload', $2, $3, $4, $5, $6, $7, $8, $9, now() + make_interval(secs => $10), now() + make_interval(secs => $10))
           RETURNING expires_at AS "end: jiff_sqlx::Timestamp""#,
        id,
        workload.cluster_id,
        workload.namespace,
        workload.namespace_uid,
        workload.service_account,
        workload.service_account_uid,
        workload.pod,
        workload.pod_uid,
        client,
        seconds,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(end.to_jiff())
}

/// Ends the sessions of workloads of other namespaces than the one with this uid that bore the name of a root.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke_of_other_namespaces(tx: &mut Tx<'_>, root: &str, namespace_uid: &str) -> StoreResult<u64> {
    let done = sqlx::query!(
        "UPDATE sessions s SET revoked_at = now() FROM clusters c
         WHERE c.id = s.cluster_id AND c.prefix || '/' || s.namespace = $1 AND s.namespace_uid <> $2 AND s.revoked_at IS NULL",
        root,
        namespace_uid
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Whether a session began, or saw a second factor, within these seconds.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_recent(executor: impl sqlx::PgExecutor<'_>, id: Uuid, seconds: f64) -> StoreResult<bool> {
    let recent = sqlx::query_scalar!(
        r#"SELECT greatest(created_at, second_factor_at) > now() - make_interval(secs => $2) AS "recent!" FROM sessions WHERE id = $1"#,
        id,
        seconds,
    )
    .fetch_optional(executor)
    .await?;
    Ok(recent.unwrap_or(false))
}
