//! The person's side of the device authorization grant: what a code would let in, yes, and no.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Parameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "GET",
            "/api/v1/me/devices",
            Access::Session,
            get(show),
            Operation::new("Show the device that waits with a code")
                .query::<DeviceParameters>()
                .answers::<WaitingDeviceView>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/me/devices/approve",
            Access::Session,
            post(approve),
            Operation::new("Let a device in: it gets a session of the caller")
                .takes::<DecisionForm>()
                .answers_nothing(),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/me/devices/deny",
            Access::Session,
            post(deny),
            Operation::new("Refuse a device")
                .takes::<DecisionForm>()
                .answers_nothing(),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DeviceParameters {
    user_code: String,
}

impl Parameters for DeviceParameters {
    const EXAMPLE: &'static str = "?userCode=WDJB-MJHT, the code that the device shows";
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DeviceDecision")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DecisionForm {
    user_code: String,
}

impl Form for DecisionForm {
    const EXAMPLE: &'static str = r#"{"userCode": "WDJB-MJHT"}"#;
    const LIMIT: usize = 1 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WaitingDevice")]
#[serde(rename_all = "camelCase")]
struct WaitingDeviceView {
    /// The address that it asked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// Its name for itself, which may be a lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    asked_at: Timestamp,
    expires_at: Timestamp,
}

async fn show(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(parameters): Query<DeviceParameters>,
) -> Result<axum::Json<WaitingDeviceView>> {
    let device = api.vault().auth().waiting_device(&ctx, &parameters.user_code).await?;
    Ok(axum::Json(WaitingDeviceView {
        client: device.client,
        user_agent: device.user_agent,
        asked_at: device.asked_at,
        expires_at: device.expires_at,
    }))
}

async fn approve(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<DecisionForm>,
) -> Result<StatusCode> {
    api.vault().auth().approve_device(&ctx, &form.user_code).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn deny(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<DecisionForm>,
) -> Result<StatusCode> {
    api.vault().auth().deny_device(&ctx, &form.user_code).await?;
    Ok(StatusCode::NO_CONTENT)
}
