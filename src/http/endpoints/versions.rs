//! `GET /api/v1/versions/{*path}`: which versions a record has, and what became of them. No values.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::record::{Version, VersionState};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::Record;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::records::VersionInfo;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/versions/{*path}",
        Access::Session,
        get(versions),
        Operation::new("List the versions of a record").answers::<VersionsView>(StatusCode::OK),
    )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecordVersions")]
struct VersionsView {
    path: String,
    versions: Vec<VersionView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecordVersion")]
#[serde(rename_all = "camelCase")]
struct VersionView {
    version: Version,
    state: VersionState,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
}

impl From<VersionInfo> for VersionView {
    fn from(info: VersionInfo) -> Self {
        Self {
            version: info.version,
            state: info.state,
            created_at: info.created_at,
            deleted_at: info.deleted_at,
        }
    }
}

async fn versions(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<VersionsView>> {
    let versions = api.vault().records().versions(&ctx, &path).await?;
    Ok(axum::Json(VersionsView {
        path: path.into(),
        versions: versions.into_iter().map(VersionView::from).collect(),
    }))
}
