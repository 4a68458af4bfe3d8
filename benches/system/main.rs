//! Figures of the whole system on real parts: the compiled program, Postgres, a Kubernetes API server. Started by `hack/bench`, which
//! brings the servers up and puts an installation of the program into a folder; prints one JSON object a line.
//!
//! Everything here is an outside client: HTTP, the Kubernetes API, the kernel's accounts of processes. Nothing of the library is called.

#![expect(
    clippy::print_stderr,
    reason = "progress goes to standard error; figures alone go to standard output"
)]

mod api;
mod connections;
mod cpu;
mod floor;
mod footprint;
mod installation;
mod lists;
mod load;
mod loads;
mod objects;
mod paced;
mod process;
mod report;
mod requests;
mod scale;
mod statements;
mod storm;
mod sync;
mod table;
mod ten_thousand;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use installation::Installation;
use report::Figure;

/// A measurement ends with its figures or with a sentence that says why there are none.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures the system; `hack/bench` calls it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Figures whose names begin so, by comma; all of them without it.
    #[arg(long, value_delimiter = ',', default_value = "")]
    only: Vec<String>,
    /// Print what the chosen figures need: cluster, image, postgres, vault.
    #[arg(long)]
    needs: bool,
    /// The folder of the installation, as `hack/bench` makes it.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The program to measure.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_aether-vault"))]
    binary: PathBuf,
    /// How many VaultSecrets the figures of scale have.
    #[arg(long, env = "SCALE_OBJECTS", default_value_t = 1000)]
    scale_objects: usize,
    /// How many VaultSecrets the figures of ten thousand have; another number is for trying them out.
    #[arg(long, env = "CROWD_OBJECTS", default_value_t = 10_000)]
    crowd_objects: usize,
    /// Serve the bare handler of the floor, and write its address into this file.
    #[arg(long, hide = true)]
    bare_server: Option<PathBuf>,
    /// What `cargo bench` adds by itself.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Figures that come out of one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    FloorAxum,
    FloorPostgres,
    Api,
    Loads,
    Connections,
    Lists,
    Storm,
    Sync,
    Scale,
    TenThousand,
    Image,
    ApiFootprint,
    ControllerFootprint,
}

impl Group {
    /// In the order in which they are measured: the footprint while the vault is empty.
    const ALL: [Self; 13] = [
        Self::Image,
        Self::ApiFootprint,
        Self::ControllerFootprint,
        Self::FloorAxum,
        Self::FloorPostgres,
        Self::Api,
        Self::Loads,
        Self::Connections,
        Self::Lists,
        Self::Storm,
        Self::Sync,
        Self::Scale,
        Self::TenThousand,
    ];

    fn figures(self) -> &'static [&'static str] {
        match self {
            Self::FloorAxum => floor::AXUM_FIGURES,
            Self::FloorPostgres => floor::POSTGRES_FIGURES,
            Self::Api => api::FIGURES,
            Self::Loads => loads::FIGURES,
            Self::Connections => connections::FIGURES,
            Self::Lists => lists::FIGURES,
            Self::Storm => storm::FIGURES,
            Self::Sync => sync::FIGURES,
            Self::Scale => scale::FIGURES,
            Self::TenThousand => ten_thousand::FIGURES,
            Self::Image => footprint::IMAGE_FIGURES,
            Self::ApiFootprint => footprint::API_FIGURES,
            Self::ControllerFootprint => footprint::CONTROLLER_FIGURES,
        }
    }

    /// What `hack/bench` has to bring up.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::FloorAxum => &[],
            Self::FloorPostgres => &["postgres"],
            Self::Image => &["image"],
            Self::Api | Self::Loads | Self::Connections | Self::Lists | Self::Storm | Self::ApiFootprint => {
                &["postgres", "vault"]
            }
            Self::Sync | Self::Scale | Self::TenThousand | Self::ControllerFootprint => {
                &["cluster", "postgres", "vault"]
            }
        }
    }
}

/// The figures that were asked for.
struct Choice(Vec<String>);

impl Choice {
    /// Fails for a prefix that no figure has.
    fn new(prefixes: Vec<String>) -> Outcome<Self> {
        let prefixes: Vec<_> = prefixes.into_iter().map(|prefix| prefix.trim().to_owned()).collect();
        let known: Vec<_> = Group::ALL.iter().flat_map(|group| group.figures()).copied().collect();
        for prefix in &prefixes {
            if !known.iter().any(|figure| figure.starts_with(prefix)) {
                return Err(format!("no figure begins with '{prefix}'; there are {}", known.join(", ")).into());
            }
        }
        Ok(Self(prefixes))
    }

    fn has(&self, figure: &str) -> bool {
        self.0.iter().any(|prefix| figure.starts_with(prefix))
    }

    fn has_any(&self, figures: &[&str]) -> bool {
        figures.iter().any(|figure| self.has(figure))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = async {
        tokio::select! {
            done = run(Arguments::parse()) => done,
            () = interrupted() => Err("interrupted".into()),
        }
    };
    match done.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Outcome<()> {
    if let Some(file) = arguments.bare_server {
        return floor::serve_bare(&file).await;
    }
    // kube and reqwest take the process's provider.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider was installed before")?;
    let choice = Choice::new(arguments.only)?;
    let groups = Group::ALL.into_iter().filter(|group| choice.has_any(group.figures()));
    if arguments.needs {
        let mut needs: Vec<_> = groups.flat_map(Group::needs).copied().collect();
        needs.sort_unstable();
        needs.dedup();
        return print_line(&needs.join(" "));
    }
    let installation = Installation::new(arguments.dir, arguments.binary)?;
    let mut failed = false;
    for group in groups {
        let load1 = cpu::load1()?;
        say(format!("{group:?}: measuring (load {load1})"));
        let figures = match group {
            Group::FloorAxum => floor::axum(&installation).await,
            Group::FloorPostgres => floor::postgres(&installation).await,
            Group::Api => api::measure(&installation, &choice).await,
            Group::Loads => loads::measure(&installation, &choice).await,
            Group::Connections => connections::measure(&installation).await,
            Group::Lists => lists::measure(&installation).await,
            Group::Storm => storm::measure(&installation).await,
            Group::Sync => sync::measure(&installation, &choice).await,
            Group::Scale => scale::measure(&installation, arguments.scale_objects).await,
            Group::TenThousand => ten_thousand::measure(&installation, arguments.crowd_objects).await,
            Group::Image => footprint::image(&installation).await,
            Group::ApiFootprint => footprint::api(&installation, &choice).await,
            Group::ControllerFootprint => footprint::controller(&installation).await,
        };
        match figures {
            Ok(figures) => print(figures, &choice, load1)?,
            // The others are still worth having.
            Err(error) => {
                say(format!("{group:?}: {error}"));
                failed = true;
            }
        }
    }
    if failed {
        Err("some figures could not be measured, as said above".into())
    } else {
        Ok(())
    }
}

fn print(figures: Vec<Figure>, choice: &Choice, load1: f64) -> Outcome<()> {
    figures
        .into_iter()
        .filter(|figure| choice.has(figure.name()))
        .map(compared)
        .try_for_each(|figure| figure.print(load1))
}

/// What a request costs stands beside what the committed table says of it; what became dearer is said.
fn compared(figure: Figure) -> Figure {
    let name = figure.name();
    let Some(committed) = table::committed(name).filter(|_| name.ends_with("_cpu_us")) else {
        return figure;
    };
    if let Some(factor) = table::rise(name, figure.value()) {
        let percent = (factor - 1.0) * 100.0;
        say(format!(
            "{name}: {percent:.0}% above the {committed} of docs/performance.md"
        ));
    }
    figure.with_number("committed", committed)
}

fn print_line(line: &str) -> Outcome<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Progress.
fn say(what: impl std::fmt::Display) {
    eprintln!("  {what}");
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}
