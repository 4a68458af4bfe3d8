//! What records say of themselves, and finding them by it. Prefixes are ranges, names are looked for with `strpos`: nothing that a client
//! sends is a pattern.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;
use super::records::{broken, state_of, version_of};
use crate::domain::path::RecordPath;
use crate::domain::record::{AgeBucket, ExpiryBucket, Metadata, Retention, Version, VersionState};

/// A record without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataRow {
    /// The record's id.
    pub id: Uuid,
    /// Where it is.
    pub path: RecordPath,
    /// Rises with each change.
    pub revision: i64,
    /// The newest version.
    pub current_version: Version,
    /// What that version holds; absent if it is not kept.
    pub state: Option<VersionState>,
    /// The oldest version kept.
    pub oldest_version: Option<i64>,
    /// The resource that feeds it.
    pub managed_by: Option<String>,
    /// When its first version was written.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When the whole record was deleted.
    pub deleted_at: Option<Timestamp>,
    /// What it says of itself.
    pub metadata: Metadata,
}

/// The metadata of a record. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn fetch(pool: &Pool, path: &RecordPath) -> StoreResult<Option<MetadataRow>> {
    let search = Search {
        only: Some(path.as_str()),
        deleted: None,
        ..Search::default()
    };
    Ok(find(pool, &search, 1).await?.into_iter().next())
}

/// What to look for; what is absent is not asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Search<'a> {
    /// This path alone.
    pub only: Option<&'a str>,
    /// The lower end of the paths.
    pub low: &'a str,
    /// The upper end of the paths, exclusive.
    pub high: Option<&'a str>,
    /// Paths behind this one.
    pub after: &'a str,
    /// A part of the path, in any case.
    pub name: Option<&'a str>,
    /// Its owner.
    pub owner: Option<&'a str>,
    /// Tags that it has, all of them.
    pub tags: &'a [String],
    /// Custom metadata that it has.
    pub custom: Option<&'a Value>,
    /// Whether it says that its values end within so many seconds, or have ended.
    pub expires_within: Option<i64>,
    /// Whether the whole record is deleted.
    pub deleted: Option<bool>,
}

/// Up to `limit` records that fit, in the order of paths. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, search: &Search<'_>, limit: i64) -> StoreResult<Vec<MetadataRow>> {
    let rows = sqlx::query!(
        r#"SELECT s.id, s.path, s.revision, s.current_version, s.managed_by, s.max_versions, s.cas_required, s.delete_version_after,
                  s.description, s.owner, s.tags, s.custom,
                  version_state(v.state, v.delete_at, s.deleted_at) AS state,
                  (SELECT min(o.version) FROM secret_versions o WHERE o.secret_id = s.id) AS oldest_version,
                  s.created_at AS "created_at: jiff_sqlx::Timestamp", s.updated_at AS "updated_at: jiff_sqlx::Timestamp",
                  s.expires_at AS "expires_at: jiff_sqlx::Timestamp", s.deleted_at AS "deleted_at: jiff_sqlx::Timestamp"
           FROM secrets s LEFT JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.current_version
           WHERE s.path >= $1 AND ($2::text IS NULL OR s.path < $2) AND s.path > $3
             AND ($4::text IS NULL OR s.path = $4)
             AND ($5::text IS NULL OR strpos(lower(s.path), lower($5)) > 0)
             AND ($6::text IS NULL OR s.owner = $6)
             AND ($7::text[] IS NULL OR s.tags @> $7)
             AND ($8::jsonb IS NULL OR s.custom @> $8)
             AND ($9::bigint IS NULL OR s.expires_at < now() + make_interval(secs => $9::double precision))
             AND ($10::boolean IS NULL OR (s.deleted_at IS NOT NULL) = $10)
           ORDER BY s.path LIMIT $11"#,
        search.low,
        search.high,
        search.after,
        search.only,
        search.name,
        search.owner,
        (!search.tags.is_empty()).then_some(search.tags),
        search.custom,
        search.expires_within,
        search.deleted,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let metadata = Metadata {
                description: row.description,
                owner: row.owner,
                tags: row.tags.into_iter().collect(),
                custom: serde_json::from_value(row.custom).map_err(|_| broken("secrets", "custom", row.id))?,
                expires_at: row.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
                retention: Retention {
                    cas_required: row.cas_required,
                    max_versions: row.max_versions,
                    delete_version_after: row.delete_version_after,
                },
            };
            Ok(MetadataRow {
                id: row.id,
                path: RecordPath::parse(&row.path).map_err(|_| broken("secrets", "path", row.id))?,
                revision: row.revision,
                current_version: version_of(row.id, row.current_version)?,
                state: row.state.map(|state| state_of(row.id, &state)).transpose()?,
                oldest_version: row.oldest_version,
                managed_by: row.managed_by,
                created_at: row.created_at.to_jiff(),
                updated_at: row.updated_at.to_jiff(),
                deleted_at: row.deleted_at.map(jiff_sqlx::Timestamp::to_jiff),
                metadata,
            })
        })
        .collect()
}

/// The metadata of a record that the transaction holds.
///
/// # Errors
/// [`super::StoreError`].
pub async fn held(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<Metadata> {
    let row = sqlx::query!(
        r#"SELECT description, owner, tags, custom, max_versions, cas_required, delete_version_after,
                  expires_at AS "expires_at: jiff_sqlx::Timestamp"
           FROM secrets WHERE id = $1"#,
        id,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Metadata {
        description: row.description,
        owner: row.owner,
        tags: row.tags.into_iter().collect(),
        custom: serde_json::from_value(row.custom).map_err(|_| broken("secrets", "custom", id))?,
        expires_at: row.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
        retention: Retention {
            cas_required: row.cas_required,
            max_versions: row.max_versions,
            delete_version_after: row.delete_version_after,
        },
    })
}

/// Sets the metadata of a record that the transaction holds.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set(tx: &mut Tx<'_>, id: Uuid, metadata: &Metadata) -> StoreResult<()> {
    let tags: Vec<String> = metadata.tags.iter().cloned().collect();
    let custom: Map<String, Value> = metadata
        .custom
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    sqlx::query!(
        "UPDATE secrets SET description = $2, owner = $3, tags = $4, custom = $5, expires_at = $6, cas_required = $7,
                            max_versions = $8, delete_version_after = $9
         WHERE id = $1",
        id,
        metadata.description,
        metadata.owner,
        &tags,
        Value::Object(custom),
        metadata.expires_at.map(jiff_sqlx::ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        metadata.retention.cas_required,
        metadata.retention.max_versions,
        metadata.retention.delete_version_after,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many records say that their values end, by how soon. One round trip.
///
/// # Errors
/// [`super::StoreError`].
pub async fn expiries(pool: &Pool) -> StoreResult<[i64; ExpiryBucket::ALL.len()]> {
    let rows = sqlx::query!(
        r#"SELECT width_bucket(ceil(extract(epoch FROM expires_at - now()))::bigint, $1::bigint[]) AS "bucket!", count(*) AS "count!"
           FROM secrets WHERE expires_at IS NOT NULL AND deleted_at IS NULL GROUP BY 1"#,
        &ExpiryBucket::STARTS[..],
    )
    .fetch_all(pool)
    .await?;
    Ok(by_bucket(rows.into_iter().map(|row| (row.bucket, row.count))))
}

/// How many records there are, by the age of their current version. One round trip that walks all of them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn ages(pool: &Pool) -> StoreResult<[i64; AgeBucket::ALL.len()]> {
    let rows = sqlx::query!(
        r#"SELECT width_bucket(floor(extract(epoch FROM now() - v.created_at))::bigint, $1::bigint[]) AS "bucket!", count(*) AS "count!"
           FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.current_version
           WHERE s.deleted_at IS NULL GROUP BY 1"#,
        &AgeBucket::STARTS[..],
    )
    .fetch_all(pool)
    .await?;
    Ok(by_bucket(rows.into_iter().map(|row| (row.bucket, row.count))))
}

/// Counts of `width_bucket`'s buckets, in order; none is outside.
fn by_bucket<const N: usize>(rows: impl Iterator<Item = (i32, i64)>) -> [i64; N] {
    let mut counts = [0; N];
    for (bucket, count) in rows {
        if let Some(at) = usize::try_from(bucket).ok().and_then(|at| counts.get_mut(at)) {
            *at = count;
        }
    }
    counts
}
