//! Postgres: the only place with sqlx. One noun a file; functions over a pool or a transaction. Only `service` calls in here.
//!
//! Queries are compile-time checked against the schema in `migrations`. What must be atomic and fast is one statement; everything
//! else is several over a [`Tx`].

pub mod access_daily;
pub mod accounts;
pub mod api_keys;
pub mod audit;
pub mod audit_blocks;
pub mod audit_keys;
pub mod audit_rows;
pub mod audit_sinks;
pub mod changes;
pub mod cluster_namespaces;
pub mod clusters;
pub mod consumers;
pub mod device_grants;
mod error;
pub mod groups;
pub mod identities;
pub mod jobs;
pub mod keks;
mod kept;
pub mod login_attempts;
pub mod login_challenges;
pub mod migrate;
pub mod one_time_tokens;
pub mod passkeys;
pub mod path_settings;
pub mod policies;
pub mod pool;
pub mod population;
pub mod profiles;
pub mod quotas;
pub mod record_metadata;
pub mod record_moves;
pub mod record_sources;
pub mod record_states;
pub mod record_writes;
pub mod records;
pub mod recovery;
pub mod recovery_codes;
pub mod refresh_tokens;
pub mod reports;
pub mod rest_policies;
pub mod roots;
pub mod sealing_keys;
pub mod second_factors;
pub mod session_list;
pub mod sessions;
pub mod signing_keys;
pub mod sso;
pub mod syncs;
pub mod system_config;
pub mod totp;
pub mod users;
pub mod workloads;
pub mod wraps;

pub use error::{StoreError, StoreResult};
pub use kept::Kept;
pub use pool::Pool;

/// A transaction; rolled back unless committed.
pub type Tx<'c> = sqlx::Transaction<'c, sqlx::Postgres>;

/// Starts a transaction.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn begin(pool: &Pool) -> StoreResult<Tx<'static>> {
    Ok(pool.begin().await?)
}

/// Commits a transaction: when this returns, what it did is durable.
///
/// # Errors
/// [`StoreError`]; whether it was committed is then unknown.
pub async fn commit(tx: Tx<'_>) -> StoreResult<()> {
    Ok(tx.commit().await?)
}
