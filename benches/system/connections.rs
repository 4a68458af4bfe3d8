//! Ten thousand clients that stay connected, and what they cost while others read.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::api::write_records;
use crate::installation::Installation;
use crate::load::RECORDS;
use crate::paced::{self, Connection, read_request, socket_address};
use crate::report::Figure;
use crate::{Outcome, cpu, say};

pub(crate) const FIGURES: &[&str] = &[
    "connections_open",
    "connections_api_mib",
    "connections_read_p50_ms",
    "connections_read_p95_ms",
    "connections_read_p99_ms",
];

const CONNECTIONS: u32 = 10_000;
/// Reads a second of others, beside those that are connected.
const RATE: f64 = 1000.0;
const TIME: Duration = Duration::from_secs(15);

/// Opens the connections, uses each once, holds them, reads beside them, and uses each again.
pub(crate) async fn measure(installation: &Installation) -> Outcome<Vec<Figure>> {
    allow_open_files()?;
    let api = installation
        .start_api_with(&[("AETHER_VAULT__HTTP__MAX_CONNECTIONS", "12000")])
        .await?;
    write_records(installation).await?;
    let (address, token) = (socket_address(installation)?, installation.token()?);
    say(format!("connections: opening {CONNECTIONS}"));
    // Each asks at once, as the API expects of whoever connects.
    let mut open: Vec<_> = stream::iter(0..CONNECTIONS)
        .map(|number| {
            let request = read_request(number % RECORDS, &token);
            async move {
                let mut connection = Connection::open(address).await?;
                connection.exchange(&request).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(connection)
            }
        })
        .buffer_unordered(64)
        .try_collect()
        .await?;
    say("connections: reading beside them");
    let latencies = paced::reads(installation, RATE, 64, TIME).await?;
    let held = installation
        .metric("api-metrics", "aether_vault_http_connections")
        .await?;
    // Idle for so long, and none of them was dropped.
    use_each(&mut open, &token).await?;
    let peak = cpu::peak_mib(api.pid())?;
    drop(open);
    api.stop().await?;
    let count = u64::from(CONNECTIONS);
    Ok(vec![
        Figure::new("connections_open", held, "1", count).with("aim", CONNECTIONS),
        Figure::new("connections_api_mib", peak, "MiB", count).with("aim", 512),
        latencies.at(50, "connections_read_p50_ms", "ms"),
        latencies.at(95, "connections_read_p95_ms", "ms").with("aim", 100),
        latencies.at(99, "connections_read_p99_ms", "ms"),
    ])
}

async fn use_each(open: &mut [Connection], token: &str) -> Outcome<()> {
    let mut record = 0;
    for connections in open.chunks_mut(64) {
        let exchanges = connections.iter_mut().map(|connection| {
            record = (record + 1) % RECORDS;
            let request = read_request(record, token);
            async move { connection.exchange(&request).await }
        });
        futures::future::try_join_all(exchanges).await?;
    }
    Ok(())
}

/// Each connection is an open file, here and in the API, which inherits the bound.
fn allow_open_files() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    match limit.maximum {
        Some(most) if most < u64::from(CONNECTIONS) + 500 => {
            Err(format!("only {most} open files are allowed: raise 'ulimit -Hn'").into())
        }
        _ => Ok(()),
    }
}
