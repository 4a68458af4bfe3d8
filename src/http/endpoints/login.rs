//! `POST /api/v1/auth/login`: from a name and a password to a session, or to a challenge for its second factor.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::session_tokens::{ChallengeView, SessionTokensView, logged_in};
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
            .answers::<SessionTokensView<'_>>(StatusCode::OK)
            .answers::<ChallengeView<'_>>(StatusCode::ACCEPTED),
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

async fn login(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(credentials): Json<Credentials>,
) -> Result<Response> {
    let request = LoginRequest {
        name: credentials.username,
        password: SecretString::from(credentials.password),
        new_password: credentials.new_password.map(SecretString::from),
    };
    let outcome = api.vault().auth().login(request, info).await?;
    Ok(logged_in(&outcome))
}
