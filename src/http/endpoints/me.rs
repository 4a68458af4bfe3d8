//! `GET /api/v1/me`: who the caller is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::http::openapi::Operation;
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/me",
        Access::Session,
        get(me),
        Operation::new("Say who the caller is").answers::<MeView>(StatusCode::OK),
    )
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Me")]
struct MeView {
    id: Uuid,
    name: String,
    role: &'static str,
}

async fn me(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<MeView>> {
    let me = api.vault().auth().me(&ctx).await?;
    Ok(axum::Json(MeView {
        id: me.id,
        name: me.name,
        role: me.role.as_str(),
    }))
}
