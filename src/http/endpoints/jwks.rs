//! `GET /.well-known/jwks.json`: the public keys that access tokens are signed with (RFC 7517), for whoever verifies them elsewhere.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::http::Api;
use crate::http::openapi::Operation;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/.well-known/jwks.json",
        Access::Anyone,
        get(jwks),
        Operation::new("The public keys that access tokens are signed with, as a JSON Web Key Set")
            .answers_text(StatusCode::OK, "application/json"),
    )
}

async fn jwks(State(api): State<Api>, Query(NoParameters {}): Query<NoParameters>) -> axum::Json<serde_json::Value> {
    axum::Json(api.vault().auth().jwks())
}
