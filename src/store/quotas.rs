//! Quotas of roots. The database counts and refuses in the transaction that would grow beyond one; here they are set and shown.

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// What a root may hold at most; what is absent is unbounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Records, deleted ones that can be restored among them.
    pub records: Option<i64>,
    /// Bytes of the encrypted values of all versions kept.
    pub bytes: Option<i64>,
    /// Versions written a second, by all processes together.
    pub writes_per_second: Option<i64>,
}

/// A root with its quota, and with what is used of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootUse {
    /// Its path.
    pub path: String,
    /// `namespace`, `user` or `shared`.
    pub kind: String,
    /// `active`, `orphaned` or `shredded`.
    pub state: String,
    /// Its quota, if it has one.
    pub quota: Option<Quota>,
    /// Records and bytes counted, if it has a quota.
    pub used: Option<(i64, i64)>,
}

/// Up to `limit` roots after a path, in order. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn roots(pool: &Pool, after: &str, limit: i64) -> StoreResult<Vec<RootUse>> {
    let rows = sqlx::query!(
        r#"SELECT r.path, r.kind, r.state, q.root_id AS "quota?", q.max_records, q.max_bytes, q.max_writes_per_second,
                  q.records AS "records?", q.bytes AS "bytes?"
           FROM roots r LEFT JOIN root_quotas q ON q.root_id = r.id
           WHERE r.kind <> 'system' AND r.path > $1 ORDER BY r.path LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    let of = |row: QuotaColumns| Quota {
        records: row.0,
        bytes: row.1,
        writes_per_second: row.2,
    };
    Ok(rows
        .into_iter()
        .map(|row| RootUse {
            path: row.path,
            kind: row.kind,
            state: row.state,
            quota: row
                .quota
                .map(|_| of((row.max_records, row.max_bytes, row.max_writes_per_second))),
            used: row.records.zip(row.bytes),
        })
        .collect())
}

type QuotaColumns = (Option<i64>, Option<i64>, Option<i64>);

/// Sets the quota of a root. If it had none, what it holds is counted while nobody writes.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set(tx: &mut Tx<'_>, root_id: Uuid, quota: &Quota) -> StoreResult<()> {
    let done = sqlx::query!(
        "UPDATE root_quotas SET max_records = $2, max_bytes = $3, max_writes_per_second = $4, updated_at = now() WHERE root_id = $1",
        root_id,
        quota.records,
        quota.bytes,
        quota.writes_per_second,
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    // A write under way would be counted by nobody: its triggers found no quota, and its rows are not visible yet.
    sqlx::query!("LOCK TABLE secrets, secret_versions IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "INSERT INTO root_quotas (root_id, max_records, max_bytes, max_writes_per_second, records, bytes)
         SELECT $1, $2, $3, $4, (SELECT count(*) FROM secrets WHERE root_id = $1),
                (SELECT COALESCE(sum(octet_length(v.ciphertext)), 0)
                 FROM secrets s JOIN secret_versions v ON v.secret_id = s.id WHERE s.root_id = $1)
         ON CONFLICT ON CONSTRAINT root_quotas_pkey DO UPDATE
         SET max_records = $2, max_bytes = $3, max_writes_per_second = $4, updated_at = now()",
        root_id,
        quota.records,
        quota.bytes,
        quota.writes_per_second,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes a root's quota away; `false` if it had none.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(tx: &mut Tx<'_>, root_id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!("DELETE FROM root_quotas WHERE root_id = $1", root_id)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}
