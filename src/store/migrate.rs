//! The schema: embedded, forward-only migrations, run as the owner.

use sqlx::migrate::{Migrate as _, MigrateError, Migrator};

use super::error::{StoreError, StoreResult};
use super::pool::Pool;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The SQLSTATE of a right that is missing.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Where the schema stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaState {
    /// The newest migration applied, 0 for none.
    pub applied: i64,
    /// The newest migration that this binary knows.
    pub known: i64,
}

impl SchemaState {
    /// Whether this binary can serve: a newer schema is fine, since each release's schema carries the binary before it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.applied >= self.known
    }
}

/// Applies what is missing, under an advisory lock, and answers the descriptions of what was applied.
///
/// # Errors
/// [`StoreError`]; what was applied before the failing migration stays.
pub async fn run(owner: &Pool) -> StoreResult<Vec<String>> {
    let before = state(owner).await?.applied;
    MIGRATIONS.run(owner).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => StoreError::from(error),
        other => StoreError::Refused(sqlx::Error::Migrate(Box::new(other))),
    })?;
    Ok(MIGRATIONS
        .iter()
        .filter(|m| m.version > before)
        .map(|m| format!("{:04} {}", m.version, m.description))
        .collect())
}

/// Lets `role` serve: everything that it needs and nothing more.
///
/// # Errors
/// [`StoreError`], also if there is no such role.
pub async fn grant_runtime(owner: &Pool, role: &str) -> StoreResult<()> {
    sqlx::query!("SELECT grant_runtime($1)", role).execute(owner).await?;
    Ok(())
}

/// Where the schema stands. One or two round trips.
///
/// # Errors
/// [`StoreError`].
pub async fn state(pool: &Pool) -> StoreResult<SchemaState> {
    let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    let mut connection = pool.acquire().await?;
    let present = sqlx::query_scalar!(r#"SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS "present!""#)
        .fetch_one(&mut *connection)
        .await?;
    if !present {
        return Ok(SchemaState { applied: 0, known });
    }
    let applied = match connection.list_applied_migrations(&MIGRATIONS.table_name).await {
        Ok(applied) => applied,
        // The schema is being made, and this role was not granted its rights yet: it is not there for us.
        Err(MigrateError::Execute(sqlx::Error::Database(error)))
            if error.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE) =>
        {
            Vec::new()
        }
        Err(MigrateError::Execute(error)) => return Err(StoreError::from(error)),
        Err(other) => return Err(StoreError::Refused(sqlx::Error::Migrate(Box::new(other)))),
    };
    Ok(SchemaState {
        applied: applied.iter().map(|m| m.version).max().unwrap_or(0),
        known,
    })
}
