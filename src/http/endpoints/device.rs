//! The device's side of the device authorization grant (RFC 8628): `POST /api/v1/auth/device` and `POST /api/v1/auth/device/token`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::session_tokens::{ChallengeView, SessionTokensView, logged_in, secret_json};
use crate::http::Api;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::service::auth::RequestInfo;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "POST",
            "/api/v1/auth/device",
            Access::Anyone,
            post(begin),
            Operation::new("Ask for a device to be let in by a person who is logged in elsewhere")
                .answers::<DeviceGrantView<'_>>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/auth/device/token",
            Access::Anyone,
            post(poll),
            Operation::new("Ask whether the device was let in: a session, once")
                .takes::<DeviceForm>()
                .answers::<SessionTokensView<'_>>(StatusCode::OK)
                .answers::<ChallengeView<'_>>(StatusCode::ACCEPTED),
        ),
    ]
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeviceGrant")]
#[serde(rename_all = "camelCase")]
struct DeviceGrantView<'a> {
    /// What the device asks with. Nobody else sees it.
    device_code: &'a str,
    /// What the person types.
    user_code: &'a str,
    /// Where the person is told what to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_uri: Option<&'a str>,
    expires_at: Timestamp,
    /// Seconds between two questions.
    interval: u32,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DeviceQuestion")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DeviceForm {
    device_code: String,
}

impl Form for DeviceForm {
    const EXAMPLE: &'static str = r#"{"deviceCode": "THE DEVICE'S CODE"}"#;
    // Read before anyone is known, so no more than it takes.
    const LIMIT: usize = 1 << 10;
}

async fn begin(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response> {
    let grant = api.vault().auth().begin_device(&info).await?;
    let view = DeviceGrantView {
        device_code: grant.device_code.expose_secret(),
        user_code: &grant.user_code,
        verification_uri: grant.verification_uri.as_deref(),
        expires_at: grant.expires_at,
        interval: grant.interval,
    };
    Ok(secret_json(StatusCode::OK, &view))
}

async fn poll(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<DeviceForm>,
) -> Result<Response> {
    let code = SecretString::from(form.device_code);
    let outcome = api.vault().auth().poll_device(&code, &info).await?;
    Ok(logged_in(&outcome))
}
