//! `POST /api/v1/auth/sso/logout`: ends the caller's session and says where to log out at the provider too.
//! `POST /api/v1/auth/sso/{provider}/logout`: a provider tells that somebody logged out there (OpenID Connect Back-Channel Logout 1.0).

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::post;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Serialize;

use crate::http::body::read_form;
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::sso_browser::ProviderName;
use crate::http::{Api, Authenticated};
use crate::service::auth::RequestInfo;
use crate::service::error::Reason;

/// Bytes of a provider's message: read before anyone is known.
const LIMIT: usize = 32 << 10;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "POST",
            "/api/v1/auth/sso/logout",
            Access::Session,
            post(logout),
            Operation::new("End the caller's session, and say where to log out at its provider")
                .answers::<LogoutView>(StatusCode::OK),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/auth/sso/{provider}/logout",
            Access::Anyone,
            post(logged_out),
            Operation::new("Take a logout token from a provider (OpenID Connect Back-Channel Logout)")
                .answers_text(StatusCode::OK, ""),
        ),
    ]
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SsoLogout")]
#[serde(rename_all = "camelCase")]
struct LogoutView {
    /// Where to send the browser; absent if the session did not come by a provider that has such a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_url: Option<String>,
}

async fn logout(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<LogoutView>> {
    let provider_url = api.vault().auth().logout_sso(&ctx).await?;
    Ok(axum::Json(LogoutView { provider_url }))
}

async fn logged_out(
    State(api): State<Api>,
    ProviderName(provider): ProviderName,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    request: Request,
) -> Result<StatusCode> {
    let token = read_form(request, "logout_token", LIMIT).await?.ok_or_else(|| {
        Problem::new(
            Reason::InvalidRequest,
            "send the form field 'logout_token', as OpenID Connect Back-Channel Logout has it",
        )
    })?;
    let token = SecretString::from(token);
    api.vault().auth().provider_logged_out(&provider, &token, &info).await?;
    Ok(StatusCode::OK)
}
