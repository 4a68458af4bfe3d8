//! `POST …/api-keys/{key}/rotate`: a key like another one, which ends after an overlap.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;

use super::api_key_view::{IssuedView, RotateForm, issued};
use crate::http::body::Json;
use crate::http::id::{Ids, Whose};
use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "POST",
            "/api/v1/me/api-keys/{key}/rotate",
            Access::Session,
            post(rotate),
            operation(),
        ),
        Endpoint::new(
            "POST",
            "/api/v1/users/{id}/api-keys/{key}/rotate",
            Access::Session,
            post(rotate),
            operation(),
        ),
    ]
}

fn operation() -> Operation {
    Operation::new("Replace an API key by one like it, with an overlap")
        .takes::<RotateForm>()
        .answers::<IssuedView<'_>>(StatusCode::CREATED)
}

async fn rotate(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Whose(owner): Whose,
    ids: Ids,
    Query(NoParameters {}): Query<NoParameters>,
    Json(form): Json<RotateForm>,
) -> Result<Response> {
    let (overlap, end) = form.into_parts();
    let auth = api.vault().auth();
    let key = auth.rotate_api_key(&ctx, owner, ids.get("key"), overlap, end).await?;
    Ok(issued(key))
}
