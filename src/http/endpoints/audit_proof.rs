//! `GET /api/v1/audit/entries/{number}/proof` and `GET /api/v1/audit/checkpoint`: what is needed to show, away from the vault, that an entry
//! was sealed and how far the log had come. For auditors and administrators.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::domain::audit::chain::Checkpoint;
use crate::domain::audit::proof::Proof;
use crate::http::id::Named;
use crate::http::openapi::Operation;
use crate::http::problem::{Problem, Result};
use crate::http::query::{NoParameters, Query};
use crate::http::routes::{Access, Endpoint};
use crate::http::{Api, Authenticated};
use crate::service::error::Reason;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "GET",
            "/api/v1/audit/entries/{number}/proof",
            Access::Session,
            get(proof),
            Operation::new("The proof that an audit entry was sealed").answers_text(StatusCode::OK, "application/json"),
        ),
        Endpoint::new(
            "GET",
            "/api/v1/audit/checkpoint",
            Access::Session,
            get(checkpoint),
            Operation::new("How far the audit log has come, signed").answers_text(StatusCode::OK, "application/json"),
        ),
    ]
}

async fn proof(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Named(number): Named,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<Proof>> {
    let number = number.parse().ok().filter(|number: &i64| *number >= 1).ok_or_else(|| {
        Problem::new(
            Reason::InvalidRequest,
            "the address holds no number of an audit entry; queries show them as 'id'",
        )
    })?;
    Ok(axum::Json(api.vault().audit_log().prove(&ctx, number).await?))
}

async fn checkpoint(
    Authenticated(ctx): Authenticated,
    State(api): State<Api>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<Checkpoint>> {
    Ok(axum::Json(api.vault().audit_log().checkpoint_for(&ctx).await?))
}
