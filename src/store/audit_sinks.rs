//! How far each sink has got.

use super::error::StoreResult;
use super::pool::Pool;

/// The height of the last block that a sink has taken; a sink that is new gets `start`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn position(pool: &Pool, name: &str, start: i64) -> StoreResult<i64> {
    let found = sqlx::query_scalar!("SELECT height FROM audit_sinks WHERE name = $1", name)
        .fetch_optional(pool)
        .await?;
    if let Some(height) = found {
        return Ok(height);
    }
    sqlx::query!(
        "INSERT INTO audit_sinks (name, height) VALUES ($1, $2) ON CONFLICT ON CONSTRAINT audit_sinks_pkey DO NOTHING",
        name,
        start
    )
    .execute(pool)
    .await?;
    Ok(start)
}

/// Notes that a sink has taken a block. A position never goes back.
///
/// # Errors
/// [`super::StoreError`].
pub async fn advance(pool: &Pool, name: &str, height: i64) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE audit_sinks SET height = $2, delivered_at = now() WHERE name = $1 AND height < $2",
        name,
        height
    )
    .execute(pool)
    .await?;
    Ok(())
}
