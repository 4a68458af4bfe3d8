//! Reading records: ciphertext, heads and lists. Prefixes are ranges over `COLLATE "C"`, never LIKE.

use jiff::Timestamp;
use uuid::Uuid;

use super::error::{StoreError, StoreResult};
use super::pool::Pool;
use crate::domain::path::RecordPath;
use crate::domain::record::{Retention, Version, VersionState};

/// A record with one of its versions, as stored.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    /// The record's id.
    pub id: Uuid,
    /// The root that the row names; the keys used must be those of the root of the path that was asked for.
    pub root_id: Uuid,
    /// The newest version.
    pub current_version: Version,
    /// Rises with each change of the record.
    pub revision: i64,
    /// What the record itself says of its versions.
    pub retention: Retention,
    /// The resource that feeds the record.
    pub managed_by: Option<String>,
    /// What its source did so far.
    pub source: Option<serde_json::Value>,
    /// When its values stop being of use.
    pub expires_at: Option<Timestamp>,
    /// When the whole record was deleted, to be restored or to go for good.
    pub deleted_at: Option<Timestamp>,
    /// The version asked for; absent if it never was, or is no longer kept.
    pub version: Option<StoredVersion>,
}

/// A version as stored.
#[derive(Debug, Clone)]
pub struct StoredVersion {
    /// Its number.
    pub number: Version,
    /// What it held when it was fetched, by the database's clock.
    pub state: VersionState,
    /// Wrapped key and ciphertext, unless destroyed.
    pub sealed: Option<(Vec<u8>, Vec<u8>)>,
    /// When it was written.
    pub created_at: Timestamp,
    /// From when on it counts as deleted: whoever rests on it has to have that confirmed.
    pub delete_at: Option<Timestamp>,
}

/// A record with its current or a chosen version. One round trip.
///
/// # Errors
/// [`StoreError`].
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "store.fetch", skip_all)]
pub async fn fetch(pool: &Pool, path: &RecordPath, version: Option<Version>) -> StoreResult<Option<StoredRecord>> {
    let found = fetch_many(pool, &[(path, version)]).await?;
    Ok(found.into_iter().next().map(|(_, record)| record))
}

/// Whatever exists of many records, each with its current or a chosen version and its place in the request. One round trip.
///
/// # Errors
/// [`StoreError`].
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "store.fetch", skip_all)]
pub async fn fetch_many(
    pool: &Pool,
    refs: &[(&RecordPath, Option<Version>)],
) -> StoreResult<Vec<(usize, StoredRecord)>> {
    let paths: Vec<String> = refs.iter().map(|(path, _)| path.as_str().to_owned()).collect();
    let versions: Vec<Option<i64>> = refs.iter().map(|(_, version)| version.map(Version::number)).collect();
    let rows = sqlx::query!(
        r#"SELECT r.n AS "n!", s.id, s.root_id, s.current_version, s.revision, s.managed_by, s.source,
                  s.max_versions, s.cas_required, s.delete_version_after,
                  s.expires_at AS "expires_at?: jiff_sqlx::Timestamp", s.deleted_at AS "deleted_at?: jiff_sqlx::Timestamp",
                  v.version AS "version?", version_state(v.state, v.delete_at, s.deleted_at) AS state,
                  v.wrapped_dek AS "wrapped_dek?", v.ciphertext AS "ciphertext?",
                  v.created_at AS "created_at?: jiff_sqlx::Timestamp", v.delete_at AS "delete_at?: jiff_sqlx::Timestamp"
           FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS r(path, version, n)
           JOIN secrets s ON s.path = r.path COLLATE "C"
           LEFT JOIN secret_versions v ON v.secret_id = s.id AND v.version = COALESCE(r.version, s.current_version)"#,
        &paths,
        &versions as &[Option<i64>],
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let version = match (row.version, row.state, row.created_at) {
                (Some(number), Some(state), Some(created_at)) => Some(StoredVersion {
                    number: version_of(row.id, number)?,
                    state: state_of(row.id, &state)?,
                    sealed: row.wrapped_dek.zip(row.ciphertext),
                    created_at: created_at.to_jiff(),
                    delete_at: row.delete_at.map(jiff_sqlx::Timestamp::to_jiff),
                }),
                _ => None,
            };
            let record = StoredRecord {
                id: row.id,
                root_id: row.root_id,
                current_version: version_of(row.id, row.current_version)?,
                revision: row.revision,
                retention: Retention {
                    cas_required: row.cas_required,
                    max_versions: row.max_versions,
                    delete_version_after: row.delete_version_after,
                },
                managed_by: row.managed_by,
                source: row.source,
                expires_at: row.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
                deleted_at: row.deleted_at.map(jiff_sqlx::Timestamp::to_jiff),
                version,
            };
            Ok((usize::try_from(row.n - 1).unwrap_or(usize::MAX), record))
        })
        .collect()
}

/// The head of one reference, found at position `n` of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Position in the request, from 0.
    pub n: usize,
    /// The record's id.
    pub id: Uuid,
    /// Rises with each change of the record.
    pub revision: i64,
    /// The version referred to, with its state; absent if it is not kept.
    pub version: Option<(Version, VersionState)>,
    /// The resource that feeds the record.
    pub managed_by: Option<String>,
    /// What its source did so far.
    pub source: Option<serde_json::Value>,
}

/// The heads of many references, whatever exists of them. One round trip.
///
/// # Errors
/// [`StoreError`].
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "store.heads", skip_all)]
pub async fn heads(pool: &Pool, refs: &[(&RecordPath, Option<Version>)]) -> StoreResult<Vec<Head>> {
    let paths: Vec<String> = refs.iter().map(|(path, _)| path.as_str().to_owned()).collect();
    let versions: Vec<Option<i64>> = refs.iter().map(|(_, version)| version.map(Version::number)).collect();
    let rows = sqlx::query!(
        r#"SELECT r.n AS "n!", s.id, s.revision, s.managed_by, s.source, v.version AS "version?", version_state(v.state, v.delete_at, s.deleted_at) AS state
           FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS r(path, version, n)
           JOIN secrets s ON s.path = r.path
           LEFT JOIN secret_versions v ON v.secret_id = s.id AND v.version = COALESCE(r.version, s.current_version)"#,
        &paths,
        &versions as &[Option<i64>],
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let version = match (row.version, row.state) {
                (Some(number), Some(state)) => Some((version_of(row.id, number)?, state_of(row.id, &state)?)),
                _ => None,
            };
            let n = usize::try_from(row.n - 1).unwrap_or(usize::MAX);
            Ok(Head {
                n,
                id: row.id,
                revision: row.revision,
                version,
                managed_by: row.managed_by,
                source: row.source,
            })
        })
        .collect()
}

/// An item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRecord {
    /// The record's path.
    pub path: RecordPath,
    /// Its newest version.
    pub current_version: Version,
    /// What that version holds.
    pub state: VersionState,
}

/// Up to `limit` records within `low <= path < high` and after `after`, in order. One round trip.
///
/// # Errors
/// [`StoreError`].
#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "store.list", skip_all)]
pub async fn list(
    pool: &Pool,
    low: &str,
    high: Option<&str>,
    after: &str,
    limit: i64,
) -> StoreResult<Vec<ListedRecord>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.path, s.current_version, version_state(v.state, v.delete_at, NULL) AS "state!"
           FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.current_version
           WHERE s.path >= $1 AND ($2::text IS NULL OR s.path < $2) AND s.path > $3 AND s.deleted_at IS NULL
           ORDER BY s.path LIMIT $4"#,
        low,
        high,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let path = RecordPath::parse(&row.path).map_err(|_| broken("secrets", "path", row.id))?;
            let current_version = version_of(row.id, row.current_version)?;
            Ok(ListedRecord {
                path,
                current_version,
                state: state_of(row.id, &row.state)?,
            })
        })
        .collect()
}

/// What is known of a version without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Its number.
    pub number: Version,
    /// What it holds.
    pub state: VersionState,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was deleted or destroyed, or will count as deleted.
    pub deleted_at: Option<Timestamp>,
}

/// The versions kept of a record, oldest first. One round trip.
///
/// # Errors
/// [`StoreError`].
pub async fn versions(pool: &Pool, id: Uuid) -> StoreResult<Vec<VersionRow>> {
    let rows = sqlx::query!(
        r#"SELECT v.version, version_state(v.state, v.delete_at, s.deleted_at) AS "state!",
                  v.created_at AS "created_at: jiff_sqlx::Timestamp",
                  COALESCE(v.deleted_at, v.delete_at, s.deleted_at) AS "deleted_at: jiff_sqlx::Timestamp"
           FROM secrets s JOIN secret_versions v ON v.secret_id = s.id WHERE s.id = $1 ORDER BY v.version"#,
        id,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(VersionRow {
                number: version_of(id, row.version)?,
                state: state_of(id, &row.state)?,
                created_at: row.created_at.to_jiff(),
                deleted_at: row.deleted_at.map(jiff_sqlx::Timestamp::to_jiff),
            })
        })
        .collect()
}

pub(super) fn version_of(id: Uuid, number: i64) -> StoreResult<Version> {
    Version::new(number).map_err(|_| broken("secret_versions", "version", id))
}

pub(super) fn state_of(id: Uuid, state: &str) -> StoreResult<VersionState> {
    VersionState::parse(state).ok_or_else(|| broken("secret_versions", "state", id))
}

pub(super) fn broken(table: &'static str, column: &'static str, id: Uuid) -> StoreError {
    StoreError::BrokenRow {
        table,
        column,
        row: id.to_string(),
    }
}
