//! One load of closed loops on the API: rate, latencies, and what a request costs the API and Postgres.

use std::time::Duration;

use crate::floor::per_request_us;
use crate::installation::Installation;
use crate::process::Server;
use crate::report::{Figure, Samples};
use crate::wrk::{self, Load, Mode};
use crate::{Outcome, cpu, say};

const RUNS: u32 = 3;
const RUN_TIME: Duration = Duration::from_secs(15);
const WARM_UP: Duration = Duration::from_secs(3);

/// Records that are read.
pub(crate) const RECORDS: u32 = 1000;
/// Paths of a batch.
pub(crate) const BATCH: u64 = 100;

/// Reads of all records.
pub(crate) const READS: Load = Load {
    mode: Mode::Read,
    records: RECORDS,
    connections: 64,
};
/// Writes of far more records than there are connections, so that no two writes meet.
pub(crate) const WRITES: Load = Load {
    mode: Mode::Write,
    records: 500,
    connections: 64,
};

/// What some runs showed, an observation each.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Answers a second.
    pub(crate) rps: Samples,
    /// Median latency, ms.
    pub(crate) p50: Samples,
    /// 95th percentile, ms.
    pub(crate) p95: Samples,
    /// 99th percentile, ms.
    pub(crate) p99: Samples,
    /// CPU of the API a request, µs.
    pub(crate) api_cpu: Samples,
    /// CPU of all Postgres processes a request, µs.
    pub(crate) postgres_cpu: Samples,
}

impl Seen {
    /// The medians under these names: rate, p50, p95, p99, CPU of the API, CPU of Postgres.
    pub(crate) fn figures(&self, names: &[&'static str; 6]) -> [Figure; 6] {
        [
            self.rps.median(names[0], "1/s"),
            self.p50.median(names[1], "ms"),
            self.p95.median(names[2], "ms"),
            self.p99.median(names[3], "ms"),
            self.api_cpu.median(names[4], "us"),
            self.postgres_cpu.median(names[5], "us"),
        ]
    }
}

/// Some runs of a load, each checked: every answer a success, and as many audit entries as it takes, or more.
pub(crate) async fn observe(installation: &Installation, api: &Server, load: Load) -> Outcome<Seen> {
    let address = installation.address("api")?;
    let postgres = installation.postgres_pid()?;
    let mode = load.mode;
    let entries_each = if matches!(mode, Mode::Batch) { BATCH } else { 1 };
    say(format!("{mode:?}, {} connections: warming up", load.connections));
    wrk::put(load, &address, WARM_UP, &installation.dir).await?;
    let mut seen = Seen::default();
    for run in 1..=RUNS {
        say(format!(
            "{mode:?}, {} connections: run {run} of {RUNS}",
            load.connections
        ));
        let entries = installation.audit_entries().await?;
        let (api_before, postgres_before) = (cpu::process_seconds(api.pid())?, cpu::family_seconds(postgres)?);
        let answers = wrk::put(load, &address, RUN_TIME, &installation.dir).await?;
        let api_seconds = cpu::process_seconds(api.pid())? - api_before;
        let postgres_seconds = cpu::family_seconds(postgres)? - postgres_before;
        let audited = installation.audit_entries().await? - entries;
        if audited < answers.requests * entries_each {
            return Err(format!(
                "{mode:?}: {} answers, but only {audited} audit entries",
                answers.requests
            )
            .into());
        }
        seen.rps.push(answers.rate());
        seen.p50.push(answers.p50_ms);
        seen.p95.push(answers.p95_ms);
        seen.p99.push(answers.p99_ms);
        seen.api_cpu.push(per_request_us(api_seconds, answers.requests));
        seen.postgres_cpu
            .push(per_request_us(postgres_seconds, answers.requests));
    }
    Ok(seen)
}
