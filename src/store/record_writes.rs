//! Writing a version: one statement with the record, the version, the audit entry and the change, or none of them.
//!
//! The caller encrypted for version n+1 before it knew whether n is still current: the statement writes nothing if it is not, nor if
//! the policies, the session or the root are no longer those that the decision was made with.

use jiff::Timestamp;
use uuid::Uuid;

use super::audit::Bearer;
use super::error::StoreResult;
use super::pool::Pool;
use crate::domain::audit::AuditEntry;
use crate::domain::path::RecordPath;
use crate::domain::record::Version;

/// A version, encrypted and ready to be written.
pub struct NewVersion<'a> {
    /// The record's id.
    pub record_id: Uuid,
    /// The root of its path.
    pub root_id: Uuid,
    /// Its path.
    pub path: &'a RecordPath,
    /// The version that this write makes.
    pub version: Version,
    /// The record's revision that the write follows; absent for its first version.
    pub revision: Option<i64>,
    /// Versions to keep.
    pub kept: i64,
    /// Seconds after which the version counts as deleted.
    pub delete_after: Option<i64>,
    /// The wrapped data key.
    pub wrapped_dek: &'a [u8],
    /// The encrypted values.
    pub ciphertext: &'a [u8],
    /// The entry that is committed with it.
    pub entry: &'a AuditEntry,
    /// The credential that must still hold.
    pub bearer: Bearer,
    /// The policies that must still be in force.
    pub policy_epoch: i64,
    /// The resource that feeds the record and what is remembered of that; absent: both stay as they are.
    pub source: Option<SourceColumns<'a>>,
}

/// What stands beside a record that a resource feeds.
#[derive(Debug, Clone, Copy)]
pub struct SourceColumns<'a> {
    /// The resource that alone may write it, if it is to be that way.
    pub managed_by: Option<&'a str>,
    /// What its source did so far.
    pub state: &'a serde_json::Value,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenRow {
    /// When, by the database's clock.
    pub at: Timestamp,
    /// The record's revision after it.
    pub revision: i64,
    /// From when on the version counts as deleted.
    pub delete_at: Option<Timestamp>,
}

/// Writes a record's first version. `None` if it exists, or if what the decision rested on no longer holds. One round trip.
///
/// # Errors
/// [`super::StoreError`].
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "store.create", skip_all)]
pub async fn create(pool: &Pool, new: &NewVersion<'_>) -> StoreResult<Option<WrittenRow>> {
    let entry = new.entry;
    let row = sqlx::query!(
        r#"WITH record AS (
             INSERT INTO secrets (id, root_id, path, current_version, managed_by, source)
             SELECT $1, $2, $3, $4, $5, $28
             WHERE EXISTS (SELECT FROM policy_epoch WHERE epoch = $9)
               AND EXISTS (SELECT FROM roots WHERE id = $2 AND state = 'active')
               AND ($8::uuid IS NULL OR EXISTS (SELECT FROM sessions x
                    WHERE x.id = $8 AND x.revoked_at IS NULL AND x.expires_at > now() AND ($27::bigint IS NULL OR x.revision = $27)))
               AND ($24::uuid IS NULL OR EXISTS (SELECT FROM api_keys k
                    WHERE k.id = $24 AND k.revision = $25 AND k.revoked_at IS NULL AND k.expires_at > now()))
             ON CONFLICT ON CONSTRAINT secrets_path_key DO NOTHING
             RETURNING id, revision, created_at
           ), version AS (
             INSERT INTO secret_versions (secret_id, version, wrapped_dek, ciphertext, delete_at)
             SELECT id, $4, $6, $7, now() + make_interval(secs => $26::bigint::double precision) FROM record
             RETURNING delete_at
           ), audit AS (
             INSERT INTO audit_entries (request_id, actor_kind, actor_id, actor_name, door, action, resource, version, decision,
                                        reason, policy, rule, client, user_agent, origin_uid, origin_generation)
             SELECT $10, $11, $12, $13, $14, $15, $3, $4, $16, $17, $18, $19, $20, $21, $22, $23 FROM record
           ), change AS (
             INSERT INTO changes (kind, subject) SELECT 'record', $3 FROM record
           )
           SELECT r.revision, r.created_at AS "at: jiff_sqlx::Timestamp", v.delete_at AS "delete_at: jiff_sqlx::Timestamp"
           FROM record r, version v"#,
        new.record_id,
        new.root_id,
        new.path.as_str(),
        new.version.number(),
        new.source.and_then(|source| source.managed_by),
        new.wrapped_dek,
        new.ciphertext,
        new.bearer.session,
        new.policy_epoch,
        entry.request_id,
        entry.actor_kind,
        entry.actor_id,
        entry.actor_name,
        entry.door,
        entry.action.as_str(),
        entry.outcome.as_str(),
        entry.reason,
        entry.policy,
        entry.rule,
        entry.client,
        entry.user_agent,
        entry.origin_uid,
        entry.origin_generation,
        new.bearer.api_key.map(|(id, _)| id),
        new.bearer.api_key.map(|(_, revision)| revision),
        new.delete_after,
        new.bearer.session_revision,
        new.source.map(|source| source.state),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| WrittenRow {
        at: row.at.to_jiff(),
        revision: row.revision,
        delete_at: row.delete_at.map(jiff_sqlx::Timestamp::to_jiff),
    }))
}

/// Writes a further version over `new.version - 1`, and drops versions beyond those kept. `None` if the record is at another revision, so
/// that what it says of its versions is what the write went by, or if what the decision rested on no longer holds. One round trip.
///
/// # Errors
/// [`super::StoreError`].
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "store.update", skip_all)]
pub async fn update(pool: &Pool, new: &NewVersion<'_>) -> StoreResult<Option<WrittenRow>> {
    let entry = new.entry;
    let row = sqlx::query!(
        r#"WITH record AS (
             UPDATE secrets SET current_version = $4, revision = revision + 1, updated_at = now(),
                    managed_by = CASE WHEN $30::jsonb IS NULL THEN managed_by ELSE $28 END, source = COALESCE($30, source)
             WHERE id = $1 AND root_id = $2 AND path = $3 AND current_version = $4::bigint - 1 AND revision = $27
               AND EXISTS (SELECT FROM policy_epoch WHERE epoch = $9)
               AND EXISTS (SELECT FROM roots WHERE id = $2 AND state = 'active')
               AND ($8::uuid IS NULL OR EXISTS (SELECT FROM sessions x
                    WHERE x.id = $8 AND x.revoked_at IS NULL AND x.expires_at > now() AND ($29::bigint IS NULL OR x.revision = $29)))
               AND ($24::uuid IS NULL OR EXISTS (SELECT FROM api_keys k
                    WHERE k.id = $24 AND k.revision = $25 AND k.revoked_at IS NULL AND k.expires_at > now()))
             RETURNING id, revision, updated_at
           ), version AS (
             INSERT INTO secret_versions (secret_id, version, wrapped_dek, ciphertext, delete_at)
             SELECT id, $4, $6, $7, now() + make_interval(secs => $26::bigint::double precision) FROM record
             RETURNING delete_at
           ), pruned AS (
             DELETE FROM secret_versions WHERE secret_id = (SELECT id FROM record) AND version <= $4::bigint - $5::bigint
           ), audit AS (
             INSERT INTO audit_entries (request_id, actor_kind, actor_id, actor_name, door, action, resource, version, decision,
                                        reason, policy, rule, client, user_agent, origin_uid, origin_generation)
             SELECT $10, $11, $12, $13, $14, $15, $3, $4, $16, $17, $18, $19, $20, $21, $22, $23 FROM record
           ), change AS (
             INSERT INTO changes (kind, subject) SELECT 'record', $3 FROM record
           )
           SELECT r.revision, r.updated_at AS "at: jiff_sqlx::Timestamp", v.delete_at AS "delete_at: jiff_sqlx::Timestamp"
           FROM record r, version v"#,
        new.record_id,
        new.root_id,
        new.path.as_str(),
        new.version.number(),
        new.kept,
        new.wrapped_dek,
        new.ciphertext,
        new.bearer.session,
        new.policy_epoch,
        entry.request_id,
        entry.actor_kind,
        entry.actor_id,
        entry.actor_name,
        entry.door,
        entry.action.as_str(),
        entry.outcome.as_str(),
        entry.reason,
        entry.policy,
        entry.rule,
        entry.client,
        entry.user_agent,
        entry.origin_uid,
        entry.origin_generation,
        new.bearer.api_key.map(|(id, _)| id),
        new.bearer.api_key.map(|(_, revision)| revision),
        new.delete_after,
        new.revision,
        new.source.and_then(|source| source.managed_by),
        new.bearer.session_revision,
        new.source.map(|source| source.state),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| WrittenRow {
        at: row.at.to_jiff(),
        revision: row.revision,
        delete_at: row.delete_at.map(jiff_sqlx::Timestamp::to_jiff),
    }))
}
