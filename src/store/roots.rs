//! Roots and the namespaces that they are bound to.

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A root as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its id.
    pub id: Uuid,
    /// Its path, without a trailing `/`.
    pub path: String,
    /// The uid of the namespace it belongs to; absent until that namespace first asks.
    pub namespace_uid: Option<String>,
    /// `active`, `orphaned` or `shredded`.
    pub state: String,
}

/// The root at a path.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, path: &str) -> StoreResult<Option<Root>> {
    Ok(sqlx::query_as!(
        Root,
        "SELECT id, path, namespace_uid, state FROM roots WHERE path = $1",
        path
    )
    .fetch_optional(pool)
    .await?)
}

/// Makes the root if there is none. Answers it, and whether it is new.
///
/// # Errors
/// [`super::StoreError`].
pub async fn ensure(tx: &mut Tx<'_>, id: Uuid, kind: &str, path: &str) -> StoreResult<(Root, bool)> {
    let new = sqlx::query!(
        "INSERT INTO roots (id, kind, path) VALUES ($1, $2, $3) ON CONFLICT ON CONSTRAINT roots_path_key DO NOTHING",
        id,
        kind,
        path,
    )
    .execute(&mut **tx)
    .await?
    .rows_affected()
        == 1;
    let root = sqlx::query_as!(
        Root,
        "SELECT id, path, namespace_uid, state FROM roots WHERE path = $1",
        path
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((root, new))
}

/// Binds a namespace's root to its uid if it is not bound yet; answers the uid that it is bound to.
///
/// # Errors
/// [`super::StoreError`].
pub async fn bind(tx: &mut Tx<'_>, id: Uuid, namespace_uid: &str) -> StoreResult<(String, bool)> {
    let row = sqlx::query!(
        r#"WITH bound AS (
             UPDATE roots SET namespace_uid = $2 WHERE id = $1 AND namespace_uid IS NULL AND kind = 'namespace' RETURNING namespace_uid
           )
           SELECT COALESCE((SELECT namespace_uid FROM bound), (SELECT namespace_uid FROM roots WHERE id = $1)) AS uid,
                  EXISTS (SELECT FROM bound) AS "new!""#,
        id,
        namespace_uid,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((row.uid.unwrap_or_default(), row.new))
}

/// Gives a root to another namespace; `false` if there is no such root.
///
/// # Errors
/// [`super::StoreError`].
pub async fn adopt(tx: &mut Tx<'_>, path: &str, namespace_uid: &str) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE roots SET namespace_uid = $2, state = 'active' WHERE path = $1 AND kind = 'namespace' AND state <> 'shredded'",
        path,
        namespace_uid,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The paths of roots whose keys are gone.
///
/// # Errors
/// [`super::StoreError`].
pub async fn shredded(pool: &Pool) -> StoreResult<Vec<String>> {
    Ok(
        sqlx::query_scalar!("SELECT path FROM roots WHERE state = 'shredded' ORDER BY path")
            .fetch_all(pool)
            .await?,
    )
}

/// Removes the keys of a root and whatever waits to be unwrapped; its records do not open from then on. Answers its id, or `None` if there is no
/// such root.
///
/// # Errors
/// [`super::StoreError`].
pub async fn shred(tx: &mut Tx<'_>, path: &str) -> StoreResult<Option<Uuid>> {
    let id = sqlx::query_scalar!(
        "UPDATE roots SET state = 'shredded' WHERE path = $1 AND kind <> 'system' RETURNING id",
        path
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(id) = id else { return Ok(None) };
    sqlx::query!("DELETE FROM keks WHERE root_id = $1", id)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("DELETE FROM wraps WHERE root_id = $1", id)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("DELETE FROM root_quotas WHERE root_id = $1", id)
        .execute(&mut **tx)
        .await?;
    Ok(Some(id))
}

/// Removes records of shredded roots, which nothing opens any more; at most `limit`. Answers how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn purge_shredded(pool: &Pool, limit: i64) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM secrets WHERE id IN (
             SELECT s.id FROM roots r JOIN secrets s ON s.root_id = r.id WHERE r.state = 'shredded'
             LIMIT $1 FOR UPDATE OF s SKIP LOCKED)",
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Holds a namespace's root for a transaction as long as it belongs to the namespace with this uid; `false` if it does not.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hold(tx: &mut Tx<'_>, path: &str, namespace_uid: &str) -> StoreResult<bool> {
    let held = sqlx::query!(
        "SELECT id FROM roots WHERE path = $1 AND namespace_uid = $2 FOR SHARE",
        path,
        namespace_uid
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(held.is_some())
}

/// A namespace's root that belongs to an earlier namespace of the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanedRoot {
    /// Its path.
    pub path: String,
    /// The uid of the namespace that it belongs to.
    pub namespace_uid: String,
    /// The uid of the namespace that bears the name now; absent if the controller sees none.
    pub successor: Option<String>,
    /// How many records lie below.
    pub records: i64,
}

/// The roots of a cluster whose namespace is not the one that its controller saw within two minutes, in the order of paths. None while no
/// controller looks: then nothing is known to be gone.
///
/// # Errors
/// [`super::StoreError`].
pub async fn orphaned(pool: &Pool, cluster_prefix: &str) -> StoreResult<Vec<OrphanedRoot>> {
    Ok(sqlx::query_as!(
        OrphanedRoot,
        r#"SELECT r.path, r.namespace_uid AS "namespace_uid!", n.uid AS "successor?",
                  (SELECT count(*) FROM secrets s WHERE s.root_id = r.id) AS "records!"
           FROM roots r
           JOIN clusters c ON c.prefix = split_part(r.path, '/', 1)
           LEFT JOIN cluster_namespaces n ON n.cluster_id = c.id AND n.name = split_part(r.path, '/', 2)
                AND n.seen_at > now() - interval '2 minutes'
           WHERE c.prefix = $1
             AND EXISTS (SELECT FROM cluster_namespaces f WHERE f.cluster_id = c.id AND f.seen_at > now() - interval '2 minutes') AND r.kind = 'namespace' AND r.namespace_uid IS NOT NULL AND r.state <> 'shredded'
             AND n.uid IS DISTINCT FROM r.namespace_uid
           ORDER BY r.path"#,
        cluster_prefix
    )
    .fetch_all(pool)
    .await?)
}

/// Removes every record below a namespace's root that belongs to this namespace, and leaves the root to the next one that asks. Answers how
/// many records went; `None` if the root is not that namespace's.
///
/// # Errors
/// [`super::StoreError`].
pub async fn purge(tx: &mut Tx<'_>, path: &str, namespace_uid: &str) -> StoreResult<Option<u64>> {
    let root = sqlx::query_scalar!(
        "UPDATE roots SET namespace_uid = NULL, state = 'active'
         WHERE path = $1 AND kind = 'namespace' AND namespace_uid = $2 AND state <> 'shredded' RETURNING id",
        path,
        namespace_uid,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(root) = root else { return Ok(None) };
    sqlx::query!("DELETE FROM wraps WHERE root_id = $1", root)
        .execute(&mut **tx)
        .await?;
    let gone = sqlx::query!("DELETE FROM secrets WHERE root_id = $1", root)
        .execute(&mut **tx)
        .await?;
    Ok(Some(gone.rows_affected()))
}
