//! A connection that one task keeps to itself, for the statements that are asked for all the time.

use std::time::Instant;

use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::timeout;

use super::error::StoreResult;
use super::pool::{IDLE_TIMEOUT, MAX_LIFETIME, Pool};

/// A connection to the server of a pool, with the pool's options, but none of its connections.
///
/// Nobody waits for a free one, and the server is not asked between two statements whether it is still there.
pub struct Kept {
    pool: Pool,
    plans_once: bool,
    open: Option<Open>,
}

struct Open {
    connection: PgConnection,
    since: Instant,
    used: Instant,
}

impl Kept {
    /// Connects when first asked.
    #[must_use]
    pub fn of(pool: &Pool) -> Self {
        Self {
            pool: pool.clone(),
            plans_once: false,
            open: None,
        }
    }

    /// One whose statements Postgres plans once, whatever their arguments. Left to itself it plans a statement that takes arrays anew each time,
    /// and for a small batch that takes longer than to carry it out. Only for statements that go by keys alone.
    #[must_use]
    pub fn planning_once(pool: &Pool) -> Self {
        Self {
            plans_once: true,
            ..Self::of(pool)
        }
    }

    /// The connection; a new one if there is none, or if it is as old as a pool lets one grow.
    ///
    /// # Errors
    /// [`super::StoreError::Unavailable`].
    pub async fn get(&mut self) -> StoreResult<&mut PgConnection> {
        let open = match self.open.take() {
            Some(open) if open.since.elapsed() < MAX_LIFETIME && open.used.elapsed() < IDLE_TIMEOUT => Open {
                used: Instant::now(),
                ..open
            },
            old => {
                if let Some(old) = old {
                    // Whatever it says: nothing is lost with it.
                    let _ = old.connection.close().await;
                }
                self.connect().await?
            }
        };
        Ok(&mut self.open.insert(open).connection)
    }

    /// Drops the connection, after an error: whether it is good for another statement is not known.
    pub fn forget(&mut self) {
        self.open = None;
    }

    async fn connect(&self) -> StoreResult<Open> {
        // Those that the pool has by now: a password may have been replaced.
        let mut options = (*self.pool.connect_options()).clone();
        if self.plans_once {
            // A plan that was made while a table was small would read all of it until the next ANALYZE; and a forbidden scan looks so dear
            // that it would be compiled.
            options = options.options([
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_seqscan", "off"),
                ("jit", "off"),
            ]);
        }
        let connection = timeout(self.pool.options().get_acquire_timeout(), options.connect())
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)??;
        Ok(Open {
            connection,
            since: Instant::now(),
            used: Instant::now(),
        })
    }
}
