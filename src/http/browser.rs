//! What browsers are told: headers on every answer, and which web pages may call the API (CORS). None may unless the settings name its
//! origin, and none ever sends cookies along: credentials are bearer tokens, which a page has to hold by itself.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Response};
use axum::middleware::map_response_with_state;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser remembers what it was told about a page.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);
/// A year, as lists of such hosts ask for (RFC 6797). Only this host: its neighbours may have reasons.
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What browsers may do with the API.
#[derive(Debug, Clone, Default)]
pub struct Browsers {
    /// Origins of pages that may call it, as browsers send them.
    pub origins: Vec<String>,
    /// Whether the listener speaks TLS, so that a browser may be told to insist on it.
    pub tls: bool,
}

/// Adds the rules around everything else, so that they hold for every answer.
pub(super) fn with_rules<S: Clone + Send + Sync + 'static>(router: Router<S>, browsers: &Browsers) -> Router<S> {
    let origins: Vec<_> = browsers
        .origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    let router = match origins.is_empty() {
        true => router,
        false => router.layer(cors(origins)),
    };
    router.layer(map_response_with_state(browsers.tls, protect))
}

fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            super::entrance::REQUEST_ID,
            HeaderName::from_static("ratelimit-limit"),
            HeaderName::from_static("ratelimit-remaining"),
            HeaderName::from_static("ratelimit-reset"),
        ])
        .max_age(PREFLIGHT_AGE)
}

/// Answers hold secrets and are for programs: nobody stores them, no page frames or embeds them, and no browser guesses what they are.
async fn protect(State(tls): State<bool>, mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    unless_said(
        headers,
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    );
    if tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    response
}

/// A page of ours has said what it needs.
fn unless_said(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}
