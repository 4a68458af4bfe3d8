//! `GET /livez`, `/readyz`, `/version`: for load balancers and people, without authentication.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::Api;
use crate::http::openapi::Operation;
use crate::http::routes::{Access, Endpoint};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            "GET",
            "/livez",
            Access::Anyone,
            get(livez),
            text("Whether the process lives"),
        ),
        Endpoint::new(
            "GET",
            "/readyz",
            Access::Anyone,
            get(readyz),
            text("Whether everything that the process needs is there"),
        ),
        Endpoint::new(
            "GET",
            "/version",
            Access::Anyone,
            get(version),
            Operation::new("The program's version").answers::<ProgramVersion>(StatusCode::OK),
        ),
    ]
}

/// Alive: knows nothing of dependencies, so that an outage of the database restarts nobody.
fn text(summary: &'static str) -> Operation {
    Operation::new(summary).answers_text(StatusCode::OK, "text/plain")
}

async fn livez() -> &'static str {
    "ok\n"
}

/// Ready: everything that serving depends on is there.
async fn readyz(State(api): State<Api>) -> Response<Body> {
    api.0.readiness.answer().await
}

#[derive(Serialize, JsonSchema)]
struct ProgramVersion {
    name: &'static str,
    version: &'static str,
}

async fn version() -> axum::Json<ProgramVersion> {
    axum::Json(ProgramVersion {
        name: "aether-vault",
        version: env!("CARGO_PKG_VERSION"),
    })
}
