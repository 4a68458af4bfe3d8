//! `PATCH /api/v1/records/{*path}`: a new version with some keys changed, by JSON Merge Patch (RFC 7396).

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use axum::response::Response;
use axum::routing::patch;
use schemars::JsonSchema;
use serde::Deserialize;

use super::record_write::{WrittenView, answer, bad_data, expect_of};
use crate::domain::record::Patch;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::precondition::precondition;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::Record;
use crate::http::routes::{Access, Endpoint};
use crate::http::unique_map::UniqueMap;
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "PATCH",
        "/api/v1/records/{*path}",
        Access::Session,
        patch(change),
        Operation::new("Change some keys of a record: a new version, by JSON Merge Patch")
            .takes::<PatchForm>()
            .answers::<WrittenView<'_>>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "RecordPatch")]
#[serde(deny_unknown_fields)]
struct PatchForm {
    data: Option<UniqueMap<serde_json::Value>>,
    binary: Option<UniqueMap<Option<String>>>,
    cas: Option<i64>,
}

impl Form for PatchForm {
    const EXAMPLE: &'static str = r#"{"data": {"SET": "VALUE", "REMOVED": null}, "binary": {"KEY": "BASE64"}, "cas": 1} with 'data', 'binary' or both, and each key once"#;
    const MEDIA_TYPE: &'static str = "application/merge-patch+json";
}

async fn change(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    Json(form): Json<PatchForm>,
) -> Result<Response> {
    let precondition = precondition(&headers)?;
    let expect = expect_of(form.cas, precondition)?;
    if form.data.is_none() && form.binary.is_none() {
        let detail = format!("the body changes nothing; send {}", PatchForm::EXAMPLE);
        return Err(Problem::new(Reason::InvalidRequest, detail));
    }
    let data = form.data.unwrap_or_default().0.into_iter().collect();
    let change = Patch::from_json(data, form.binary.unwrap_or_default().0).map_err(|error| bad_data(&error))?;
    let written = api
        .vault()
        .records()
        .patch(&ctx, &path, &change, expect)
        .await
        .map_err(|error| Problem::of_write(error, precondition))?;
    Ok(answer(&path, written.version, written.created_at))
}
