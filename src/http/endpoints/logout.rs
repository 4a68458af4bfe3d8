//! `POST /api/v1/auth/logout`: ends the session behind the token; the token is worth nothing from then on.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;

use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "POST",
        "/api/v1/auth/logout",
        Access::Session,
        post(logout),
        Operation::new("End the caller's session").answers_nothing(),
    )
}

async fn logout(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().auth().logout(&ctx).await?;
    Ok(StatusCode::NO_CONTENT)
}
