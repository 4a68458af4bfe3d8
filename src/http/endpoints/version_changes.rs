//! `POST /api/v1/undelete/{*path}` and `/api/v1/destroy/{*path}`: bring soft-deleted versions back, or remove values for good.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::record_path::Record;
use crate::http::routes::{Access, Endpoint};
use crate::http::version::Versions;
use crate::http::{Api, Authenticated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "POST",
            "/api/v1/undelete/{*path}",
            Access::Session,
            post(undelete),
            Operation::new("Bring soft-deleted versions back")
                .takes::<VersionsForm>()
                .answers_nothing(),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/destroy/{*path}",
            Access::Session,
            post(destroy),
            Operation::new("Remove the values of versions for good")
                .takes::<VersionsForm>()
                .answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "VersionNumbers")]
#[serde(deny_unknown_fields)]
struct VersionsForm {
    versions: Versions,
}

impl Form for VersionsForm {
    const EXAMPLE: &'static str = r#"{"versions": [1, 2]} with 1 to 1000 versions from 1"#;
}

async fn undelete(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<VersionsForm>,
) -> Result<StatusCode> {
    api.vault().records().undelete(&ctx, &path, &form.versions.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn destroy(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Record(path): Record,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<VersionsForm>,
) -> Result<StatusCode> {
    api.vault().records().destroy(&ctx, &path, &form.versions.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
