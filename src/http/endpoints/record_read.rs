//! `GET /api/v1/records/{*path}`: the values of a record, of its current version or of `?version=N`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{Parameters, Query};
use crate::http::record_path::Record;
use crate::http::record_view;
use crate::http::routes::{Access, Endpoint};
use crate::http::version::WantedVersion;
use crate::http::{Api, Authenticated};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/records/{*path}",
        Access::Session,
        get(read),
        Operation::new("Read a record")
            .query::<ReadParameters>()
            .answers::<record_view::RecordView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadParameters {
    version: Option<WantedVersion>,
}

impl Parameters for ReadParameters {
    const EXAMPLE: &'static str = "?version=N with a version from 1";
}

async fn read(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(parameters): Query<ReadParameters>,
) -> Result<Response<Body>> {
    let record = api
        .vault()
        .records()
        .read(&ctx, &path, parameters.version.map(|wanted| wanted.0))
        .await?;
    Ok(record_view::answer(&path, &record, ctx.now()))
}
