//! Sums of access by day.

use jiff::Timestamp;
use jiff_sqlx::{Date as SqlDate, Timestamp as SqlTimestamp, ToSqlx as _};

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;
use crate::domain::audit::daily::DailyAccess;

/// Adds to the sums. Rows are taken in the order of their keys, so that two that add at once do not wait for each other.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add(tx: &mut Tx<'_>, sums: &[DailyAccess]) -> StoreResult<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let text = |f: fn(&DailyAccess) -> &str| sums.iter().map(|sum| f(sum).to_owned()).collect::<Vec<_>>();
    let days: Vec<SqlDate> = sums.iter().map(|sum| sum.day.to_sqlx()).collect();
    let rules: Vec<i32> = sums.iter().map(|sum| sum.rule).collect();
    let reads: Vec<i64> = sums.iter().map(|sum| sum.reads).collect();
    let writes: Vec<i64> = sums.iter().map(|sum| sum.writes).collect();
    let last: Vec<SqlTimestamp> = sums.iter().map(|sum| sum.last_at.to_sqlx()).collect();
    sqlx::query!(
        "INSERT INTO access_daily (day, resource, actor_kind, actor_id, actor_name, policy, rule, reads, writes, last_at)
         SELECT * FROM unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::bigint[], $9::bigint[],
                              $10::timestamptz[])
         ON CONFLICT ON CONSTRAINT access_daily_pkey DO UPDATE
         SET reads = access_daily.reads + excluded.reads, writes = access_daily.writes + excluded.writes,
             last_at = GREATEST(access_daily.last_at, excluded.last_at), actor_name = excluded.actor_name",
        &days as &[SqlDate],
        &text(|sum| &sum.resource),
        &text(|sum| &sum.actor_kind),
        &text(|sum| &sum.actor_id),
        &text(|sum| &sum.actor_name),
        &text(|sum| &sum.policy),
        &rules,
        &reads,
        &writes,
        &last as &[SqlTimestamp],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes sums of more than `days` ago, a bounded number at a time; answers how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool, days: i32) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM access_daily WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM access_daily WHERE day < (now() AT TIME ZONE 'UTC')::date - $1::int LIMIT 10000))",
        days
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// When a rule of a policy was last used, for each rule that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleUse {
    /// The policy.
    pub policy: String,
    /// The rule, from 0.
    pub rule: i32,
    /// The last use.
    pub last_at: Timestamp,
    /// Reads and writes since the day that was asked for.
    pub uses: i64,
}

/// How rules of policies were used within the last `days`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn rule_uses(pool: &Pool, days: i32) -> StoreResult<Vec<RuleUse>> {
    let rows = sqlx::query!(
        r#"SELECT policy, rule, max(last_at) AS "last_at!: SqlTimestamp", sum(reads + writes)::bigint AS "uses!"
           FROM access_daily WHERE policy <> '' AND rule >= 0 AND day >= (now() AT TIME ZONE 'UTC')::date - $1::int
           GROUP BY policy, rule ORDER BY policy, rule"#,
        days
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RuleUse {
            policy: row.policy,
            rule: row.rule,
            last_at: row.last_at.to_jiff(),
            uses: row.uses,
        })
        .collect())
}
