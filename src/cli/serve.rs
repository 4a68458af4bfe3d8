//! `api` and `controller`: the two processes of an installation.

use clap::Args;

use super::SettingsArgs;
use super::failure::Failure;
use crate::app;
use crate::settings::{Flag, Loaded, Overrides};
use crate::telemetry::{self, Traces};

/// Serves the REST API until SIGTERM or SIGINT, then drains.
#[derive(Args)]
pub(super) struct ApiArgs {
    /// Address and port of the API [setting: http.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args)]
struct CommonArgs {
    /// Address and port of metrics and health [setting: metrics.listen, or controller.metrics_listen]
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<String>,
    /// text or json [setting: log.format]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// Reconciles the custom resources of a Kubernetes cluster until SIGTERM or SIGINT, then finishes what it began.
#[derive(Args)]
pub(super) struct ControllerArgs {
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn api(settings: &SettingsArgs, args: &ApiArgs) -> Result<(), Failure> {
    let mut overrides = Overrides::default();
    overrides.flag(Flag::LISTEN, args.listen.as_deref());
    overrides.flag(Flag::METRICS_LISTEN, args.common.metrics_listen.as_deref());
    let (loaded, _traces) = start(settings, overrides, &args.common, "aether-vault-api")?;
    Ok(on_all_cores(app::api(&loaded.settings))?)
}

pub(super) fn controller(settings: &SettingsArgs, args: &ControllerArgs) -> Result<(), Failure> {
    let mut overrides = Overrides::default();
    overrides.flag(Flag::CONTROLLER_METRICS_LISTEN, args.common.metrics_listen.as_deref());
    let (loaded, _traces) = start(settings, overrides, &args.common, "aether-vault-controller")?;
    Ok(on_all_cores(app::controller(&loaded.settings))?)
}

/// Loads the settings and starts the log and, for as long as what is answered is kept, traces.
fn start(
    settings: &SettingsArgs,
    mut overrides: Overrides,
    args: &CommonArgs,
    service: &'static str,
) -> Result<(Loaded, Option<Traces>), Failure> {
    overrides.flag(Flag::LOG_FORMAT, args.log_format.as_deref());
    let loaded = settings.load(overrides)?;
    let traces = Traces::start(&loaded.settings.traces, service)
        .map_err(|error| Failure::new(format!("cannot send traces: {error}; see traces.endpoint")))?;
    telemetry::start_log(&loaded.settings.log, traces.as_ref())
        .map_err(|error| Failure::new(format!("cannot start the log: {error}")))?;
    Ok((loaded, traces))
}

fn on_all_cores<T>(task: impl Future<Output = Result<T, app::AppError>>) -> Result<T, app::AppError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime
        .map_err(|error| app::AppError::Failed(format!("cannot start: {error}")))?
        .block_on(task)
}
