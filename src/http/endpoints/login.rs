//! `POST /api/v1/auth/login`: from a name and a password to an access token.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::http::Api;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::service::auth::{LoginRequest, RequestInfo};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/auth/login",
        Access::Anyone,
        post(login),
        Operation::new("Log in with a password")
            .takes::<Credentials>()
            .answers::<TokenView<'_>>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Credentials {
    username: String,
    password: String,
    new_password: Option<String>,
}

impl Form for Credentials {
    const EXAMPLE: &'static str =
        r#"{"username": "NAME", "password": "PASSWORD"}, and "newPassword" to replace a one-time password"#;
    // Read before anyone is known, so no more than it takes.
    const LIMIT: usize = 8 << 10;
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
#[serde(rename_all = "camelCase")]
struct TokenView<'a> {
    token: &'a str,
    token_type: &'static str,
    expires_at: Timestamp,
}

async fn login(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(credentials): Json<Credentials>,
) -> Result<impl IntoResponse> {
    let request = LoginRequest {
        name: credentials.username,
        password: SecretString::from(credentials.password),
        new_password: credentials.new_password.map(SecretString::from),
    };
    let token = api.vault().auth().login(request, info).await?;
    let view = TokenView {
        token: token.token.expose_secret(),
        token_type: "Bearer",
        expires_at: token.expires_at,
    };
    // Texts and a time always serialise.
    let body = Zeroizing::new(serde_json::to_vec(&view).unwrap_or_default());
    Ok((
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        Bytes::from_owner(body),
    ))
}
