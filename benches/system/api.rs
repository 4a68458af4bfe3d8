//! Reads and writes over the REST door, authorised by a token and audited, and what they cost the API and Postgres.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::floor::per_request_us;
use crate::installation::Installation;
use crate::process::Server;
use crate::report::{Figure, Samples};
use crate::wrk::{self, Mode};
use crate::{Choice, Outcome, cpu, say};

pub(crate) const FIGURES: &[&str] = &[
    "read_rps",
    "read_p50_ms",
    "read_p95_ms",
    "read_p99_ms",
    "read_api_cpu_us",
    "read_postgres_cpu_us",
    "write_rps",
    "write_p50_ms",
    "write_p95_ms",
    "write_p99_ms",
    "write_api_cpu_us",
    "write_postgres_cpu_us",
    "api_peak_mib",
    "db_query_mean_ms",
];

const RUNS: u32 = 3;
const RUN_TIME: Duration = Duration::from_secs(15);
const WARM_UP: Duration = Duration::from_secs(3);

/// Records that are read.
const RECORDS: u32 = 1000;
/// Records that each of the two threads writes: far more than its connections, so that no two writes meet.
const RECORDS_WRITTEN: u32 = 500;

/// The statements of the product that stand behind these figures, by the histograms of its own metrics.
const QUERIES: [&str; 2] = ["aether_vault_audit_commit_seconds", "aether_vault_store_write_seconds"];

/// Measures reads, writes, or both.
pub(crate) async fn measure(installation: &Installation, choice: &Choice) -> Outcome<Vec<Figure>> {
    let both = choice.has_any(&["api_peak_mib", "db_query_mean_ms"]);
    let begins = |start: &'static str| {
        FIGURES
            .iter()
            .any(|figure| figure.starts_with(start) && choice.has(figure))
    };
    let api = installation.start_api().await?;
    let mut figures = Vec::new();
    if both || begins("read_") {
        write_records(installation).await?;
        let [rps, p50, p95, p99, api_cpu, postgres_cpu] = load(installation, &api, Mode::Read, RECORDS).await?;
        figures.extend([
            rps.median("read_rps", "1/s").with("aim", 10_000),
            p50.median("read_p50_ms", "ms"),
            p95.median("read_p95_ms", "ms"),
            p99.median("read_p99_ms", "ms"),
            api_cpu.median("read_api_cpu_us", "us").with("aim", 100),
            postgres_cpu.median("read_postgres_cpu_us", "us").with("aim", 40),
        ]);
    }
    if both || begins("write_") {
        let [rps, p50, p95, p99, api_cpu, postgres_cpu] =
            load(installation, &api, Mode::Write, RECORDS_WRITTEN).await?;
        figures.extend([
            rps.median("write_rps", "1/s"),
            p50.median("write_p50_ms", "ms"),
            p95.median("write_p95_ms", "ms"),
            p99.median("write_p99_ms", "ms"),
            api_cpu.median("write_api_cpu_us", "us").with("aim", 350),
            postgres_cpu.median("write_postgres_cpu_us", "us").with("aim", 450),
        ]);
    }
    figures.push(Figure::new("api_peak_mib", cpu::peak_mib(api.pid())?, "MiB", 1).with("aim", 100));
    figures.push(query_mean(installation).await?);
    api.stop().await?;
    Ok(figures)
}

/// The records to read, and a look at whether they can be.
async fn write_records(installation: &Installation) -> Outcome<()> {
    let value = "v".repeat(1024);
    stream::iter(0..RECORDS)
        .map(|number| {
            let value = &value;
            async move { installation.put(&format!("bench/read/{number}"), value).await }
        })
        .buffer_unordered(16)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    if installation.get("bench/read/999").await? != value {
        return Err("a record does not hold what was written".into());
    }
    Ok(())
}

/// Rate, latencies and CPU of some runs, each checked: as many audit entries as answers, or more.
async fn load(installation: &Installation, api: &Server, mode: Mode, records: u32) -> Outcome<[Samples; 6]> {
    let address = installation.address("api")?;
    let postgres = installation.postgres_pid()?;
    say(format!("{mode:?}: warming up"));
    wrk::load(&address, mode, WARM_UP, records, &installation.dir).await?;
    let mut samples: [Samples; 6] = Default::default();
    for run in 1..=RUNS {
        say(format!("{mode:?}: run {run} of {RUNS}"));
        let entries = installation.audit_entries().await?;
        let (api_before, postgres_before) = (cpu::process_seconds(api.pid())?, cpu::family_seconds(postgres)?);
        let seen = wrk::load(&address, mode, RUN_TIME, records, &installation.dir).await?;
        let api_seconds = cpu::process_seconds(api.pid())? - api_before;
        let postgres_seconds = cpu::family_seconds(postgres)? - postgres_before;
        let audited = installation.audit_entries().await? - entries;
        if audited < seen.requests {
            return Err(format!("{mode:?}: {} answers, but only {audited} audit entries", seen.requests).into());
        }
        let observed = [
            seen.rate(),
            seen.p50_ms,
            seen.p95_ms,
            seen.p99_ms,
            per_request_us(api_seconds, seen.requests),
            per_request_us(postgres_seconds, seen.requests),
        ];
        for (samples, value) in samples.iter_mut().zip(observed) {
            samples.push(value);
        }
    }
    Ok(samples)
}

/// The mean time of the product's own statements since its start, from its histograms.
async fn query_mean(installation: &Installation) -> Outcome<Figure> {
    let (mut seconds, mut count) = (0.0, 0.0);
    let mut means = Vec::new();
    for query in QUERIES {
        let sum = installation.metric("api-metrics", &format!("{query}_sum")).await?;
        let times = installation.metric("api-metrics", &format!("{query}_count")).await?;
        means.push((query, sum * 1e3 / times.max(1.0)));
        seconds += sum;
        count += times;
    }
    if count == 0.0 {
        return Err("the API's metrics count no statement".into());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a counter: whole, and never negative"
    )]
    let figure = Figure::new("db_query_mean_ms", seconds * 1e3 / count, "ms", count as u64);
    Ok(means
        .into_iter()
        .fold(figure, |figure, (query, mean)| figure.with_number(query, mean)))
}
