//! `/api/v1/auth/…/passkey`: challenges for passkeys, as the only factor, as the second one, and within a session; and the login by one.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::passkey_view::{AnswerForm, ChallengeView};
use super::session_tokens::{SessionTokensView, logged_in};
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::auth::RequestInfo;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "POST",
            "/api/v1/auth/passkey/start",
            Access::Anyone,
            post(start),
            Operation::new("Begin a login by a passkey alone: options for navigator.credentials.get")
                .answers::<ChallengeView>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/auth/passkey",
            Access::Anyone,
            post(login),
            Operation::new("Log in by a passkey, which stands for both factors")
                .takes::<AnswerForm>()
                .answers::<SessionTokensView<'_>>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/auth/second-factor/passkey",
            Access::Anyone,
            post(start_second),
            Operation::new("Begin the second factor of a login with a passkey: options for navigator.credentials.get")
                .takes::<ChallengeForm>()
                .answers::<ChallengeView>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/auth/step-up/passkey",
            Access::Session,
            post(start_step_up),
            Operation::new("Begin a fresh second factor with a passkey: options for navigator.credentials.get")
                .answers::<ChallengeView>(StatusCode::OK),
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PasskeySecondFactor")]
#[serde(deny_unknown_fields)]
struct ChallengeForm {
    /// What the login answered.
    challenge: String,
}

impl Form for ChallengeForm {
    const EXAMPLE: &'static str = r#"{"challenge": "TOKEN"}"#;
    const LIMIT: usize = 8 << 10;
}

async fn start(
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<ChallengeView>> {
    let challenge = api.vault().auth().start_passkey_login().await?;
    Ok(axum::Json(challenge.into()))
}

async fn login(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<AnswerForm>,
) -> Result<Response> {
    let outcome = api.vault().auth().passkey_login(&form.into(), info).await?;
    Ok(logged_in(&outcome))
}

async fn start_second(
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<ChallengeForm>,
) -> Result<axum::Json<ChallengeView>> {
    let token = SecretString::from(form.challenge);
    let challenge = api.vault().auth().start_passkey_factor(&token).await?;
    Ok(axum::Json(challenge.into()))
}

async fn start_step_up(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<ChallengeView>> {
    let challenge = api.vault().auth().start_passkey_step_up(&ctx).await?;
    Ok(axum::Json(challenge.into()))
}
