//! Policies as the API reads and writes them.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::policies::full_name;
use super::pool::Pool;

/// A policy with all that is known of it.
#[derive(Debug, Clone)]
pub struct PolicyRecord {
    /// Its id.
    pub id: Uuid,
    /// Its full name.
    pub name: String,
    /// Prefix of the cluster whose resource it is; absent for one that was written by REST.
    pub cluster: Option<String>,
    /// Rises with each write.
    pub generation: i64,
    /// What it may reach at most.
    pub scope: String,
    /// Subjects and rules.
    pub document: Value,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// When recovery disabled it.
    pub disabled_at: Option<Timestamp>,
}

struct Row {
    id: Uuid,
    cluster: Option<String>,
    namespace: String,
    name: String,
    generation: i64,
    scope: String,
    document: Value,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
    disabled_at: Option<jiff_sqlx::Timestamp>,
}

impl From<Row> for PolicyRecord {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: full_name(row.cluster.as_deref(), &row.namespace, &row.name),
            cluster: row.cluster,
            generation: row.generation,
            scope: row.scope,
            document: row.document,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
            disabled_at: row.disabled_at.map(jiff_sqlx::Timestamp::to_jiff),
        }
    }
}

/// A policy by its full name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, full_name: &str) -> StoreResult<Option<PolicyRecord>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT p.id, c.prefix AS "cluster?", p.namespace, p.name, p.generation, p.scope, p.document,
                  p.created_at AS "created_at: jiff_sqlx::Timestamp", p.updated_at AS "updated_at: jiff_sqlx::Timestamp",
                  p.disabled_at AS "disabled_at: jiff_sqlx::Timestamp"
           FROM policies p LEFT JOIN clusters c ON c.id = p.cluster_id
           WHERE CASE WHEN c.prefix IS NULL THEN p.name ELSE c.prefix || '/' || p.namespace || '/' || p.name END = $1"#,
        full_name
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Into::into))
}

/// The policies whose full names follow `after`, at most `limit`, in the order of names.
///
/// # Errors
/// [`super::StoreError`].
pub async fn page(pool: &Pool, after: &str, limit: i64) -> StoreResult<Vec<PolicyRecord>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT p.id, c.prefix AS "cluster?", p.namespace, p.name, p.generation, p.scope, p.document,
                  p.created_at AS "created_at: jiff_sqlx::Timestamp", p.updated_at AS "updated_at: jiff_sqlx::Timestamp",
                  p.disabled_at AS "disabled_at: jiff_sqlx::Timestamp"
           FROM policies p LEFT JOIN clusters c ON c.id = p.cluster_id
           CROSS JOIN LATERAL (SELECT CASE WHEN c.prefix IS NULL THEN p.name
               ELSE c.prefix || '/' || p.namespace || '/' || p.name END COLLATE "C" AS full_name) AS named
           WHERE named.full_name > $1 ORDER BY named.full_name LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Id and generation of a policy that was written by REST, and how many such policies there are. Call it after
/// [`super::policies::raise_epoch`], which every writer of policies waits for.
///
/// # Errors
/// [`super::StoreError`].
pub async fn current(tx: &mut Tx<'_>, name: &str) -> StoreResult<(Option<(Uuid, i64)>, i64)> {
    let row = sqlx::query!(
        r#"SELECT p.id AS "id?", p.generation AS "generation?", n.count AS "count!"
           FROM (SELECT count(*) FROM policies WHERE cluster_id IS NULL) AS n
           LEFT JOIN policies p ON p.cluster_id IS NULL AND p.name = $1"#,
        name
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((row.id.zip(row.generation), row.count))
}

/// Writes a policy under its next generation; answers when.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put(
    tx: &mut Tx<'_>,
    id: Uuid,
    name: &str,
    generation: i64,
    document: &Value,
) -> StoreResult<PolicyRecord> {
    let row = sqlx::query_as!(
        Row,
        r#"INSERT INTO policies AS p (id, namespace, name, generation, scope, document) VALUES ($1, '', $2, $3, '', $4)
           ON CONFLICT ON CONSTRAINT policies_name_key
           DO UPDATE SET generation = EXCLUDED.generation, document = EXCLUDED.document, updated_at = now()
           RETURNING p.id, NULL::text AS cluster, p.namespace, p.name, p.generation, p.scope, p.document,
                     p.created_at AS "created_at: jiff_sqlx::Timestamp", p.updated_at AS "updated_at: jiff_sqlx::Timestamp",
                  p.disabled_at AS "disabled_at: jiff_sqlx::Timestamp""#,
        id,
        name,
        generation,
        document,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.into())
}

/// Removes a policy that was written by REST.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<()> {
    sqlx::query!("DELETE FROM policies WHERE id = $1 AND cluster_id IS NULL", id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
