//! Connections.

use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::error::StoreResult;

/// A pool of connections as one database role.
pub type Pool = sqlx::PgPool;

/// The age at which a connection is replaced.
pub(super) const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// How long a connection may lie idle before it is closed: something between us and the server may have forgotten it.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// When this process last lost a connection.
static LOST: Mutex<Option<Instant>> = Mutex::new(None);

/// Notes that a connection was lost: those that lay idle then are most likely lost too.
pub(super) fn doubt_idle_connections() {
    *LOST.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Whether a connection that was idle for so long may have been lost with another one.
fn is_doubtful(idle: Duration) -> bool {
    let lost = *LOST.lock().unwrap_or_else(PoisonError::into_inner);
    lost.is_some_and(|at| at.elapsed() <= idle)
}

/// How to connect.
#[derive(Clone)]
pub struct PoolOptions {
    /// Most connections at a time.
    pub max_connections: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// What Postgres lets a statement take.
    pub statement_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: &'static str,
}

/// Makes a pool that connects when first used, so that a process can start before its database.
///
/// # Errors
/// [`super::StoreError::Refused`] if the DSN does not parse.
pub fn connect_lazy(dsn: &str, options: &PoolOptions) -> StoreResult<Pool> {
    Ok(PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        // A ping before each use would double the round trips. One that died unnoticed shows at its next use; the others are asked then.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move { Ok(!is_doubtful(meta.idle_for) || connection.ping().await.is_ok()) })
        })
        .max_lifetime(MAX_LIFETIME)
        .idle_timeout(IDLE_TIMEOUT)
        .connect_lazy_with(connect_options(dsn, options)?))
}

/// Lets the connections that a pool opens from now on use another DSN: its password was replaced. Open ones live on.
///
/// # Errors
/// [`super::StoreError::Refused`] if the DSN does not parse; the pool stays as it is.
pub fn replace_dsn(pool: &Pool, dsn: &str, options: &PoolOptions) -> StoreResult<()> {
    pool.set_connect_options(connect_options(dsn, options)?);
    Ok(())
}

fn connect_options(dsn: &str, options: &PoolOptions) -> StoreResult<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(dsn)?
        .application_name(options.application_name)
        .options([
            ("statement_timeout", options.statement_timeout.as_millis().to_string()),
            ("idle_in_transaction_session_timeout", "10000".to_owned()),
            ("search_path", "public".to_owned()),
        ]))
}

/// The user name in a DSN, which grants go to.
///
/// # Errors
/// [`super::StoreError::Refused`] if the DSN does not parse.
pub fn user_of(dsn: &str) -> StoreResult<String> {
    Ok(PgConnectOptions::from_str(dsn)?.get_username().to_owned())
}

/// What a process needs to know of its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// Such as 150018.
    pub version_number: i32,
    /// Whether commits reach the disk: both must be on, or an acknowledged write can be lost.
    pub fsync: bool,
    /// Likewise.
    pub synchronous_commit: bool,
    /// Whether this role could change or remove audit entries.
    pub may_rewrite_audit: bool,
    /// The server's clock, in microseconds since 1970.
    pub clock_micros: i64,
}

/// Asks the server what it is. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn server_facts(pool: &Pool) -> StoreResult<ServerFacts> {
    let row = sqlx::query!(
        r#"SELECT current_setting('server_version_num')::int AS "version_number!",
                  current_setting('fsync') = 'on' AS "fsync!",
                  current_setting('synchronous_commit') <> 'off' AS "synchronous_commit!",
                  COALESCE(has_table_privilege(to_regclass('audit_entries')::oid, 'UPDATE, DELETE, TRUNCATE'), false) AS "may_rewrite_audit!",
                  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS "clock_micros!""#
    )
    .fetch_one(pool)
    .await?;
    Ok(ServerFacts {
        version_number: row.version_number,
        fsync: row.fsync,
        synchronous_commit: row.synchronous_commit,
        may_rewrite_audit: row.may_rewrite_audit,
        clock_micros: row.clock_micros,
    })
}

/// Whether the database answers. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn ping(pool: &Pool) -> StoreResult<()> {
    sqlx::query!("SELECT 1 AS one").fetch_one(pool).await?;
    Ok(())
}
