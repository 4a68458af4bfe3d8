//! `GET /api/v1/policies/{*name}`: a policy, also one that comes from a resource.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::http::openapi::Operation;
use crate::http::policy_view::{PolicyName, PolicyView, policy_etag};
use crate::http::problem::Result;
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "GET",
        "/api/v1/policies/{*name}",
        Access::Session,
        get(read),
        Operation::new("Read a policy, of REST or of a resource").answers::<PolicyView>(StatusCode::OK),
    )
}

async fn read(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    PolicyName(name): PolicyName,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response> {
    let policy = api.vault().policies().read(&ctx, &name).await?;
    let tag = (header::ETAG, policy_etag(policy.generation));
    Ok(([tag], axum::Json(PolicyView::from(policy))).into_response())
}
