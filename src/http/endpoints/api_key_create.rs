//! `POST /api/v1/me/api-keys`: a key for the caller. `POST /api/v1/users/{id}/api-keys`: one for a machine user, by an administrator.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;

use super::api_key_view::{IssuedView, NewKeyForm, issued};
use crate::http::body::Json;
use crate::http::id::Ids;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::auth::KeyOwner;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("POST", "/api/v1/me/api-keys", Access::Session, post(own), operation()),
        Endpoint::new(
            "POST",
            "/api/v1/users/{id}/api-keys",
            Access::Session,
            post(of_user),
            operation(),
        ),
    ]
}

fn operation() -> Operation {
    Operation::new("Make an API key; its text is shown once")
        .takes::<NewKeyForm>()
        .answers::<IssuedView<'_>>(StatusCode::CREATED)
}

async fn own(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<NewKeyForm>,
) -> Result<Response> {
    let key = api
        .vault()
        .auth()
        .create_api_key(&ctx, KeyOwner::Caller, form.into())
        .await?;
    Ok(issued(key))
}

async fn of_user(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<NewKeyForm>,
) -> Result<Response> {
    let owner = KeyOwner::User(ids.get("id"));
    let key = api.vault().auth().create_api_key(&ctx, owner, form.into()).await?;
    Ok(issued(key))
}
