//! `DELETE /api/v1/policies/{*name}`: removes a policy, with `If-Match: "N"` only at that generation.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::delete;

use crate::domain::record::Expect;
use crate::http::openapi::Operation;
use crate::http::policy_view::PolicyName;
use crate::http::precondition::precondition;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};

pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(
        "DELETE",
        "/api/v1/policies/{*name}",
        Access::Session,
        delete(remove),
        Operation::new("Remove a policy").answers_nothing(),
    )
}

async fn remove(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    PolicyName(name): PolicyName,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let expect = precondition(&headers)?.unwrap_or(Expect::Any);
    api.vault()
        .policies()
        .remove(&ctx, &name, expect)
        .await
        .map_err(Problem::of_precondition)?;
    Ok(StatusCode::NO_CONTENT)
}
