//! `GET /api/v1/auth/sso/{provider}/start`: sends a browser to a provider.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::HeaderMap;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::http::Api;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{Parameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::sso_browser::{ProviderName, cookie, send_with_cookie};
use crate::service::auth::SsoStart;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/auth/sso/{provider}/start",
        Access::Anyone,
        get(start),
        Operation::new("Send a browser to a provider of single sign-on")
            .query::<StartParameters>()
            .answers_text(StatusCode::SEE_OTHER, ""),
    )
    .counted_as_login()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StartParameters {
    /// Where the browser is sent in the end: an address of the allow-list, or of a program on the same machine.
    redirect: String,
    /// The base64url SHA-256 of a verifier (RFC 7636, S256), with which alone the outcome can be fetched.
    code_challenge: String,
}

impl Parameters for StartParameters {
    const EXAMPLE: &'static str =
        "?redirect=ADDRESS and ?codeChallenge=BASE64URL OF THE SHA-256 OF A VERIFIER, each once";
}

async fn start(
    State(api): State<Api>,
    ProviderName(provider): ProviderName,
    Query(parameters): Query<StartParameters>,
    headers: HeaderMap,
) -> Result<Response<Body>> {
    let request = SsoStart {
        provider,
        redirect: parameters.redirect,
        challenge: parameters.code_challenge,
        browser: cookie(&headers),
    };
    let started = api.vault().auth().start_sso(request).await?;
    send_with_cookie(&started.location, &started.browser, started.seconds)
}
