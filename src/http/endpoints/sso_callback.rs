//! `GET /api/v1/auth/sso/{provider}/callback`: the browser is back from a provider, and is sent on with a one-time code or a reason.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::HeaderMap;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use crate::http::Api;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{Parameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::sso_browser::{ProviderName, cookie, send};
use crate::service::auth::{RequestInfo, SsoReturn};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/auth/sso/{provider}/callback",
        Access::Anyone,
        get(callback),
        Operation::new("Take a browser back from a provider of single sign-on")
            .query::<CallbackParameters>()
            .answers_text(StatusCode::SEE_OTHER, ""),
    )
    .counted_as_login()
}

/// Providers add parameters of their own, which are passed over (RFC 6749, section 4.1.2). What the provider says of its error is not read:
/// it is the provider's text, or whoever's, and nobody is shown it.
#[derive(Deserialize, JsonSchema)]
struct CallbackParameters {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

impl Parameters for CallbackParameters {
    const EXAMPLE: &'static str =
        "what the provider sends browsers back with: ?state=, and ?code= or ?error=, each once";
}

async fn callback(
    State(api): State<Api>,
    ProviderName(provider): ProviderName,
    Extension(info): Extension<RequestInfo>,
    Query(parameters): Query<CallbackParameters>,
    headers: HeaderMap,
) -> Result<Response<Body>> {
    let back = SsoReturn {
        provider,
        state: parameters.state.map(SecretString::from),
        code: parameters.code.map(SecretString::from),
        error: parameters.error,
        issuer: parameters.iss,
        browser: cookie(&headers),
    };
    let location = api.vault().auth().finish_sso(back, &info).await?;
    send(&location)
}
