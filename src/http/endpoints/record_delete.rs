//! `DELETE /api/v1/records/{*path}`: soft-deletes the current version, or those of `?versions=1,2`. They can be brought back.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap};
use axum::routing::delete;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{Parameters, Query};
use crate::http::record_path::Record;
use crate::http::routes::{Access, Endpoint};
use crate::http::version::VersionList;
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "DELETE",
        "/api/v1/records/{*path}",
        Access::Session,
        delete(soft_delete),
        Operation::new("Soft-delete versions of a record")
            .query::<DeleteParameters>()
            .answers_nothing(),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteParameters {
    versions: Option<VersionList>,
}

impl Parameters for DeleteParameters {
    const EXAMPLE: &'static str = "?versions=1,2 with versions from 1";
}

async fn soft_delete(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(parameters): Query<DeleteParameters>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    // Ignored, it would delete what the client meant to spare.
    if headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH) {
        let detail = "a deletion takes no precondition header; name the versions with ?versions=";
        return Err(Problem::new(Reason::InvalidRequest, detail));
    }
    let versions = parameters.versions.map(|list| list.0);
    api.vault().records().delete(&ctx, &path, versions.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
