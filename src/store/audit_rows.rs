//! Stored entries, read back: for sealing, verification and auditors.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::{Date as SqlDate, Timestamp as SqlTimestamp, ToSqlx as _};
use uuid::Uuid;

use super::Tx;
use super::error::{StoreError, StoreResult};
use super::pool::Pool;
use crate::domain::audit::leaf::StoredEntry;
use crate::domain::audit::query::{AuditCursor, AuditFilter};

/// An entry as a query gives it; without an id there is none in the row.
pub(super) struct EntryRow {
    pub(super) snapshot: String,
    pub(super) xid: Option<i64>,
    pub(super) id: Option<i64>,
    pub(super) at: Option<SqlTimestamp>,
    pub(super) request_id: Option<Uuid>,
    pub(super) actor_kind: Option<String>,
    pub(super) actor_id: Option<String>,
    pub(super) actor_name: Option<String>,
    pub(super) door: Option<String>,
    pub(super) action: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) version: Option<i64>,
    pub(super) decision: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) policy: Option<String>,
    pub(super) rule: Option<i32>,
    pub(super) client: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) origin_uid: Option<String>,
    pub(super) origin_generation: Option<i64>,
    pub(super) count: Option<i64>,
}

impl EntryRow {
    pub(super) fn into_entry(self) -> StoreResult<Option<StoredEntry>> {
        let Some(id) = self.id else { return Ok(None) };
        let missing = |column: &'static str| StoreError::BrokenRow {
            table: "audit_entries",
            column,
            row: id.to_string(),
        };
        let text = |column: &'static str, value: Option<String>| value.ok_or_else(|| missing(column));
        Ok(Some(StoredEntry {
            id,
            at: self.at.ok_or_else(|| missing("at"))?.to_jiff(),
            request_id: self.request_id.ok_or_else(|| missing("request_id"))?,
            actor_kind: text("actor_kind", self.actor_kind)?,
            actor_id: text("actor_id", self.actor_id)?,
            actor_name: text("actor_name", self.actor_name)?,
            door: text("door", self.door)?,
            action: text("action", self.action)?,
            resource: text("resource", self.resource)?,
            version: self.version,
            decision: text("decision", self.decision)?,
            reason: text("reason", self.reason)?,
            policy: self.policy,
            rule: self.rule,
            client: self.client,
            user_agent: self.user_agent,
            origin_uid: self.origin_uid,
            origin_generation: self.origin_generation,
            count: self.count.ok_or_else(|| missing("count"))?,
        }))
    }
}

fn entries(rows: Vec<EntryRow>) -> StoreResult<Vec<StoredEntry>> {
    rows.into_iter()
        .filter_map(|row| row.into_entry().transpose())
        .collect()
}

/// Entries that are walked back in search of what is asked for, before it counts as rare.
const NEAR: i64 = 20_000;

/// Entries that pass a filter, newest first, behind `after`.
///
/// # Errors
/// [`StoreError`].
pub async fn find(
    pool: &Pool,
    filter: &AuditFilter,
    after: Option<AuditCursor>,
    limit: i64,
) -> StoreResult<Vec<StoredEntry>> {
    let mut tx = pool.begin().await?;
    // Planned for what is asked now: whether an index without reads that were allowed will do depends on it.
    sqlx::query!("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
        .fetch_one(&mut *tx)
        .await?;
    if filter.is_for_one()
        && let Some(since) = time_of_nth(&mut tx, filter, after, NEAR).await?
    {
        let near = AuditFilter {
            since: Some(since),
            ..filter.clone()
        };
        let rows = matching(&mut tx, &near, after, limit).await?;
        if i64::try_from(rows.len()).is_ok_and(|found| found >= limit) {
            tx.commit().await?;
            return entries(rows);
        }
        // It is rarer than the planner can know, which takes each value for as common as any other: the summaries tell where it is not.
        sqlx::query!("SELECT set_config('enable_indexscan', 'off', true) AS walk, set_config('enable_seqscan', 'off', true) AS all_of_it")
            .fetch_one(&mut *tx)
            .await?;
    }
    let rows = matching(&mut tx, filter, after, limit).await?;
    tx.commit().await?;
    entries(rows)
}

/// When the `n`th entry was written of those from where a page begins, backwards; nothing if there are no more.
async fn time_of_nth(
    tx: &mut Tx<'_>,
    filter: &AuditFilter,
    after: Option<AuditCursor>,
    n: i64,
) -> StoreResult<Option<Timestamp>> {
    let at = sqlx::query_scalar!(
        r#"SELECT at AS "at: SqlTimestamp" FROM audit_entries
           WHERE at >= COALESCE($1, '-infinity'::timestamptz) AND at < COALESCE($2, 'infinity'::timestamptz)
             AND ($3::timestamptz IS NULL OR at <= $3)
           ORDER BY at DESC OFFSET $4 LIMIT 1"#,
        filter.since.map(jiff_sqlx::ToSqlx::to_sqlx) as Option<SqlTimestamp>,
        filter.until.map(jiff_sqlx::ToSqlx::to_sqlx) as Option<SqlTimestamp>,
        after.map(|cursor| cursor.at.to_sqlx()) as Option<SqlTimestamp>,
        n,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(at.map(SqlTimestamp::to_jiff))
}

async fn matching(
    tx: &mut Tx<'_>,
    filter: &AuditFilter,
    after: Option<AuditCursor>,
    limit: i64,
) -> StoreResult<Vec<EntryRow>> {
    let (resource_from, resource_to) = filter.resources().unzip();
    let (action_from, action_to) = filter.actions().unzip();
    Ok(sqlx::query_as!(
        EntryRow,
        r#"SELECT '' AS "snapshot!", xid AS "xid?", id AS "id?", at AS "at?: SqlTimestamp", request_id AS "request_id?",
                  actor_kind AS "actor_kind?", actor_id AS "actor_id?", actor_name AS "actor_name?", door AS "door?", action AS "action?",
                  resource AS "resource?", version AS "version?", decision AS "decision?", reason AS "reason?", policy AS "policy?",
                  rule AS "rule?", client AS "client?", user_agent AS "user_agent?", origin_uid AS "origin_uid?",
                  origin_generation AS "origin_generation?", count AS "count?"
           FROM audit_entries
           WHERE at >= COALESCE($1, '-infinity'::timestamptz) AND at < COALESCE($2, 'infinity'::timestamptz)
             AND ($3::timestamptz IS NULL OR (at <= $3 AND (at, id) < ($3, $4)))
             AND ($5::text IS NULL OR actor_name = $5)
             AND ($6::text IS NULL OR actor_id = $6)
             AND ($7::text IS NULL OR actor_kind = $7)
             AND ($8::text IS NULL OR (action >= $8 COLLATE "C" AND action < $9 COLLATE "C"))
             AND ($10::text IS NULL OR (resource >= $10 COLLATE "C" AND resource < $11 COLLATE "C"))
             AND ($12::text IS NULL OR decision = $12)
             AND ($13::text IS NULL OR reason = $13)
             AND ($14::text IS NULL OR door = $14)
             AND ($15::text IS NULL OR client = $15)
             AND ($16::uuid IS NULL OR request_id = $16)
             AND ($17::text IS NULL OR resource = $17)
           ORDER BY at DESC, id DESC LIMIT $18"#,
        filter.since.map(jiff_sqlx::ToSqlx::to_sqlx) as Option<SqlTimestamp>,
        filter.until.map(jiff_sqlx::ToSqlx::to_sqlx) as Option<SqlTimestamp>,
        after.map(|cursor| cursor.at.to_sqlx()) as Option<SqlTimestamp>,
        after.map_or(0, |cursor| cursor.id),
        filter.actor.as_deref() as Option<&str>,
        filter.actor_id.as_deref() as Option<&str>,
        filter.actor_kind.as_deref() as Option<&str>,
        action_from as Option<String>,
        action_to as Option<String>,
        resource_from as Option<String>,
        resource_to as Option<String>,
        filter.decision.as_deref() as Option<&str>,
        filter.reason.as_deref() as Option<&str>,
        filter.door.as_deref() as Option<&str>,
        filter.client.as_deref() as Option<&str>,
        filter.request_id,
        filter.resource() as Option<&str>,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Entries with these ids whose time lies in a range.
///
/// # Errors
/// [`StoreError`].
pub async fn with_ids(
    executor: impl sqlx::PgExecutor<'_>,
    ids: &[i64],
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> StoreResult<Vec<StoredEntry>> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"SELECT '' AS "snapshot!", xid AS "xid?", id AS "id?", at AS "at?: SqlTimestamp", request_id AS "request_id?",
                  actor_kind AS "actor_kind?", actor_id AS "actor_id?", actor_name AS "actor_name?", door AS "door?", action AS "action?",
                  resource AS "resource?", version AS "version?", decision AS "decision?", reason AS "reason?", policy AS "policy?",
                  rule AS "rule?", client AS "client?", user_agent AS "user_agent?", origin_uid AS "origin_uid?",
                  origin_generation AS "origin_generation?", count AS "count?"
           FROM audit_entries
           WHERE id = ANY ($1) AND at >= COALESCE($2, '-infinity'::timestamptz) AND at <= COALESCE($3, 'infinity'::timestamptz)
           ORDER BY id"#,
        ids,
        from.map(jiff_sqlx::ToSqlx::to_sqlx) as Option<SqlTimestamp>,
        to.map(jiff_sqlx::ToSqlx::to_sqlx) as Option<SqlTimestamp>,
    )
    .fetch_all(executor)
    .await?;
    entries(rows)
}

/// Entries of a day that no block of that day has, with the transactions that wrote them, in the order of time behind `after`.
///
/// # Errors
/// [`StoreError`].
pub async fn without_block(
    executor: impl sqlx::PgExecutor<'_>,
    day: Date,
    after: Option<AuditCursor>,
    limit: i64,
) -> StoreResult<Vec<(u64, StoredEntry)>> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"SELECT '' AS "snapshot!", xid AS "xid?", id AS "id?", at AS "at?: SqlTimestamp", request_id AS "request_id?",
                  actor_kind AS "actor_kind?", actor_id AS "actor_id?", actor_name AS "actor_name?", door AS "door?", action AS "action?",
                  resource AS "resource?", version AS "version?", decision AS "decision?", reason AS "reason?", policy AS "policy?",
                  rule AS "rule?", client AS "client?", user_agent AS "user_agent?", origin_uid AS "origin_uid?",
                  origin_generation AS "origin_generation?", count AS "count?"
           FROM audit_entries e
           WHERE at >= $1::date::timestamp AT TIME ZONE 'UTC' AND at < ($1::date + 1)::timestamp AT TIME ZONE 'UTC'
             AND ($2::timestamptz IS NULL OR (at, id) > ($2, $3))
             AND NOT EXISTS (SELECT FROM audit_leaves l, unnest(l.entry_ids) AS sealed(id) WHERE l.day = $1 AND sealed.id = e.id)
           ORDER BY at, id LIMIT $4"#,
        day.to_sqlx() as SqlDate,
        after.map(|cursor| cursor.at.to_sqlx()) as Option<SqlTimestamp>,
        after.map_or(0, |cursor| cursor.id),
        limit,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .filter_map(|row| {
            let xid = u64::try_from(row.xid.unwrap_or_default()).unwrap_or_default();
            row.into_entry().transpose().map(|entry| Ok((xid, entry?)))
        })
        .collect()
}

/// The first and the last day that have entries.
///
/// # Errors
/// [`StoreError`].
pub async fn days(executor: impl sqlx::PgExecutor<'_>) -> StoreResult<Option<(Date, Date)>> {
    let row = sqlx::query!(
        r#"SELECT (min(at) AT TIME ZONE 'UTC')::date AS "first: SqlDate", (max(at) AT TIME ZONE 'UTC')::date AS "last: SqlDate" FROM audit_entries"#
    )
    .fetch_one(executor)
    .await?;
    Ok(row
        .first
        .zip(row.last)
        .map(|(first, last)| (first.to_jiff(), last.to_jiff())))
}

/// When an entry was written, by its id; within a day of it, if the day is known to the caller.
///
/// # Errors
/// [`StoreError`].
pub async fn one(pool: &Pool, id: i64) -> StoreResult<Option<StoredEntry>> {
    Ok(with_ids(pool, &[id], None, None).await?.into_iter().next())
}
