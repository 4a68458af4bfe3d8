//! Namespaces of clusters as their controllers saw them: which one bore a name when.

use jiff::Timestamp;
use uuid::Uuid;

use super::error::StoreResult;
use super::pool::Pool;

/// A namespace as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRow {
    /// Its uid.
    pub uid: String,
    /// When it was made, in seconds since 1970.
    pub created_at: i64,
    /// When it was last seen, in seconds since 1970.
    pub seen_at: i64,
}

/// Notes what was seen at a moment; a row that says something later already stays. Another uid is noted at once, the same one again only
/// after `every` seconds, so that several replicas do not write the same.
///
/// # Errors
/// [`super::StoreError`].
pub async fn note(
    pool: &Pool,
    cluster_id: Uuid,
    names: &[String],
    uids: &[String],
    created: &[i64],
    seen_at: Timestamp,
    every: f64,
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO cluster_namespaces AS n (cluster_id, name, uid, created_at, seen_at)
         SELECT $1, s.name, s.uid, to_timestamp(s.created::double precision), ($5::text)::timestamptz
         FROM unnest($2::text[], $3::text[], $4::bigint[]) AS s(name, uid, created)
         ON CONFLICT ON CONSTRAINT cluster_namespaces_pkey DO UPDATE
         SET uid = excluded.uid, created_at = excluded.created_at, seen_at = excluded.seen_at
         WHERE n.seen_at < excluded.seen_at
           AND (n.uid <> excluded.uid OR n.seen_at < excluded.seen_at - make_interval(secs => $6))",
        cluster_id,
        names,
        uids,
        created,
        seen_at.to_string(),
        every,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The namespace that bore a name when it was last looked for.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, cluster_id: Uuid, name: &str) -> StoreResult<Option<SeenRow>> {
    Ok(sqlx::query_as!(
        SeenRow,
        r#"SELECT uid, floor(extract(epoch FROM created_at))::bigint AS "created_at!",
                  floor(extract(epoch FROM seen_at))::bigint AS "seen_at!"
           FROM cluster_namespaces WHERE cluster_id = $1 AND name = $2"#,
        cluster_id,
        name
    )
    .fetch_optional(pool)
    .await?)
}

/// Forgets namespaces that nobody saw for a day; answers how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!("DELETE FROM cluster_namespaces WHERE seen_at < now() - interval '1 day'")
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}
