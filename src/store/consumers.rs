//! Which Secrets and workloads carry a record.

use jiff::Timestamp;
use serde_json::Value;

use super::error::StoreResult;
use super::pool::Pool;
use crate::domain::path::RecordPath;

/// A `VaultSecret` that uses a record, with one workload that uses its Secret, if any does.
#[derive(Debug, Clone)]
pub struct ConsumerRow {
    /// The cluster's prefix.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The `VaultSecret`.
    pub name: String,
    /// Its Secret.
    pub secret: String,
    /// The records that the Secret carries.
    pub records: Value,
    /// When that was last written.
    pub updated_at: Timestamp,
    /// Kind and name of a workload.
    pub workload: Option<(String, String)>,
    /// Whether the workload's pods started with the data that the Secret holds now.
    pub current: bool,
}

/// The consumers of a record in the order of cluster, namespace and name, from `after`, the three of one joined by `/`, (exclusive) on; at most `limit` `VaultSecret`s, with a
/// row for each workload.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(pool: &Pool, path: &RecordPath, after: &str, limit: i64) -> StoreResult<Vec<ConsumerRow>> {
    let rows = sqlx::query!(
        r#"WITH page AS (
               SELECT c.prefix, s.*
               FROM syncs s JOIN clusters c ON c.id = s.cluster_id
               WHERE s.records @> jsonb_build_array(jsonb_build_object('path', $1::text))
                 AND (c.prefix, s.namespace, s.name)
                     > (split_part($2, '/', 1) COLLATE "C", split_part($2, '/', 2) COLLATE "C", split_part($2, '/', 3) COLLATE "C")
               ORDER BY c.prefix, s.namespace, s.name
               LIMIT $3
           )
           SELECT p.prefix AS "cluster!", p.namespace AS "namespace!", p.name AS "name!", p.secret_name AS "secret!",
                  p.records AS "records!", p.updated_at AS "updated_at!: jiff_sqlx::Timestamp", w.kind AS "kind?", w.name AS "workload?",
                  COALESCE(w.carried ->> p.secret_name = encode(p.content_hash, 'hex'), false) AS "current!"
           FROM page p
           LEFT JOIN workloads w ON w.cluster_id = p.cluster_id AND w.namespace = p.namespace AND w.carried ? p.secret_name
           ORDER BY p.prefix, p.namespace, p.name, w.kind, w.name"#,
        path.as_str(),
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    let found = rows.into_iter().map(|row| ConsumerRow {
        cluster: row.cluster,
        namespace: row.namespace,
        name: row.name,
        secret: row.secret,
        records: row.records,
        updated_at: row.updated_at.to_jiff(),
        workload: row.kind.zip(row.workload),
        current: row.current,
    });
    Ok(found.collect())
}
