//! `POST /api/v1/me/api-keys`: a key for the caller. `POST /api/v1/users/{id}/api-keys`: one for a machine user, by an administrator.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;

use super::api_key_view::{IssuedView, NewKeyForm, issued};
use crate::http::body::Json;
use crate::http::id::Whose;
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "POST",
            "/api/v1/me/api-keys",
            Access::Session,
            post(create),
            operation(),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/users/{id}/api-keys",
            Access::Session,
            post(create),
            operation(),
        ),
    ]
}

fn operation() -> Operation {
    Operation::new("Make an API key; its text is shown once")
        .takes::<NewKeyForm>()
        .answers::<IssuedView<'_>>(StatusCode::CREATED)
}

async fn create(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Whose(owner): Whose,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<NewKeyForm>,
) -> Result<Response> {
    let key = api.vault().auth().create_api_key(&ctx, owner, form.into()).await?;
    Ok(issued(key))
}
