//! `GET /api/v1/me/api-keys` and `GET /api/v1/users/{id}/api-keys`: the keys of the caller, or of a user, without their texts.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::api_key_view::KeysView;
use crate::http::id::Whose;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("GET", "/api/v1/me/api-keys", Access::Session, get(list), operation()),
        Endpoint::new(
            "GET",
            "/api/v1/users/{id}/api-keys",
            Access::Session,
            get(list),
            operation(),
        ),
    ]
}

fn operation() -> Operation {
    Operation::new("List API keys, without their texts").answers::<KeysView>(StatusCode::OK)
}

async fn list(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Whose(owner): Whose,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<KeysView>> {
    let keys = api.vault().auth().api_keys(&ctx, owner).await?;
    Ok(axum::Json(keys.into()))
}
