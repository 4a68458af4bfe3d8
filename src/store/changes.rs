//! The change feed: rows that say what to look at.

use sqlx::PgConnection;

use super::Tx;
use super::error::{StoreError, StoreResult};
use super::pool::Pool;
use crate::domain::change::{ChangeKind, SnapshotPoint};

/// One row of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What kind of thing changed.
    pub kind: ChangeKind,
    /// Which: a path, a uid, a name.
    pub subject: String,
}

/// What one pass over the feed read.
#[derive(Debug)]
pub struct Pass {
    /// The rows that became visible since the last pass, in the order in which they were added.
    pub changes: Vec<Change>,
    /// Where the next pass resumes.
    pub resume: SnapshotPoint,
}

/// The name of the notification channel. A notification carries nothing: it only shortens the wait.
pub const CHANNEL: &str = "aether_vault_changes";

/// Adds a row to a mutation's own transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn insert(tx: &mut Tx<'_>, kind: ChangeKind, subject: &str) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO changes (kind, subject) VALUES ($1, $2)",
        kind.as_str(),
        subject
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Where a reader begins that has just compared everything: take it *before* the comparison.
///
/// # Errors
/// [`StoreError`].
pub async fn now(pool: &Pool) -> StoreResult<SnapshotPoint> {
    let text = sqlx::query_scalar!(r#"SELECT pg_current_snapshot()::text AS "snapshot!""#)
        .fetch_one(pool)
        .await?;
    point(&text)
}

/// Reads what became visible since `resume`: rows of transactions that had not begun, or were still running, then. One round trip.
///
/// # Errors
/// [`StoreError`].
pub async fn since(connection: &mut PgConnection, resume: &SnapshotPoint) -> StoreResult<Pass> {
    let running: Vec<String> = resume.in_progress().iter().map(ToString::to_string).collect();
    let rows = sqlx::query!(
        r#"SELECT pg_current_snapshot()::text AS "snapshot!", c.kind AS "kind?", c.subject AS "subject?"
           FROM (SELECT) AS always
           LEFT JOIN changes c ON c.xid >= ($1::text)::xid8 OR c.xid = ANY (($2::text[])::xid8[])
           ORDER BY c.id"#,
        resume.xmax().to_string(),
        &running,
    )
    .fetch_all(connection)
    .await?;
    let mut changes = Vec::with_capacity(rows.len());
    let mut resume = resume.clone();
    for row in rows {
        if let (Some(kind), Some(subject)) = (row.kind, row.subject) {
            let kind = ChangeKind::parse(&kind).ok_or_else(|| StoreError::BrokenRow {
                table: "changes",
                column: "kind",
                row: kind,
            })?;
            changes.push(Change { kind, subject });
        }
        resume = point(&row.snapshot)?;
    }
    Ok(Pass { changes, resume })
}

/// Wakes the readers of other processes. Sent by one coalescing task per process after commits: inside a transaction it would
/// take a server-wide lock at commit.
///
/// # Errors
/// [`StoreError`].
pub async fn notify(pool: &Pool) -> StoreResult<()> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL).execute(pool).await?;
    Ok(())
}

/// Removes rows older than a day, a bounded number at a time; answers how many.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE at < now() - interval '1 day' ORDER BY id LIMIT 10000)"
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Waits for notifications on a connection of its own.
pub struct Listener(sqlx::postgres::PgListener);

impl Listener {
    /// Connects and listens. The DSN must not lead through a pooler.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn connect(dsn: &str) -> StoreResult<Self> {
        let mut listener = sqlx::postgres::PgListener::connect(dsn).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// Waits for the next notification; reconnects by itself.
    ///
    /// # Errors
    /// [`StoreError`] when the connection is gone and cannot be had again at once.
    pub async fn next(&mut self) -> StoreResult<()> {
        self.0.recv().await?;
        Ok(())
    }
}

fn point(text: &str) -> StoreResult<SnapshotPoint> {
    SnapshotPoint::parse(text).map_err(|_| StoreError::BrokenRow {
        table: "pg_current_snapshot",
        column: "snapshot",
        row: text.to_owned(),
    })
}
