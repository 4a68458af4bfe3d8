//! `POST /api/v1/auth/sso/exchange`: from the one-time code that a browser came back with to the tokens of a session.

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
use crate::service::auth::{RequestInfo, SsoExchange};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/auth/sso/exchange",
        Access::Anyone,
        post(exchange),
        Operation::new("Fetch the outcome of single sign-on: a session, or a challenge for the second factor")
            .takes::<ExchangeForm>()
            .answers::<SessionTokensView<'_>>(StatusCode::OK)
            .answers::<ChallengeView<'_>>(StatusCode::ACCEPTED),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SsoExchange")]
#[serde(deny_unknown_fields)]
struct ExchangeForm {
    /// The one-time code.
    code: String,
    /// The verifier whose challenge the login was begun with.
    verifier: String,
}

impl Form for ExchangeForm {
    const EXAMPLE: &'static str = r#"{"code": "THE ONE-TIME CODE", "verifier": "THE VERIFIER OF codeChallenge"}"#;
    // Read before anyone is known, so no more than it takes.
    const LIMIT: usize = 4 << 10;
}

async fn exchange(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<ExchangeForm>,
) -> Result<Response> {
    let exchange = SsoExchange {
        code: SecretString::from(form.code),
        verifier: SecretString::from(form.verifier),
    };
    let outcome = api.vault().auth().exchange_sso(exchange, info).await?;
    Ok(logged_in(&outcome))
}
