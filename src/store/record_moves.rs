//! Moving a record: the row and its keys change place, the values stay where they are.

use uuid::Uuid;

use super::Tx;
use super::error::{StoreError, StoreResult};
use super::pool::Pool;
use crate::domain::path::RecordPath;

/// The wrapped keys of all versions that have one.
///
/// # Errors
/// [`StoreError`].
pub async fn wrapped_keys(pool: &Pool, id: Uuid) -> StoreResult<Vec<(i64, Vec<u8>)>> {
    let rows = sqlx::query!(
        r#"SELECT version, wrapped_dek AS "wrapped_dek!" FROM secret_versions
           WHERE secret_id = $1 AND wrapped_dek IS NOT NULL ORDER BY version"#,
        id
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.version, row.wrapped_dek)).collect())
}

/// Gives a record that the transaction holds another path, root and wrapped keys. `false` if there is a record at that path, a deleted one
/// too, or if the root is not in use.
///
/// # Errors
/// [`StoreError`].
pub async fn relocate(
    tx: &mut Tx<'_>,
    id: Uuid,
    root_id: Uuid,
    path: &RecordPath,
    keys: &[(i64, Vec<u8>)],
) -> StoreResult<bool> {
    let held = sqlx::query!(
        "SELECT id FROM roots WHERE id = $1 AND state = 'active' FOR SHARE",
        root_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    if held.is_none() {
        return Ok(false);
    }
    let moved = sqlx::query!(
        "UPDATE secrets SET path = $2, root_id = $3 WHERE id = $1",
        id,
        path.as_str(),
        root_id
    )
    .execute(&mut **tx)
    .await
    .map_err(StoreError::from);
    match moved {
        Err(error) if error.is_constraint("secrets_path_key") => return Ok(false),
        outcome => outcome?,
    };
    let (versions, wrapped): (Vec<i64>, Vec<Vec<u8>>) = keys.iter().cloned().unzip();
    sqlx::query!(
        "UPDATE secret_versions v SET wrapped_dek = k.wrapped_dek
         FROM unnest($2::bigint[], $3::bytea[]) AS k(version, wrapped_dek)
         WHERE v.secret_id = $1 AND v.version = k.version",
        id,
        &versions,
        &wrapped,
    )
    .execute(&mut **tx)
    .await?;
    Ok(true)
}
