//! The REST door: axum router, extractors, one file an endpoint, `application/problem+json`.
//!
//! Only `app` calls in here; it calls `service` alone. A request passes, in this order: the connection limit and timeouts
//! ([`server`]), the rules for browsers (preflights, security headers), the entrance (request id, rate of the address, span, metrics,
//! timeout, panics), the route, [`Authenticated`], then path,
//! query and body. So nothing of a body is read before its sender is known (R27), except at login.

mod audit_view;
mod authenticated;
mod body;
mod browser;
mod client_address;
mod connections;
mod endpoints;
mod entrance;
mod id;
mod maintenance;
mod metrics;
mod openapi;
mod operations;
mod page;
mod policy_view;
mod precondition;
mod problem;
mod query;
mod rate_limits;
mod readiness;
mod record_path;
mod record_view;
mod routes;
mod server;
mod sso_browser;
mod tls;
mod trace_parent;
mod unique_map;
mod version;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use authenticated::Authenticated;
pub use browser::Browsers;
pub use metrics::HttpMetrics;
pub use operations::operations_router;
use rate_limits::RateLimits;
pub use rate_limits::{Rate, Rates};
pub use readiness::Readiness;
pub use routes::{Access, Endpoint, endpoints, router};
pub use server::{Listener, ServerOptions};
pub use tls::TlsFiles;

use crate::service::Vault;

/// Bounds on requests.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request body.
    pub body: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// Networks of proxies whose `X-Forwarded-For` is believed (R29).
    pub trusted_proxies: Vec<IpNet>,
    /// How often clients may ask.
    pub rates: Rates,
    /// What browsers may do with the API.
    pub browsers: Browsers,
}

/// The OpenAPI description of the API, as it is served and committed.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = serde_json::to_string_pretty(&openapi::describe(&endpoints())).unwrap_or_default();
    text.push('\n');
    text
}

/// What handlers share.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

struct Shared {
    vault: Arc<Vault>,
    readiness: Readiness,
    limits: Limits,
    rate_limits: RateLimits,
    metrics: HttpMetrics,
}

impl Api {
    /// Puts together what handlers share.
    #[must_use]
    pub fn new(vault: Arc<Vault>, readiness: Readiness, limits: Limits, metrics: HttpMetrics) -> Self {
        Self(Arc::new(Shared {
            vault,
            readiness,
            rate_limits: RateLimits::new(&limits.rates),
            limits,
            metrics,
        }))
    }

    fn vault(&self) -> &Vault {
        &self.0.vault
    }
}
