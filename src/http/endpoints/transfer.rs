//! `POST /api/v1/copy/{*path}` and `/api/v1/move/{*path}`: to another path, with policy at both ends.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use schemars::JsonSchema;
use serde::Deserialize;

use super::record_write::{WrittenView, answer, expect_of};
use crate::domain::record::Version;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::{Record, named};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "POST",
            "/api/v1/copy/{*path}",
            Access::Session,
            post(copy),
            Operation::new("Write the values of a version at another path, as a new version there")
                .takes::<CopyForm>()
                .answers::<WrittenView<'_>>(StatusCode::CREATED)
                .answers::<WrittenView<'_>>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/move/{*path}",
            Access::Session,
            post(rename),
            Operation::new("Move a record with all its versions to a path where there is none")
                .takes::<MoveForm>()
                .answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Copy")]
#[serde(deny_unknown_fields)]
struct CopyForm {
    /// The path to copy to.
    to: String,
    /// The version to copy; the current one if absent.
    version: Option<Version>,
    /// What the write at the target follows.
    cas: Option<i64>,
}

impl Form for CopyForm {
    const EXAMPLE: &'static str = r#"{"to": "shared/copy", "version": 3, "cas": 0} with the target, and perhaps the version to copy and the one that the copy follows"#;
    const LIMIT: usize = 4 << 10;
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Move")]
#[serde(deny_unknown_fields)]
struct MoveForm {
    /// The path to move to.
    to: String,
}

impl Form for MoveForm {
    const EXAMPLE: &'static str = r#"{"to": "shared/elsewhere"}"#;
    const LIMIT: usize = 4 << 10;
}

async fn copy(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<CopyForm>,
) -> Result<Response> {
    let to = named(&form.to)?;
    let expect = expect_of(form.cas, None)?;
    let written = api
        .vault()
        .records()
        .copy(&ctx, &path, form.version, &to, expect)
        .await?;
    Ok(answer(&to, written.version, written.created_at))
}

async fn rename(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<MoveForm>,
) -> Result<StatusCode> {
    let to = named(&form.to)?;
    api.vault().records().rename(&ctx, &path, &to).await?;
    Ok(StatusCode::NO_CONTENT)
}
