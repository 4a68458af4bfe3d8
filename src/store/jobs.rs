//! Work that one process at a time does: who holds it, until when, and how the last run went.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use super::error::StoreResult;
use super::pool::Pool;

/// How the last run of a job went.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// Its name.
    pub name: String,
    /// The process that does it.
    pub holder: Uuid,
    /// Until when nobody else may.
    pub lease_until: Timestamp,
    /// When the last noted run ended.
    pub finished_at: Option<Timestamp>,
    /// How long it took, in seconds.
    pub seconds: Option<f64>,
    /// Whether it did what it is for.
    pub ok: Option<bool>,
    /// What it did, or why it failed.
    pub detail: Option<String>,
    /// Runs that were noted.
    pub runs: i64,
    /// Those of them that failed.
    pub failures: i64,
}

/// Takes or keeps a job for `lease` seconds, by the database's clock; `false` if another process holds it. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hold(pool: &Pool, name: &str, holder: Uuid, lease: f64) -> StoreResult<bool> {
    let held = sqlx::query!(
        r#"INSERT INTO jobs (name, holder, lease_until) VALUES ($1, $2, now() + make_interval(secs => $3))
           ON CONFLICT ON CONSTRAINT jobs_pkey DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
           WHERE jobs.holder = excluded.holder OR jobs.lease_until <= now()
           RETURNING name"#,
        name,
        holder,
        lease,
    )
    .fetch_optional(pool)
    .await?;
    Ok(held.is_some())
}

/// Whether a job that runs every `every` seconds is due: it never ran, or its last run was that long ago.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_due(pool: &Pool, name: &str, every: f64) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT COALESCE((SELECT finished_at <= now() - make_interval(secs => $2) FROM jobs WHERE name = $1), true) AS "due!""#,
        name,
        every
    )
    .fetch_one(pool)
    .await?)
}

/// Notes how a run went.
///
/// # Errors
/// [`super::StoreError`].
pub async fn note(pool: &Pool, name: &str, holder: Uuid, seconds: f64, ok: bool, detail: &str) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE jobs SET started_at = now() - make_interval(secs => $3), finished_at = now(), seconds = $3,
                         result = CASE WHEN $4 THEN 'ok' ELSE 'failed' END, detail = $5, runs = runs + 1,
                         failures = failures + CASE WHEN $4 THEN 0 ELSE 1 END
         WHERE name = $1 AND holder = $2",
        name,
        holder,
        seconds,
        ok,
        detail,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Lets another process take at once what this one holds.
///
/// # Errors
/// [`super::StoreError`].
pub async fn release(pool: &Pool, holder: Uuid) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE jobs SET lease_until = now() WHERE holder = $1 AND lease_until > now()",
        holder
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// All jobs, by name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(pool: &Pool) -> StoreResult<Vec<JobRow>> {
    let rows = sqlx::query!(
        r#"SELECT name, holder, lease_until AS "lease_until: SqlTimestamp", finished_at AS "finished_at: SqlTimestamp", seconds, result, detail,
                  runs, failures
           FROM jobs ORDER BY name"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| JobRow {
            name: row.name,
            holder: row.holder,
            lease_until: row.lease_until.to_jiff(),
            finished_at: row.finished_at.map(SqlTimestamp::to_jiff),
            seconds: row.seconds,
            ok: row.result.map(|result| result == "ok"),
            detail: row.detail,
            runs: row.runs,
            failures: row.failures,
        })
        .collect())
}
