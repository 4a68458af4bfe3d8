//! The listener for operators: `/metrics`, `/livez`, `/readyz`. On a port of its own, without authentication, and without the API.

use axum::Router;
use axum::http::header::{self, HeaderValue};
use axum::response::IntoResponse as _;
use axum::routing::get;
use prometheus::{Registry, TextEncoder};

use super::Readiness;
use super::browser::{Browsers, with_rules};

/// The router of the operators' listener.
pub fn operations_router(registry: Registry, readiness: Readiness) -> Router {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || readiness.answer().await))
        .route("/metrics", get(async move || metrics(&registry)));
    with_rules(router, &Browsers::default())
}

fn metrics(registry: &Registry) -> axum::response::Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => {
            let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, format)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
