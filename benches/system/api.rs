//! Reads and writes over the REST door, authorised by a token and audited, and what they cost the API and Postgres.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::installation::Installation;
use crate::load::{self, RECORDS};
use crate::report::Figure;
use crate::{Choice, Outcome, cpu, paced, statements};

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
    "read_half_p50_ms",
    "read_half_p95_ms",
    "read_half_p99_ms",
    "read_four_fifths_p50_ms",
    "read_four_fifths_p95_ms",
    "read_four_fifths_p99_ms",
];

/// Measures reads, writes, or both.
pub(crate) async fn measure(installation: &Installation, choice: &Choice) -> Outcome<Vec<Figure>> {
    let both = choice.has_any(&["api_peak_mib", "db_query_mean_ms"]);
    let begins = |start: &'static str| {
        FIGURES
            .iter()
            .any(|figure| figure.starts_with(start) && choice.has(figure))
    };
    let api = installation.start_api().await?;
    statements::forget(installation).await?;
    let mut figures = Vec::new();
    if both || begins("read_") {
        write_records(installation).await?;
        let seen = load::observe(installation, &api, load::READS).await?;
        let most = seen.rps.percentile(50);
        figures.extend([
            seen.rps.median("read_rps", "1/s").with("aim", 10_000),
            seen.p50.median("read_p50_ms", "ms"),
            seen.p95.median("read_p95_ms", "ms"),
            seen.p99.median("read_p99_ms", "ms"),
            seen.api_cpu.median("read_api_cpu_us", "us").with("aim", 60),
            seen.postgres_cpu.median("read_postgres_cpu_us", "us").with("aim", 30),
        ]);
        if choice.has_any(paced::FIGURES) {
            figures.extend(paced::measure(installation, most).await?);
        }
    }
    if both || begins("write_") {
        let seen = load::observe(installation, &api, load::WRITES).await?;
        figures.extend([
            seen.rps.median("write_rps", "1/s"),
            seen.p50.median("write_p50_ms", "ms"),
            seen.p95.median("write_p95_ms", "ms"),
            seen.p99.median("write_p99_ms", "ms"),
            seen.api_cpu.median("write_api_cpu_us", "us").with("aim", 250),
            seen.postgres_cpu.median("write_postgres_cpu_us", "us").with("aim", 350),
        ]);
    }
    figures.push(Figure::new("api_peak_mib", cpu::peak_mib(api.pid())?, "MiB", 1).with("aim", 100));
    figures.push(statements::mean(installation).await?);
    api.stop().await?;
    Ok(figures)
}

/// The records to read, and a look at whether they can be.
pub(crate) async fn write_records(installation: &Installation) -> Outcome<()> {
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
