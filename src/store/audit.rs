//! Audit entries: added in the transaction of a mutation, or in batches that confirm the reads they stand for.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;
use crate::domain::audit::AuditEntry;

/// The credential that an operation rests on; what is absent is not asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bearer {
    /// The session is neither revoked nor past its end.
    pub session: Option<Uuid>,
    /// The session is at this revision: it saw its second factor when the decision was made with.
    pub session_revision: Option<i64>,
    /// The API key is neither revoked nor past its end, and at this revision: what it stands for, its owner's standing, role and groups
    /// among it, is what the decision was made with.
    pub api_key: Option<(Uuid, i64)>,
}

/// What a batched entry's commit has to confirm; what is absent is not asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confirm {
    /// The record is still at this revision.
    pub record: Option<(Uuid, i64)>,
    /// The time has not come yet, by the database's clock.
    pub until: Option<Timestamp>,
    /// The credential still holds.
    pub bearer: Bearer,
    /// The policies are those that decided.
    pub policy_epoch: Option<i64>,
}

/// Adds one entry to a mutation's own transaction.
///
/// # Errors
/// [`super::StoreError`]; the mutation must then not be committed.
pub async fn insert(tx: &mut Tx<'_>, entry: &AuditEntry) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO audit_entries (request_id, actor_kind, actor_id, actor_name, door, action, resource, version, decision,
                                    reason, policy, rule, client, user_agent, origin_uid, origin_generation)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        entry.request_id,
        entry.actor_kind,
        entry.actor_id,
        entry.actor_name,
        entry.door,
        entry.action.as_str(),
        entry.resource,
        entry.version,
        entry.outcome.as_str(),
        entry.reason,
        entry.policy,
        entry.rule,
        entry.client,
        entry.user_agent,
        entry.origin_uid,
        entry.origin_generation,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds one entry that stands for `count` events.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert_counted(tx: &mut Tx<'_>, entry: &AuditEntry, count: i64) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO audit_entries (request_id, actor_kind, actor_id, actor_name, door, action, resource, decision, reason, client, count)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        entry.request_id,
        entry.actor_kind,
        entry.actor_id,
        entry.actor_name,
        entry.door,
        entry.action.as_str(),
        entry.resource,
        entry.outcome.as_str(),
        entry.reason,
        entry.client,
        count,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds an entry to a mutation's own transaction if what the mutation rests on still holds; `false` if it does not, and then the
/// mutation must not be committed.
///
/// # Errors
/// [`super::StoreError`]; the mutation must then not be committed.
pub async fn insert_confirmed(tx: &mut Tx<'_>, entry: &AuditEntry, confirm: Confirm) -> StoreResult<bool> {
    Ok(commit_batch(&mut **tx, &[(entry, confirm)]).await? == [true])
}

/// Commits a batch of entries in one statement and answers, in order, which of them were confirmed. An entry that is not
/// confirmed is not written: what it would have said is not true. One round trip.
///
/// # Errors
/// [`super::StoreError`]; nothing of the batch is then written.
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "store.audit_batch", skip_all)]
pub async fn commit_batch(
    executor: impl sqlx::PgExecutor<'_>,
    batch: &[(&AuditEntry, Confirm)],
) -> StoreResult<Vec<bool>> {
    let column = |f: fn(&AuditEntry) -> &str| batch.iter().map(|(e, _)| f(e).to_owned()).collect::<Vec<_>>();
    let optional = |f: fn(&AuditEntry) -> Option<&str>| {
        batch
            .iter()
            .map(|(e, _)| f(e).map(str::to_owned))
            .collect::<Vec<Option<String>>>()
    };
    let request_ids: Vec<Uuid> = batch.iter().map(|(e, _)| e.request_id).collect();
    let versions: Vec<Option<i64>> = batch.iter().map(|(e, _)| e.version).collect();
    let rules: Vec<Option<i32>> = batch.iter().map(|(e, _)| e.rule).collect();
    let generations: Vec<Option<i64>> = batch.iter().map(|(e, _)| e.origin_generation).collect();
    let records: Vec<Option<Uuid>> = batch.iter().map(|(_, c)| c.record.map(|(id, _)| id)).collect();
    let revisions: Vec<Option<i64>> = batch
        .iter()
        .map(|(_, c)| c.record.map(|(_, revision)| revision))
        .collect();
    let sessions: Vec<Option<Uuid>> = batch.iter().map(|(_, c)| c.bearer.session).collect();
    let session_revisions: Vec<Option<i64>> = batch.iter().map(|(_, c)| c.bearer.session_revision).collect();
    let api_keys: Vec<Option<Uuid>> = batch.iter().map(|(_, c)| c.bearer.api_key.map(|(id, _)| id)).collect();
    let key_revisions: Vec<Option<i64>> = batch
        .iter()
        .map(|(_, c)| c.bearer.api_key.map(|(_, revision)| revision))
        .collect();
    let epochs: Vec<Option<i64>> = batch.iter().map(|(_, c)| c.policy_epoch).collect();
    let untils: Vec<Option<i64>> = batch
        .iter()
        .map(|(_, c)| c.until.map(Timestamp::as_microsecond))
        .collect();
    let confirmed = sqlx::query_scalar!(
        r#"WITH confirmed AS MATERIALIZED (
             SELECT b.*
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
                         $9::text[], $10::text[], $11::text[], $12::int[], $13::text[], $14::text[], $15::text[], $16::bigint[],
                         $17::uuid[], $18::bigint[], $19::uuid[], $20::bigint[], $21::uuid[], $22::bigint[], $23::bigint[],
                         $24::bigint[])
                  WITH ORDINALITY
                  AS b(request_id, actor_kind, actor_id, actor_name, door, action, resource, version,
                       decision, reason, policy, rule, client, user_agent, origin_uid, origin_generation,
                       record_id, revision, session_id, epoch, api_key_id, api_key_revision, until, session_revision, n)
             WHERE (b.record_id IS NULL OR EXISTS (SELECT FROM secrets s WHERE s.id = b.record_id AND s.revision = b.revision))
               AND (b.session_id IS NULL OR EXISTS (SELECT FROM sessions x
                    WHERE x.id = b.session_id AND x.revoked_at IS NULL AND x.expires_at > now()
                      AND (b.session_revision IS NULL OR x.revision = b.session_revision)))
               AND (b.api_key_id IS NULL OR EXISTS (SELECT FROM api_keys k
                    WHERE k.id = b.api_key_id AND k.revision = b.api_key_revision AND k.revoked_at IS NULL AND k.expires_at > now()))
               AND (b.epoch IS NULL OR b.epoch = (SELECT epoch FROM policy_epoch))
               AND (b.until IS NULL OR b.until > extract(epoch FROM now()) * 1000000)
           ), written AS (
             INSERT INTO audit_entries (request_id, actor_kind, actor_id, actor_name, door, action, resource, version, decision,
                                        reason, policy, rule, client, user_agent, origin_uid, origin_generation)
             SELECT request_id, actor_kind, actor_id, actor_name, door, action, resource, version, decision,
                    reason, policy, rule, client, user_agent, origin_uid, origin_generation
             FROM confirmed ORDER BY n
           )
           SELECT n AS "n!" FROM confirmed"#,
        &request_ids,
        &column(|e| e.actor_kind),
        &column(|e| &e.actor_id),
        &column(|e| &e.actor_name),
        &column(|e| e.door),
        &column(|e| e.action.as_str()),
        &column(|e| &e.resource),
        &versions as &[Option<i64>],
        &column(|e| e.outcome.as_str()),
        &column(|e| e.reason),
        &optional(|e| e.policy.as_deref()) as &[Option<String>],
        &rules as &[Option<i32>],
        &optional(|e| e.client.as_deref()) as &[Option<String>],
        &optional(|e| e.user_agent.as_deref()) as &[Option<String>],
        &optional(|e| e.origin_uid.as_deref()) as &[Option<String>],
        &generations as &[Option<i64>],
        &records as &[Option<Uuid>],
        &revisions as &[Option<i64>],
        &sessions as &[Option<Uuid>],
        &epochs as &[Option<i64>],
        &api_keys as &[Option<Uuid>],
        &key_revisions as &[Option<i64>],
        &untils as &[Option<i64>],
        &session_revisions as &[Option<i64>],
    )
    .fetch_all(executor)
    .await?;
    let mut answers = vec![false; batch.len()];
    for n in confirmed {
        if let Some(answer) = usize::try_from(n - 1).ok().and_then(|at| answers.get_mut(at)) {
            *answer = true;
        }
    }
    Ok(answers)
}

/// Locks the credential behind a mutation until its transaction ends, so that no revocation comes in between; `false` if it does not
/// hold any more. Locked as whoever ends a session does: one that was only shared would have to be locked again by a mutation that ends it,
/// and two of those would wait for each other. For transactions of several statements; a single one asks the same in its own condition.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hold(tx: &mut Tx<'_>, bearer: Bearer) -> StoreResult<bool> {
    if let Some(session) = bearer.session {
        let held = sqlx::query!(
            "SELECT id FROM sessions WHERE id = $1 AND revoked_at IS NULL AND expires_at > now() FOR NO KEY UPDATE",
            session
        )
        .fetch_optional(&mut **tx)
        .await?;
        if held.is_none() {
            return Ok(false);
        }
    }
    if let Some((id, revision)) = bearer.api_key {
        let held = sqlx::query!(
            "SELECT id FROM api_keys WHERE id = $1 AND revision = $2 AND revoked_at IS NULL AND expires_at > now() FOR SHARE",
            id,
            revision
        )
        .fetch_optional(&mut **tx)
        .await?;
        return Ok(held.is_some());
    }
    Ok(true)
}

/// Makes the partitions of today and the `ahead` days after it; answers how many days are ready.
///
/// # Errors
/// [`super::StoreError`].
pub async fn make_partitions(pool: &Pool, ahead: i32) -> StoreResult<i32> {
    Ok(
        sqlx::query_scalar!(r#"SELECT audit_make_partitions($1) AS "days!""#, ahead)
            .fetch_one(pool)
            .await?,
    )
}
