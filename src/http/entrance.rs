//! What every request passes first and every answer last: request id, span, metrics, timeout, panics, problems.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Response;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use futures::FutureExt as _;
use tracing::Instrument as _;
use uuid::Uuid;

use super::Api;
use super::client_address::client_address;
use super::problem::Problem;
use super::rate_limits::Noted;
use super::trace_parent::follow;
use crate::service::auth::RequestInfo;

/// Carries the request's id in every answer.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The label of requests that no route takes: their paths are the client's to choose.
const UNMATCHED: &str = "unmatched";

pub(super) async fn entrance(State(api): State<Api>, mut request: Request, next: Next) -> Response<Body> {
    let started = Instant::now();
    let request_id = new_request_id();
    let info = RequestInfo {
        request_id,
        client: client_address(&request, &api.0.limits.trusted_proxies),
        user_agent: request
            .headers()
            .get(header::USER_AGENT)
            .map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned()),
    };
    let admitted = api.0.rate_limits.address(info.client);
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    request.extensions_mut().insert(info);
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let method = known_method(request.method());

    let in_flight = api.0.metrics.start();
    let span = tracing::info_span!("request", route, method, %request_id);
    let traced = tracing::info_span!(
        target: "aether_vault::trace",
        "request",
        otel.name = route,
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        request_id = %request_id,
    );
    follow(&traced, request.headers());
    let handled = async {
        match admitted {
            Ok(allowance) => {
                noted.note(allowance);
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        }
    };
    let handled = AssertUnwindSafe(handled).catch_unwind();
    let mut response = async {
        let mut response = match tokio::time::timeout(api.0.limits.request_timeout, handled).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => Problem::panicked().into_response(),
            Err(_) => Problem::timeout().into_response(),
        };
        if let Some(allowance) = noted.get() {
            allowance.write(response.headers_mut());
        }
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            api.0.metrics.problem(problem.reason());
            problem.log();
            problem.write(&mut response, request_id);
        }
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        api.0.metrics.observe(route, method, status, elapsed);
        traced.record("http.response.status_code", status);
        tracing::debug!(
            status,
            latency_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
        response
    }
    .instrument(traced.clone())
    .instrument(span)
    .await;
    drop(in_flight);
    let mut text = Uuid::encode_buffer();
    if let Ok(id) = HeaderValue::from_str(request_id.hyphenated().encode_lower(&mut text)) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Methods are labels, so only known ones count apart.
fn known_method(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a request id guards nothing; it orders log lines and audit entries in time"
)]
fn new_request_id() -> Uuid {
    Uuid::now_v7()
}
