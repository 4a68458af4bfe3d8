//! `GET /livez`, `/readyz`, `/version`: for load balancers and people, without authentication.

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::routing::get;
use serde::Serialize;

use crate::http::Api;
use crate::http::routes::{Access, Endpoint};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("GET", "/livez", Access::Anyone, get(livez)),
        Endpoint::new("GET", "/readyz", Access::Anyone, get(readyz)),
        Endpoint::new("GET", "/version", Access::Anyone, get(version)),
    ]
}

/// Alive: knows nothing of dependencies, so that an outage of the database restarts nobody.
async fn livez() -> &'static str {
    "ok\n"
}

/// Ready: everything that serving depends on is there.
async fn readyz(State(api): State<Api>) -> Response<Body> {
    api.0.readiness.answer().await
}

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
}

async fn version() -> axum::Json<Version> {
    axum::Json(Version {
        name: "aether-vault",
        version: env!("CARGO_PKG_VERSION"),
    })
}
