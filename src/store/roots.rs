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
