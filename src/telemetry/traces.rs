//! Traces by OTLP over HTTP (<https://opentelemetry.io/docs/specs/otlp/>); none unless `traces.endpoint` is set.
//!
//! What is traced has the target `aether_vault::trace`, which the log leaves out. A span says what was done and how it ended, in closed sets of
//! words, and the request's id, by which log lines and audit entries are found. Never values, paths, or names of records or people: whoever
//! keeps traces does not keep secrets (R24).

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// The target of what is traced.
const TARGET: &str = "aether_vault::trace";

/// The exporter of traces. What is not sent yet when it is dropped is sent then, for some seconds at most.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts exporting, if there is somewhere to send to. `service` is the name that the process goes by, such as `aether-vault-api`.
    ///
    /// # Errors
    /// The endpoint is none, or a client cannot be made.
    pub fn start(
        settings: &crate::settings::Traces,
        service: &'static str,
    ) -> Result<Option<Self>, Box<dyn std::error::Error + Send + Sync>> {
        let Some(endpoint) = &settings.endpoint else {
            return Ok(None);
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        // A caller that traces decides; otherwise one in so many.
        let ratio = Sampler::TraceIdRatioBased(1.0 / f64::from(settings.sample_one_in.max(1)));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(ratio)))
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self(provider)))
    }

    /// The layer that takes what is traced.
    pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let scope = InstrumentationScope::builder("aether-vault").build();
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer_with_scope(scope))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(filter_fn(is_traced))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::debug!(%error, "the last traces were not sent");
        }
    }
}

pub(super) fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == TARGET
}
