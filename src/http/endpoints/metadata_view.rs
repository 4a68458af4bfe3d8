//! A record without its values, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::record::{Retention, Version, VersionState};
use crate::service::records::{MetadataRow, RecordMetadata};

/// What a record says of itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecordMetadata")]
#[serde(rename_all = "camelCase")]
pub(super) struct MetadataView {
    path: String,
    /// The newest version.
    version: Version,
    /// What it holds; absent if it is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<VersionState>,
    /// The oldest version kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_version: Option<i64>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// When the whole record was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    description: String,
    owner: String,
    tags: BTreeSet<String>,
    custom: BTreeMap<String, String>,
    /// When its values stop being of use.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// Seconds until then; below 0 once it is past.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
    cas_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_versions: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_version_after_seconds: Option<i64>,
    /// The resource that feeds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_by: Option<String>,
    /// What holds in the end, prefixes and defaults considered.
    #[serde(skip_serializing_if = "Option::is_none")]
    effective: Option<EffectiveView>,
}

/// What holds for the versions of a record in the end.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EffectiveRetention")]
#[serde(rename_all = "camelCase")]
struct EffectiveView {
    cas_required: bool,
    max_versions: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_version_after_seconds: Option<i64>,
}

impl From<Retention> for EffectiveView {
    fn from(retention: Retention) -> Self {
        Self {
            cas_required: retention.cas_required,
            max_versions: retention.kept(),
            delete_version_after_seconds: retention.delete_version_after,
        }
    }
}

impl MetadataView {
    /// One record.
    pub(super) fn of(metadata: RecordMetadata, now: Timestamp) -> Self {
        Self {
            effective: Some(metadata.effective.into()),
            ..Self::found(metadata.row, now)
        }
    }

    /// One of many.
    pub(super) fn found(row: MetadataRow, now: Timestamp) -> Self {
        let metadata = row.metadata;
        Self {
            path: row.path.into(),
            version: row.current_version,
            state: row.state,
            oldest_version: row.oldest_version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
            description: metadata.description,
            owner: metadata.owner,
            tags: metadata.tags,
            custom: metadata.custom,
            expires_at: metadata.expires_at,
            expires_in: metadata
                .expires_at
                .map(|at| at.as_second().saturating_sub(now.as_second())),
            cas_required: metadata.retention.cas_required,
            max_versions: metadata.retention.max_versions,
            delete_version_after_seconds: metadata.retention.delete_version_after,
            managed_by: row.managed_by,
            effective: None,
        }
    }
}
