//! `GET`, `PUT`, `PATCH` and `DELETE /api/v1/metadata/{*path}`: what a record says of itself, and the end of the whole record; no values.
//! `POST /api/v1/restore/{*path}` brings a deleted record back.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, patch, post, put};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::metadata_view::MetadataView;
use crate::domain::record::{Metadata, MetadataPatch, Retention};
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Parameters, Query};
use crate::http::record_path::Record;
use crate::http::routes::{Access, Endpoint};
use crate::http::unique_map::UniqueMap;
use crate::http::{Api, Authenticated};

const ROUTE: &str = "/api/v1/metadata/{*path}";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of = |method, path, handler, operation| Endpoint::new(method, path, Access::Session, handler, operation);
    vec![
        of(
            "GET",
            ROUTE,
            get(read),
            Operation::new("Show what a record says of itself, without values").answers::<MetadataView>(StatusCode::OK),
        ),
        of(
            "PUT",
            ROUTE,
            put(replace),
            Operation::new("Say anew what a record says of itself; what is left out goes back to its default")
                .takes::<MetadataForm>()
                .answers_nothing(),
        ),
        of(
            "PATCH",
            ROUTE,
            patch(change),
            Operation::new("Change some of what a record says of itself, by JSON Merge Patch")
                .takes::<MetadataChange>()
                .answers_nothing(),
        ),
        of(
            "DELETE",
            ROUTE,
            delete(remove),
            Operation::new("Delete a whole record, to be restored or for good")
                .query::<RemoveParameters>()
                .answers_nothing(),
        ),
        of(
            "POST",
            "/api/v1/restore/{*path}",
            post(restore),
            Operation::new("Restore a whole deleted record").answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "RecordMetadataToSet")]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[derive(Default)]
struct MetadataForm {
    description: String,
    owner: String,
    tags: BTreeSet<String>,
    custom: UniqueMap<String>,
    expires_at: Option<Timestamp>,
    cas_required: bool,
    max_versions: Option<i64>,
    delete_version_after_seconds: Option<i64>,
}

impl Form for MetadataForm {
    const EXAMPLE: &'static str = r#"{"description": "…", "owner": "…", "tags": ["…"], "custom": {"KEY": "TEXT"}, "expiresAt": "2027-01-31T00:00:00Z", "casRequired": false, "maxVersions": 10, "deleteVersionAfterSeconds": 86400}, each optional"#;
    const LIMIT: usize = 256 << 10;
}

impl From<MetadataForm> for Metadata {
    fn from(form: MetadataForm) -> Self {
        Self {
            description: form.description,
            owner: form.owner,
            tags: form.tags,
            custom: form.custom.0,
            expires_at: form.expires_at,
            retention: Retention {
                cas_required: form.cas_required,
                max_versions: form.max_versions,
                delete_version_after: form.delete_version_after_seconds,
            },
        }
    }
}

#[derive(Deserialize, JsonSchema, Default)]
#[schemars(rename = "RecordMetadataChange")]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct MetadataChange {
    #[serde(deserialize_with = "set")]
    description: Option<Option<String>>,
    #[serde(deserialize_with = "set")]
    owner: Option<Option<String>>,
    #[serde(deserialize_with = "set")]
    tags: Option<Option<BTreeSet<String>>>,
    #[serde(deserialize_with = "set")]
    custom: Option<Option<BTreeMap<String, Option<String>>>>,
    #[serde(deserialize_with = "set")]
    expires_at: Option<Option<Timestamp>>,
    #[serde(deserialize_with = "set")]
    cas_required: Option<Option<bool>>,
    #[serde(deserialize_with = "set")]
    max_versions: Option<Option<i64>>,
    #[serde(deserialize_with = "set")]
    delete_version_after_seconds: Option<Option<i64>>,
}

impl Form for MetadataChange {
    const EXAMPLE: &'static str = r#"{"description": null, "tags": ["…"], "custom": {"SET": "TEXT", "REMOVED": null}, "maxVersions": 20}, each optional; null goes back to the default"#;
    const LIMIT: usize = 256 << 10;
    const MEDIA_TYPE: &'static str = "application/merge-patch+json";
}

impl From<MetadataChange> for MetadataPatch {
    fn from(form: MetadataChange) -> Self {
        Self {
            description: form.description,
            owner: form.owner,
            tags: form.tags,
            custom: form.custom,
            expires_at: form.expires_at,
            cas_required: form.cas_required,
            max_versions: form.max_versions,
            delete_version_after: form.delete_version_after_seconds,
        }
    }
}

/// A field that was sent, be it null.
fn set<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemoveParameters {
    /// For good: nothing brings the record back, and the path is free.
    #[serde(default)]
    permanently: bool,
}

impl Parameters for RemoveParameters {
    const EXAMPLE: &'static str = "?permanently=true, or nothing";
}

async fn read(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<MetadataView>> {
    let metadata = api.vault().records().metadata(&ctx, &path).await?;
    Ok(axum::Json(MetadataView::of(metadata, ctx.now())))
}

async fn replace(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<MetadataForm>,
) -> Result<StatusCode> {
    api.vault().records().describe(&ctx, &path, &form.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<MetadataChange>,
) -> Result<StatusCode> {
    api.vault().records().patch_metadata(&ctx, &path, &form.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(parameters): Query<RemoveParameters>,
) -> Result<StatusCode> {
    if parameters.permanently {
        api.vault().records().purge(&ctx, &path).await?;
    } else {
        api.vault().records().remove(&ctx, &path, None).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn restore(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().records().restore(&ctx, &path).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_absence_are_told_apart() {
        let change: MetadataChange =
            serde_json::from_str(r#"{"owner": null, "custom": {"a": null}, "maxVersions": 3}"#).unwrap();
        let patch = MetadataPatch::from(change);
        assert_eq!(patch.owner, Some(None));
        assert_eq!(patch.description, None);
        assert_eq!(patch.custom, Some(Some([("a".to_owned(), None)].into())));
        assert_eq!(patch.max_versions, Some(Some(3)));
    }
}
