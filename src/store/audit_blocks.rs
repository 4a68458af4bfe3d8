//! Audit blocks and their leaves: what is not sealed yet, and what was.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::{Date as SqlDate, Timestamp as SqlTimestamp, ToSqlx as _};

use super::Tx;
use super::audit_rows::EntryRow;
use super::error::{StoreError, StoreResult};
use super::pool::Pool;
use crate::domain::audit::chain::{Block, Header, Leaves, Tip};
use crate::domain::audit::leaf::StoredEntry;
use crate::domain::audit::merkle::Hash;
use crate::domain::change::SnapshotPoint;

/// Entries that are not sealed yet, as one statement saw them.
#[derive(Debug)]
pub struct Unsealed {
    /// What the statement saw.
    pub now: SnapshotPoint,
    /// The highest transaction number among the entries.
    pub last_xid: u64,
    /// The entries.
    pub entries: Vec<StoredEntry>,
    /// Whether there are more.
    pub more: bool,
}

/// The last block, or where the first one goes on.
///
/// # Errors
/// [`StoreError`].
pub async fn tip(pool: &Pool) -> StoreResult<Tip> {
    let row = sqlx::query!("SELECT height, hash, total, snapshot FROM audit_blocks ORDER BY height DESC LIMIT 1")
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else { return Ok(Tip::start()) };
    Ok(Tip {
        height: row.height,
        hash: hash("hash", row.height, &row.hash)?,
        total: row.total,
        snapshot: SnapshotPoint::parse(&row.snapshot).map_err(|_| broken("snapshot", row.height))?,
    })
}

/// A transaction for [`unsealed`], page after page, each of which sees what is committed by then. What it asks goes by index whatever the
/// arguments, so it is planned once for a connection: with many days kept that takes longer than a page.
///
/// # Errors
/// [`StoreError`].
pub async fn pages(pool: &Pool) -> StoreResult<Tx<'static>> {
    let mut tx = pool
        .begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
        .await?;
    sqlx::query!(
        "SELECT set_config('plan_cache_mode', 'force_generic_plan', true) AS plans, set_config('enable_seqscan', 'off', true) AS scans,
                set_config('jit', 'off', true) AS jit"
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(tx)
}

/// Entries of transactions that had not ended when `resume` was taken, at most about `limit`: those of one transaction stay together, so
/// that what was read can be told from what was not by transaction numbers alone. One round trip.
///
/// A number that no transaction of this server can have yet is not looked at: its time may come.
///
/// # Errors
/// [`StoreError`].
pub async fn unsealed(tx: &mut Tx<'_>, resume: &SnapshotPoint, limit: i64) -> StoreResult<Unsealed> {
    let running: Vec<i64> = resume
        .in_progress()
        .iter()
        .filter_map(|xid| i64::try_from(*xid).ok())
        .collect();
    let rows = sqlx::query_as!(
        EntryRow,
        r#"SELECT pg_current_snapshot()::text AS "snapshot!", e.xid AS "xid?", e.id AS "id?", e.at AS "at?: SqlTimestamp",
                  e.request_id AS "request_id?", e.actor_kind AS "actor_kind?", e.actor_id AS "actor_id?", e.actor_name AS "actor_name?",
                  e.door AS "door?", e.action AS "action?", e.resource AS "resource?", e.version AS "version?", e.decision AS "decision?",
                  e.reason AS "reason?", e.policy AS "policy?", e.rule AS "rule?", e.client AS "client?", e.user_agent AS "user_agent?",
                  e.origin_uid AS "origin_uid?", e.origin_generation AS "origin_generation?", e.count AS "count?"
           FROM (SELECT) AS always
           LEFT JOIN (
             SELECT * FROM (
               (SELECT * FROM audit_entries
                WHERE xid = ANY ($2) AND xid < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                ORDER BY xid FETCH FIRST $3 ROWS WITH TIES)
               UNION ALL
               (SELECT * FROM audit_entries
                WHERE xid >= $1 AND xid < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                ORDER BY xid FETCH FIRST $3 ROWS WITH TIES)
             ) AS ended_or_new
             ORDER BY xid FETCH FIRST $3 ROWS WITH TIES
           ) e ON true"#,
        i64::try_from(resume.xmax()).unwrap_or(i64::MAX),
        &running,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    collect(rows, limit)
}

/// Whether there are entries of transactions that this server cannot have had yet: they came with a restore.
///
/// # Errors
/// [`StoreError`].
pub async fn has_foreign_xids(pool: &Pool) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT FROM audit_entries WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
           ) AS "foreign!""#
    )
    .fetch_one(pool)
    .await?)
}

/// Entries that no block has, whichever transaction wrote them, at most `limit`: after a restore into another server, or at the beginning.
/// One round trip, and long where much is sealed.
///
/// # Errors
/// [`StoreError`].
pub async fn never_sealed(tx: &mut Tx<'_>, limit: i64) -> StoreResult<Unsealed> {
    sqlx::query!("SELECT set_config('statement_timeout', '0', true)")
        .fetch_one(&mut **tx)
        .await?;
    let rows = sqlx::query_as!(
        EntryRow,
        r#"SELECT pg_current_snapshot()::text AS "snapshot!", e.xid AS "xid?", e.id AS "id?", e.at AS "at?: SqlTimestamp",
                  e.request_id AS "request_id?", e.actor_kind AS "actor_kind?", e.actor_id AS "actor_id?", e.actor_name AS "actor_name?",
                  e.door AS "door?", e.action AS "action?", e.resource AS "resource?", e.version AS "version?", e.decision AS "decision?",
                  e.reason AS "reason?", e.policy AS "policy?", e.rule AS "rule?", e.client AS "client?", e.user_agent AS "user_agent?",
                  e.origin_uid AS "origin_uid?", e.origin_generation AS "origin_generation?", e.count AS "count?"
           FROM (SELECT) AS always
           LEFT JOIN (
             SELECT * FROM audit_entries a
             WHERE a.xid < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
               AND NOT EXISTS (SELECT FROM audit_leaves l, unnest(l.entry_ids) AS sealed(id) WHERE sealed.id = a.id)
             ORDER BY a.at, a.id LIMIT $1
           ) e ON true"#,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    collect(rows, limit)
}

fn collect(rows: Vec<EntryRow>, limit: i64) -> StoreResult<Unsealed> {
    let mut now = SnapshotPoint::nothing();
    let mut last = 0;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        if entries.is_empty() {
            now = SnapshotPoint::parse(&row.snapshot).map_err(|_| broken("snapshot", 0))?;
        }
        last = last.max(row.xid.unwrap_or_default());
        entries.extend(row.into_entry()?);
    }
    Ok(Unsealed {
        now,
        last_xid: u64::try_from(last).unwrap_or_default(),
        more: i64::try_from(entries.len()).unwrap_or(i64::MAX) >= limit,
        entries,
    })
}

/// Adds blocks with their leaves; all or none. `false` if another sealer was faster.
///
/// # Errors
/// [`StoreError`].
pub async fn insert(tx: &mut Tx<'_>, blocks: &[(Block, Leaves)]) -> StoreResult<bool> {
    for (block, leaves) in blocks {
        let header = &block.header;
        let done = sqlx::query!(
            "INSERT INTO audit_blocks (height, day, sealed_at, first_at, last_at, entries, total, snapshot, previous, root, hash, kid, signature)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            header.height,
            header.day.to_sqlx() as SqlDate,
            header.sealed_at.to_sqlx() as SqlTimestamp,
            header.first_at.to_sqlx() as SqlTimestamp,
            header.last_at.to_sqlx() as SqlTimestamp,
            header.entries,
            header.total,
            header.snapshot,
            &header.previous[..],
            &header.root[..],
            &block.hash[..],
            header.kid,
            block.signature,
        )
        .execute(&mut **tx)
        .await
        .map_err(StoreError::from);
        match done {
            Ok(_) => {}
            Err(error) if error.is_constraint("audit_blocks_pkey") => return Ok(false),
            Err(error) => return Err(error),
        }
        sqlx::query!(
            "INSERT INTO audit_leaves (day, height, entry_ids, hashes) VALUES ($1, $2, $3, $4)",
            header.day.to_sqlx() as SqlDate,
            header.height,
            &leaves.ids,
            leaves.hashes.concat(),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(true)
}

/// Keeps other sealers from answering a restore until the transaction ends.
///
/// # Errors
/// [`StoreError`].
pub async fn lock_restore(tx: &mut Tx<'_>) -> StoreResult<()> {
    // What follows walks the whole log, and who waits for the lock waits as long.
    sqlx::query!("SELECT set_config('statement_timeout', '0', true)")
        .fetch_one(&mut **tx)
        .await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('aether_vault_audit_restore'))")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether a block is the last one.
///
/// # Errors
/// [`StoreError`].
pub async fn is_last(tx: &mut Tx<'_>, height: i64) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (SELECT FROM audit_blocks WHERE height > $1) AS "last!""#,
        height
    )
    .fetch_one(&mut **tx)
    .await?)
}

/// Whether an entry says that there was a restore and no block is over it yet: its sealer has not come that far, or has ended.
///
/// # Errors
/// [`StoreError`].
pub async fn restore_unsealed(tx: &mut Tx<'_>) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (
             SELECT FROM audit_entries e WHERE e.action = 'audit.restore'
               AND NOT EXISTS (SELECT FROM audit_leaves l WHERE e.id = ANY (l.entry_ids))
           ) AS "recorded!""#
    )
    .fetch_one(&mut **tx)
    .await?)
}

/// Lets entries that came with a restore be told from those that are still to come; answers how many there were.
///
/// # Errors
/// [`StoreError`].
pub async fn forget_foreign_xids(tx: &mut Tx<'_>) -> StoreResult<i64> {
    Ok(sqlx::query_scalar!(r#"SELECT audit_forget_foreign_xids() AS "n!""#)
        .fetch_one(&mut **tx)
        .await?)
}

/// Blocks above a height with their leaves, in order.
///
/// # Errors
/// [`StoreError`].
pub async fn above(
    executor: impl sqlx::PgExecutor<'_>,
    height: i64,
    limit: i64,
) -> StoreResult<Vec<(Block, Option<Leaves>)>> {
    let rows = sqlx::query_as!(
        BlockRow,
        r#"SELECT b.height, b.day AS "day: SqlDate", b.sealed_at AS "sealed_at: SqlTimestamp", b.first_at AS "first_at: SqlTimestamp",
                  b.last_at AS "last_at: SqlTimestamp", b.entries, b.total, b.snapshot, b.previous, b.root, b.hash, b.kid, b.signature,
                  l.entry_ids AS "entry_ids?", l.hashes AS "hashes?"
           FROM audit_blocks b LEFT JOIN audit_leaves l ON l.day = b.day AND l.height = b.height
           WHERE b.height > $1 ORDER BY b.height LIMIT $2"#,
        height,
        limit,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(BlockRow::into_block).collect()
}

/// The block that has an entry, with its leaves.
///
/// # Errors
/// [`StoreError`].
pub async fn of_entry(pool: &Pool, at: Timestamp, id: i64) -> StoreResult<Option<(Block, Leaves)>> {
    let row = sqlx::query_as!(
        BlockRow,
        r#"SELECT b.height, b.day AS "day: SqlDate", b.sealed_at AS "sealed_at: SqlTimestamp", b.first_at AS "first_at: SqlTimestamp",
                  b.last_at AS "last_at: SqlTimestamp", b.entries, b.total, b.snapshot, b.previous, b.root, b.hash, b.kid, b.signature,
                  l.entry_ids AS "entry_ids?", l.hashes AS "hashes?"
           FROM audit_blocks b JOIN audit_leaves l ON l.day = b.day AND l.height = b.height
           WHERE b.day = ($1::timestamptz AT TIME ZONE 'UTC')::date AND b.first_at <= $1 AND b.last_at >= $1 AND $2 = ANY (l.entry_ids)
           LIMIT 1"#,
        at.to_sqlx() as SqlTimestamp,
        id,
    )
    .fetch_optional(pool)
    .await?;
    let Some((block, leaves)) = row.map(BlockRow::into_block).transpose()? else {
        return Ok(None);
    };
    Ok(leaves.map(|leaves| (block, leaves)))
}

/// The days that retention has dropped.
///
/// # Errors
/// [`StoreError`].
pub async fn dropped_days(executor: impl sqlx::PgExecutor<'_>) -> StoreResult<Vec<Date>> {
    let days = sqlx::query_scalar!(r#"SELECT day AS "day: SqlDate" FROM audit_dropped_days ORDER BY day"#)
        .fetch_all(executor)
        .await?;
    Ok(days.into_iter().map(SqlDate::to_jiff).collect())
}

struct BlockRow {
    height: i64,
    day: SqlDate,
    sealed_at: SqlTimestamp,
    first_at: SqlTimestamp,
    last_at: SqlTimestamp,
    entries: i64,
    total: i64,
    snapshot: String,
    previous: Vec<u8>,
    root: Vec<u8>,
    hash: Vec<u8>,
    kid: String,
    signature: Vec<u8>,
    entry_ids: Option<Vec<i64>>,
    hashes: Option<Vec<u8>>,
}

impl BlockRow {
    fn into_block(self) -> StoreResult<(Block, Option<Leaves>)> {
        let height = self.height;
        let header = Header {
            height,
            day: self.day.to_jiff(),
            sealed_at: self.sealed_at.to_jiff(),
            first_at: self.first_at.to_jiff(),
            last_at: self.last_at.to_jiff(),
            entries: self.entries,
            total: self.total,
            snapshot: self.snapshot,
            previous: hash("previous", height, &self.previous)?,
            root: hash("root", height, &self.root)?,
            kid: self.kid,
        };
        let leaves = self.entry_ids.zip(self.hashes).map(|(ids, hashes)| Leaves {
            ids,
            hashes: hashes
                .chunks_exact(32)
                .filter_map(|hash| hash.try_into().ok())
                .collect(),
        });
        let block = Block {
            header,
            hash: hash("hash", height, &self.hash)?,
            signature: self.signature,
        };
        Ok((block, leaves))
    }
}

fn hash(column: &'static str, height: i64, bytes: &[u8]) -> StoreResult<Hash> {
    bytes.try_into().map_err(|_| broken(column, height))
}

fn broken(column: &'static str, height: i64) -> StoreError {
    StoreError::BrokenRow {
        table: "audit_blocks",
        column,
        row: height.to_string(),
    }
}

/// A transaction that sees one state of the log for as long as it takes, and changes nothing.
///
/// # Errors
/// [`StoreError`].
pub async fn reader(pool: &Pool) -> StoreResult<Tx<'static>> {
    let mut tx = pool
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    sqlx::query!(
        "SELECT set_config('statement_timeout', '0', true) AS statement, set_config('idle_in_transaction_session_timeout', '0', true) AS idle"
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(tx)
}

/// Days with entries that are older than `keep` days, the oldest first.
///
/// # Errors
/// [`StoreError`].
pub async fn days_older_than(pool: &Pool, keep: i32, limit: i64) -> StoreResult<Vec<Date>> {
    let days = sqlx::query_scalar!(
        r#"SELECT DISTINCT b.day AS "day!: SqlDate" FROM audit_blocks b
           WHERE b.day < (now() AT TIME ZONE 'UTC')::date - $1::int
             AND NOT EXISTS (SELECT FROM audit_dropped_days d WHERE d.day = b.day)
           ORDER BY 1 LIMIT $2"#,
        keep,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(days.into_iter().map(SqlDate::to_jiff).collect())
}

/// Drops the entries and leaves of a day; answers how many entries there were, or why it was refused.
///
/// # Errors
/// [`StoreError`].
pub async fn drop_day(tx: &mut Tx<'_>, day: Date) -> StoreResult<Result<i64, &'static str>> {
    sqlx::query!("SELECT set_config('statement_timeout', '0', true)")
        .fetch_one(&mut **tx)
        .await?;
    let dropped = sqlx::query_scalar!(r#"SELECT audit_drop($1) AS "n!""#, day.to_sqlx() as SqlDate)
        .fetch_one(&mut **tx)
        .await;
    let error = match dropped {
        Ok(entries) => return Ok(Ok(entries)),
        Err(error) => error,
    };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match code.as_deref() {
        Some("AV001") => Ok(Err(
            "this day is younger than a week; entries are kept for at least that long",
        )),
        Some("AV002") => Ok(Err("there are no entries of this day")),
        Some("AV003") => Ok(Err(
            "this day is not wholly sealed; verify the log before anything of it is dropped",
        )),
        _ => Err(error.into()),
    }
}
