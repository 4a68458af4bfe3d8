//! Settings kept in the database.

use serde_json::Value;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// Every setting that was set, by key.
///
/// # Errors
/// [`super::StoreError`].
pub async fn load(pool: &Pool) -> StoreResult<Vec<(String, Value)>> {
    let rows = sqlx::query!("SELECT key, value FROM system_config ORDER BY key")
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
}

/// Sets one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set(tx: &mut Tx<'_>, key: &str, value: &Value) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO system_config (key, value) VALUES ($1, $2)
         ON CONFLICT ON CONSTRAINT system_config_pkey DO UPDATE SET value = excluded.value, updated_at = now()",
        key,
        value
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Puts the default back in force.
///
/// # Errors
/// [`super::StoreError`].
pub async fn reset(tx: &mut Tx<'_>, key: &str) -> StoreResult<()> {
    sqlx::query!("DELETE FROM system_config WHERE key = $1", key)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
