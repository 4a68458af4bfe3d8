//! `DELETE …/api-keys/{key}`: ends a key; it is refused from the very next call on.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::delete;

use crate::http::id::Ids;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::auth::KeyOwner;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "DELETE",
            "/api/v1/me/api-keys/{key}",
            Access::Session,
            delete(own),
            operation(),
        ),
        Endpoint::new(
            "DELETE",
            "/api/v1/users/{id}/api-keys/{key}",
            Access::Session,
            delete(of_user),
            operation(),
        ),
    ]
}

fn operation() -> Operation {
    Operation::new("Revoke an API key").answers_nothing()
}

async fn own(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    let auth = api.vault().auth();
    auth.revoke_api_key(&ctx, KeyOwner::Caller, ids.get("key")).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn of_user(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<StatusCode> {
    let auth = api.vault().auth();
    auth.revoke_api_key(&ctx, KeyOwner::User(ids.get("id")), ids.get("key"))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
