//! Other loads than plain reads and writes: both mixed, reads that no cache helps, batches, logins, many connections.

use crate::api::write_records;
use crate::installation::Installation;
use crate::load::{self, RECORDS, WRITES};
use crate::report::Figure;
use crate::wrk::{Load, Mode};
use crate::{Choice, Outcome};

pub(crate) const FIGURES: &[&str] = &[
    "mixed_rps",
    "mixed_p50_ms",
    "mixed_p95_ms",
    "mixed_p99_ms",
    "mixed_api_cpu_us",
    "mixed_postgres_cpu_us",
    "batch_rps",
    "batch_p50_ms",
    "batch_p95_ms",
    "batch_p99_ms",
    "batch_api_cpu_us",
    "batch_postgres_cpu_us",
    "busy_rps",
    "busy_p50_ms",
    "busy_p95_ms",
    "busy_p99_ms",
    "busy_api_cpu_us",
    "busy_postgres_cpu_us",
    "cold_rps",
    "cold_p50_ms",
    "cold_p95_ms",
    "cold_p99_ms",
    "cold_api_cpu_us",
    "cold_postgres_cpu_us",
    "login_rps",
    "login_p50_ms",
    "login_p95_ms",
    "login_p99_ms",
    "login_api_cpu_us",
    "login_postgres_cpu_us",
];

const BUSY_CONNECTIONS: u32 = 1000;

/// One kind of load, the six figures that come of it, and how the API is set for it.
struct Kind {
    names: [&'static str; 6],
    load: Load,
    variables: &'static [(&'static str, &'static str)],
}

const KINDS: [Kind; 5] = [
    Kind {
        names: [FIGURES[0], FIGURES[1], FIGURES[2], FIGURES[3], FIGURES[4], FIGURES[5]],
        load: Load {
            mode: Mode::Mixed,
            ..WRITES
        },
        variables: &[],
    },
    Kind {
        names: [FIGURES[6], FIGURES[7], FIGURES[8], FIGURES[9], FIGURES[10], FIGURES[11]],
        load: Load {
            mode: Mode::Batch,
            records: RECORDS,
            connections: 16,
        },
        variables: &[],
    },
    Kind {
        names: [
            FIGURES[12],
            FIGURES[13],
            FIGURES[14],
            FIGURES[15],
            FIGURES[16],
            FIGURES[17],
        ],
        load: Load {
            mode: Mode::Read,
            records: RECORDS,
            connections: BUSY_CONNECTIONS,
        },
        variables: &[],
    },
    Kind {
        names: [
            FIGURES[18],
            FIGURES[19],
            FIGURES[20],
            FIGURES[21],
            FIGURES[22],
            FIGURES[23],
        ],
        load: load::READS,
        // Holds no record, so that every read fetches its own.
        variables: &[("AETHER_VAULT__CACHE__MAX_BYTES", "0")],
    },
    Kind {
        names: [
            FIGURES[24],
            FIGURES[25],
            FIGURES[26],
            FIGURES[27],
            FIGURES[28],
            FIGURES[29],
        ],
        load: Load {
            mode: Mode::Login,
            records: 0,
            // Attempts under way count: more than the lockout's bound at once would lock the one account that logs in.
            connections: 8,
        },
        variables: &[("AETHER_VAULT__HTTP__RATE_LIMITS__LOGIN__PER_SECOND", "0")],
    },
];

/// Measures the kinds that were asked for, each on an API process of its own.
pub(crate) async fn measure(installation: &Installation, choice: &Choice) -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut written = false;
    for kind in KINDS.iter().filter(|kind| choice.has_any(&kind.names)) {
        let api = installation.start_api_with(kind.variables).await?;
        if !written {
            write_records(installation).await?;
            written = true;
        }
        let seen = load::observe(installation, &api, kind.load).await?;
        figures.extend(seen.figures(&kind.names));
        api.stop().await?;
    }
    Ok(figures)
}
