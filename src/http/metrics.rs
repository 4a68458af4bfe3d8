//! Metrics of the API. Labels are bounded: routes and reasons are constants of ours, never paths or names.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Seconds: a read is about a millisecond, a login some tens, the timeout thirty thousand.
const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// The API's metrics, registered once.
#[derive(Clone)]
pub struct HttpMetrics {
    seconds: HistogramVec,
    problems: IntCounterVec,
    in_flight: IntGauge,
    pub(super) connections: IntGaugeVec,
    pub(super) connections_refused: IntCounterVec,
}

impl HttpMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// If one of the names is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "aether_vault_http_request_seconds",
                    "Time to answer a request, in seconds.",
                )
                .buckets(SECONDS.to_vec()),
                &["route", "method", "status"],
            )?,
            problems: IntCounterVec::new(
                Opts::new(
                    "aether_vault_http_problems_total",
                    "Requests answered with a problem, by its reason.",
                ),
                &["reason"],
            )?,
            in_flight: IntGauge::new("aether_vault_http_requests_in_flight", "Requests being answered.")?,
            connections: IntGaugeVec::new(
                Opts::new("aether_vault_http_connections", "Open connections."),
                &["listener"],
            )?,
            connections_refused: IntCounterVec::new(
                Opts::new(
                    "aether_vault_http_connections_refused_total",
                    "Connections closed because there were too many.",
                ),
                &["listener"],
            )?,
        };
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.problems.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.connections_refused.clone()))?;
        Ok(metrics)
    }

    /// Counts a request as in flight until the guard is dropped, also when the client goes away.
    pub(super) fn start(&self) -> impl Drop + use<> {
        Counted::new(self.in_flight.clone())
    }

    pub(super) fn observe(&self, route: &str, method: &str, status: u16, elapsed: Duration) {
        let class = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.seconds
            .with_label_values(&[route, method, class])
            .observe(elapsed.as_secs_f64());
    }

    pub(super) fn problem(&self, reason: &str) {
        self.problems.with_label_values(&[reason]).inc();
    }
}

/// One of a gauge's count, for as long as it lives.
pub(super) struct Counted(IntGauge);

impl Counted {
    pub(super) fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
