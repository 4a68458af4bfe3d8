//! `POST /api/v1/auth/refresh`: from a refresh token to the next access token and the next refresh token.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::session_tokens::{SessionTokensView, secret_json};
use crate::http::Api;
use crate::http::body::{Form, Json};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::service::auth::RequestInfo;

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/auth/refresh",
        Access::Anyone,
        post(refresh),
        Operation::new("Go on with a session; the refresh token is good once, and its reuse ends the session")
            .takes::<RefreshForm>()
            .answers::<SessionTokensView<'_>>(StatusCode::OK),
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Refresh")]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RefreshForm {
    refresh_token: String,
}

impl Form for RefreshForm {
    const EXAMPLE: &'static str = r#"{"refreshToken": "avr_…"}"#;
    const LIMIT: usize = 1 << 10;
}

async fn refresh(
    State(api): State<Api>,
    Extension(info): Extension<RequestInfo>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<RefreshForm>,
) -> Result<Response> {
    let token = SecretString::from(form.refresh_token);
    let session = api.vault().auth().refresh(&token, info).await?;
    Ok(secret_json(StatusCode::OK, &SessionTokensView::from(&session)))
}
