//! What stands beside a record that a resource feeds, where no version is written. The record is claimed first, see
//! [`super::record_states::claim`].

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::record_writes::SourceColumns;

/// Says who feeds a record and what was done so far.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set(tx: &mut Tx<'_>, id: Uuid, source: SourceColumns<'_>) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE secrets SET managed_by = $2, source = $3 WHERE id = $1",
        id,
        source.managed_by,
        source.state,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Gives the records that a resource feeds back to everybody, all of them or one; answers their paths.
///
/// # Errors
/// [`super::StoreError`].
pub async fn release(tx: &mut Tx<'_>, managed_by: &str, path: Option<&str>) -> StoreResult<Vec<String>> {
    Ok(sqlx::query_scalar!(
        "UPDATE secrets SET managed_by = NULL, revision = revision + 1, updated_at = now()
         WHERE managed_by = $1 AND ($2::text IS NULL OR path = $2) RETURNING path",
        managed_by,
        path,
    )
    .fetch_all(&mut **tx)
    .await?)
}
