//! The log, traces and the metrics registry. Set up once, by `cli`, before anything else runs.
//!
//! What is logged: identifiers as fields, each error once, at the door it leaves by. What never is: values, tokens, headers, bodies,
//! URIs, record paths (R24). Libraries do not know that rule, so they are not asked for more than `info`, whatever the filter says.

mod traces;

use std::io;

use prometheus::{IntGauge, Opts, Registry, process_collector::ProcessCollector};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

pub use traces::Traces;

use crate::settings::{Log, LogFormat};

/// Starts logging to standard error, and tracing.
///
/// # Errors
/// If the filter does not parse, or logging was started before.
pub fn start_log(log: &Log, traces: Option<&Traces>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = EnvFilter::builder().parse(&log.filter)?.and(filter_fn(may_be_logged));
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let layer = match log.format {
        LogFormat::Text => layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .with(traces.map(Traces::layer))
        .try_init()?;
    Ok(())
}

/// Makes the registry, with the metrics of the process itself.
///
/// # Errors
/// If a name is registered twice: a defect.
pub fn metrics_registry() -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let build = IntGauge::with_opts(
        Opts::new(
            "aether_vault_build_info",
            "Always 1; the label says which release runs.",
        )
        .const_label("version", env!("CARGO_PKG_VERSION")),
    )?;
    build.set(1);
    registry.register(Box::new(build))?;
    Ok(registry)
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    if traces::is_traced(metadata) {
        return false;
    }
    let target = metadata.target();
    if target == "aether_vault" || target.starts_with("aether_vault::") {
        return true;
    }
    // kube's client logs, as a warning, the whole answer that it cannot read: that may be a Secret. The error itself reaches our log.
    *metadata.level() <= Level::INFO && !target.starts_with("kube_client::client")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_knows_the_process_and_the_release() {
        let registry = metrics_registry().unwrap();
        let names: Vec<_> = registry
            .gather()
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        assert!(names.iter().any(|name| name == "aether_vault_build_info"), "{names:?}");
        assert!(
            names.iter().any(|name| name == "process_resident_memory_bytes"),
            "{names:?}"
        );
    }
}
