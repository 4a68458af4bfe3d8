//! What can go wrong in the database, sorted by what a caller can do about it.

/// A failed database operation. Its text is for the log alone.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres cannot be reached, is starting or stopping, refuses connections, or took too long.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// A named constraint refused the change.
    #[error("constraint {name} refused the change")]
    Constraint {
        /// The constraint.
        name: String,
        /// The database's own error.
        #[source]
        source: sqlx::Error,
    },
    /// A row that no release of this program writes.
    #[error("broken row in {table}, column {column}: {row}")]
    BrokenRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What identifies the row.
        row: String,
    },
    /// Anything else: a defect, or a schema that does not fit.
    #[error("the database refused the statement")]
    Refused(#[source] sqlx::Error),
}

/// The result of a database operation.
pub type StoreResult<T> = Result<T, StoreError>;

impl StoreError {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether this constraint refused.
    #[must_use]
    pub fn is_constraint(&self, constraint: &str) -> bool {
        matches!(self, Self::Constraint { name, .. } if name == constraint)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
                super::pool::doubt_idle_connections();
                Self::Unavailable(error)
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable(error)
            }
            sqlx::Error::Database(database) => {
                if let Some(name) = database.constraint() {
                    return Self::Constraint {
                        name: name.to_owned(),
                        source: error,
                    };
                }
                // Classes: 08 connection, 53 resources (disk full, too many connections), 57 operator intervention
                // (shutdown, statement timeout), 40 serialization and deadlock; 25006 read-only (a failed-over primary),
                // 23514 without a constraint name: no partition for the row; 55000: somebody closed the database to connections.
                let code = database.code().unwrap_or_default();
                let class = code.get(..2).unwrap_or_default();
                if matches!(class, "08" | "53" | "57" | "40" | "58") || matches!(&*code, "25006" | "23514" | "55000") {
                    // 57P01 to 57P04 end the connection; 57014, a statement that took too long, does not.
                    if class == "08" || code.starts_with("57P") {
                        super::pool::doubt_idle_connections();
                    }
                    Self::Unavailable(error)
                } else {
                    Self::Refused(error)
                }
            }
            _ => Self::Refused(error),
        }
    }
}
