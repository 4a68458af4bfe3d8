//! `DELETE …/api-keys/{key}`: ends a key; it is refused from the very next call on.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::delete;

use crate::http::id::{Ids, Whose};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "DELETE",
            "/api/v1/me/api-keys/{key}",
            Access::Session,
            delete(revoke),
            operation(),
        ),
        Endpoint::new(
            "DELETE",
            "/api/v1/users/{id}/api-keys/{key}",
            Access::Session,
            delete(revoke),
            operation(),
        ),
    ]
}

fn operation() -> Operation {
    Operation::new("Revoke an API key").answers_nothing()
}

async fn revoke(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Whose(owner): Whose,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    api.vault().auth().revoke_api_key(&ctx, owner, ids.get("key")).await?;
    Ok(StatusCode::NO_CONTENT)
}
