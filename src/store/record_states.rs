//! Soft-deleting, bringing back and destroying versions, over a transaction that holds the record.

use uuid::Uuid;

use super::Tx;
use super::audit::Bearer;
use super::error::StoreResult;

/// Locks the record for this transaction if what the decision rested on still holds, and raises its revision.
/// `false` if the record moved on, or the policies or the credential did.
///
/// # Errors
/// [`super::StoreError`].
pub async fn claim(tx: &mut Tx<'_>, id: Uuid, revision: i64, bearer: Bearer, policy_epoch: i64) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE secrets SET revision = revision + 1, updated_at = now()
         WHERE id = $1 AND revision = $2
           AND EXISTS (SELECT FROM policy_epoch WHERE epoch = $4)
           AND EXISTS (SELECT FROM roots WHERE id = root_id AND state = 'active')
           AND ($3::uuid IS NULL OR EXISTS (SELECT FROM sessions x
                WHERE x.id = $3 AND x.revoked_at IS NULL AND x.expires_at > now() AND ($7::bigint IS NULL OR x.revision = $7)))
           AND ($5::uuid IS NULL OR EXISTS (SELECT FROM api_keys k
                WHERE k.id = $5 AND k.revision = $6 AND k.revoked_at IS NULL AND k.expires_at > now()))",
        id,
        revision,
        bearer.session,
        policy_epoch,
        bearer.api_key.map(|(id, _)| id),
        bearer.api_key.map(|(_, revision)| revision),
        bearer.session_revision,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Soft-deletes live versions; answers which.
///
/// # Errors
/// [`super::StoreError`].
pub async fn delete(tx: &mut Tx<'_>, id: Uuid, versions: &[i64]) -> StoreResult<Vec<i64>> {
    Ok(sqlx::query_scalar!(
        "UPDATE secret_versions SET state = 'deleted', deleted_at = now()
         WHERE secret_id = $1 AND version = ANY ($2) AND state = 'live' RETURNING version",
        id,
        versions,
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Brings soft-deleted versions back, those too whose time had come; answers which.
///
/// # Errors
/// [`super::StoreError`].
pub async fn undelete(tx: &mut Tx<'_>, id: Uuid, versions: &[i64]) -> StoreResult<Vec<i64>> {
    Ok(sqlx::query_scalar!(
        "UPDATE secret_versions SET state = 'live', deleted_at = NULL, delete_at = NULL
         WHERE secret_id = $1 AND version = ANY ($2) AND version_state(state, delete_at, NULL) = 'deleted' RETURNING version",
        id,
        versions,
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Removes key and ciphertext of versions for good; answers which.
///
/// # Errors
/// [`super::StoreError`].
pub async fn destroy(tx: &mut Tx<'_>, id: Uuid, versions: &[i64]) -> StoreResult<Vec<i64>> {
    Ok(sqlx::query_scalar!(
        "UPDATE secret_versions SET state = 'destroyed', wrapped_dek = NULL, ciphertext = NULL, deleted_at = now()
         WHERE secret_id = $1 AND version = ANY ($2) AND state <> 'destroyed' RETURNING version",
        id,
        versions,
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Deletes the whole record, so that it can be restored.
///
/// # Errors
/// [`super::StoreError`].
pub async fn delete_record(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE secrets SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL",
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Restores a record that was deleted.
///
/// # Errors
/// [`super::StoreError`].
pub async fn restore_record(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<()> {
    sqlx::query!("UPDATE secrets SET deleted_at = NULL WHERE id = $1", id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Removes a record for good, with all that is known of it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn purge_record(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<()> {
    sqlx::query!("DELETE FROM secrets WHERE id = $1", id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Removes for good what was deleted longer than `seconds` ago, at most `limit` records; answers their paths.
///
/// # Errors
/// [`super::StoreError`].
pub async fn purge_deleted(tx: &mut Tx<'_>, seconds: f64, limit: i64) -> StoreResult<Vec<String>> {
    Ok(sqlx::query_scalar!(
        "DELETE FROM secrets WHERE id IN (
             SELECT id FROM secrets WHERE deleted_at < now() - make_interval(secs => $1)
             ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING path",
        seconds,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Destroys versions whose time came longer than `seconds` ago, at most `limit`; answers the paths and versions.
///
/// # Errors
/// [`super::StoreError`].
pub async fn destroy_overdue(tx: &mut Tx<'_>, seconds: f64, limit: i64) -> StoreResult<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        "WITH due AS (
             SELECT v.secret_id, v.version FROM secret_versions v JOIN secrets s ON s.id = v.secret_id
             WHERE v.delete_at < now() - make_interval(secs => $1) AND v.state <> 'destroyed'
             ORDER BY v.delete_at LIMIT $2 FOR UPDATE OF s SKIP LOCKED
         ), raised AS (
             UPDATE secrets SET revision = revision + 1 WHERE id IN (SELECT secret_id FROM due) RETURNING id, path
         ), destroyed AS (
             UPDATE secret_versions v
             SET state = 'destroyed', wrapped_dek = NULL, ciphertext = NULL, deleted_at = COALESCE(v.deleted_at, v.delete_at)
             FROM due WHERE v.secret_id = due.secret_id AND v.version = due.version RETURNING v.secret_id, v.version
         )
         SELECT r.path, d.version FROM destroyed d JOIN raised r ON r.id = d.secret_id ORDER BY r.path, d.version",
        seconds,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.path, row.version)).collect())
}
