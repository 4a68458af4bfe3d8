//! `POST /api/v1/rollback/{*path}`: writes the values of an earlier version as a new one. What came in between stays.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use schemars::JsonSchema;
use serde::Deserialize;

use super::record_write::{WrittenView, answer, expect_of};
use crate::domain::record::Version;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::precondition::precondition;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::Record;
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/rollback/{*path}",
        Access::Session,
        post(rollback),
        Operation::new("Write the values of an earlier version as a new one")
            .takes::<RollbackForm>()
            .answers::<WrittenView<'_>>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Rollback")]
#[serde(deny_unknown_fields)]
struct RollbackForm {
    version: Version,
    cas: Option<i64>,
}

impl Form for RollbackForm {
    const EXAMPLE: &'static str =
        r#"{"version": 3, "cas": 7} with the version to write anew, and perhaps the one that it follows"#;
    const LIMIT: usize = 4 << 10;
}

async fn rollback(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    Json(form): Json<RollbackForm>,
) -> Result<Response> {
    let precondition = precondition(&headers)?;
    let expect = expect_of(form.cas, precondition)?;
    let written = api
        .vault()
        .records()
        .rollback(&ctx, &path, form.version, expect)
        .await
        .map_err(|error| Problem::of_write(error, precondition))?;
    Ok(answer(&path, written.version, written.created_at))
}
