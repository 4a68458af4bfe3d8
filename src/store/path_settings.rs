//! What writes below prefixes are held to. They count with the policy epoch: whoever changes them raises it.

use jiff::Timestamp;

use super::Tx;
use super::error::{StoreError, StoreResult};
use super::pool::Pool;
use crate::domain::path::PathPrefix;
use crate::domain::record::Retention;

/// What a prefix asks of the records below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathSettingRow {
    /// The prefix.
    pub prefix: PathPrefix,
    /// What it asks.
    pub retention: Retention,
    /// When that was last set.
    pub updated_at: Timestamp,
}

/// All of them, in the order of prefixes. One round trip.
///
/// # Errors
/// [`StoreError`].
pub async fn all(pool: &Pool) -> StoreResult<Vec<PathSettingRow>> {
    let rows = sqlx::query!(
        r#"SELECT prefix, cas_required, max_versions, delete_version_after, updated_at AS "updated_at: jiff_sqlx::Timestamp"
           FROM path_settings ORDER BY prefix"#
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PathSettingRow {
                prefix: PathPrefix::parse(&row.prefix).map_err(|_| StoreError::BrokenRow {
                    table: "path_settings",
                    column: "prefix",
                    row: row.prefix,
                })?,
                retention: Retention {
                    cas_required: row.cas_required,
                    max_versions: row.max_versions,
                    delete_version_after: row.delete_version_after,
                },
                updated_at: row.updated_at.to_jiff(),
            })
        })
        .collect()
}

/// Sets what a prefix asks; answers how many prefixes ask something afterwards.
///
/// # Errors
/// [`StoreError`].
pub async fn set(tx: &mut Tx<'_>, prefix: &PathPrefix, retention: Retention) -> StoreResult<i64> {
    sqlx::query!(
        "INSERT INTO path_settings (prefix, cas_required, max_versions, delete_version_after) VALUES ($1, $2, $3, $4)
         ON CONFLICT ON CONSTRAINT path_settings_pkey DO UPDATE
         SET cas_required = $2, max_versions = $3, delete_version_after = $4, updated_at = now()",
        prefix.as_str(),
        retention.cas_required,
        retention.max_versions,
        retention.delete_version_after,
    )
    .execute(&mut **tx)
    .await?;
    Ok(sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM path_settings"#)
        .fetch_one(&mut **tx)
        .await?)
}

/// Removes what a prefix asks; `false` if it asked nothing.
///
/// # Errors
/// [`StoreError`].
pub async fn remove(tx: &mut Tx<'_>, prefix: &PathPrefix) -> StoreResult<bool> {
    let done = sqlx::query!("DELETE FROM path_settings WHERE prefix = $1", prefix.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}
