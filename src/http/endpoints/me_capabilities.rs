//! `GET /api/v1/me/capabilities?path=`: what the caller may do at a path, whether or not there is a record.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::path::RecordPath;
use crate::http::openapi::Operation;
use crate::http::policy_view::names;
use crate::http::problem::{Problem, Result};
use crate::http::query::{Parameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/me/capabilities",
        Access::Session,
        get(capabilities),
        Operation::new("Tell what the caller may do at a path")
            .query::<CapabilitiesParameters>()
            .answers::<CapabilitiesView>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CapabilitiesParameters {
    path: String,
}

impl Parameters for CapabilitiesParameters {
    const EXAMPLE: &'static str = "?path=shared/smtp";
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CapabilitiesAtPath")]
#[serde(rename_all = "camelCase")]
struct CapabilitiesView {
    path: String,
    capabilities: Vec<&'static str>,
    /// What a second factor given now would open.
    after_step_up: Vec<&'static str>,
}

async fn capabilities(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(parameters): Query<CapabilitiesParameters>,
) -> Result<axum::Json<CapabilitiesView>> {
    let path =
        RecordPath::parse(&parameters.path).map_err(|error| Problem::new(Reason::InvalidPath, error.to_string()))?;
    let decisions = api.vault().policies().capabilities(&ctx, &path).await?;
    let those = |wanted: fn(&crate::domain::policy::Decision) -> bool| {
        let chosen: Vec<_> = decisions
            .iter()
            .filter(|(_, decision)| wanted(decision))
            .map(|(capability, _)| *capability)
            .collect();
        names(&chosen)
    };
    Ok(axum::Json(CapabilitiesView {
        path: path.into(),
        capabilities: those(crate::domain::policy::Decision::is_allowed),
        after_step_up: those(|decision| decision.step_up),
    }))
}
