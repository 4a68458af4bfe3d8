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
                WHERE x.id = $3 AND x.revoked_at IS NULL AND x.expires_at > now()))
           AND ($5::uuid IS NULL OR EXISTS (SELECT FROM api_keys k
                WHERE k.id = $5 AND k.revision = $6 AND k.revoked_at IS NULL AND k.expires_at > now()))",
        id,
        revision,
        bearer.session,
        policy_epoch,
        bearer.api_key.map(|(id, _)| id),
        bearer.api_key.map(|(_, revision)| revision),
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

/// Brings soft-deleted versions back; answers which.
///
/// # Errors
/// [`super::StoreError`].
pub async fn undelete(tx: &mut Tx<'_>, id: Uuid, versions: &[i64]) -> StoreResult<Vec<i64>> {
    Ok(sqlx::query_scalar!(
        "UPDATE secret_versions SET state = 'live', deleted_at = NULL
         WHERE secret_id = $1 AND version = ANY ($2) AND state = 'deleted' RETURNING version",
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
