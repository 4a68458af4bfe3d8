//! `wrk`, which makes the load of closed loops: connections of two threads that ask again as soon as they are answered, with the requests
//! of `wrk.lua`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::{Outcome, process};

const SCRIPT: &str = include_str!("wrk.lua");

/// What `wrk` sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    /// GET of `/`, without a token.
    Bare,
    /// GET of `bench/read/N`.
    Read,
    /// PUT of `bench/write/THREAD/N`.
    Write,
    /// Nine reads, then a write.
    Mixed,
    /// POST of a batch of 100 reads.
    Batch,
    /// A login with the administrator's password.
    Login,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Read => "read",
            Self::Write => "write",
            Self::Mixed => "mixed",
            Self::Batch => "batch",
            Self::Login => "login",
        }
    }
}

/// A load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// What is sent.
    pub(crate) mode: Mode,
    /// How many records it is about; each thread writes as many of its own.
    pub(crate) records: u32,
    /// Connections, each with one request at a time.
    pub(crate) connections: u32,
}

/// What `wrk` saw.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    /// Answers.
    pub(crate) requests: u64,
    /// Time that it took.
    pub(crate) seconds: f64,
    /// Median latency.
    pub(crate) p50_ms: f64,
    /// 95th percentile.
    pub(crate) p95_ms: f64,
    /// 99th percentile.
    pub(crate) p99_ms: f64,
    refused: u64,
    broken: u64,
}

impl Seen {
    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are far below 2^52")]
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// Puts load on `address` and fails unless every single answer was a success.
pub(crate) async fn put(load: Load, address: &str, time: Duration, dir: &Path) -> Outcome<Seen> {
    let script = dir.join("wrk.lua");
    std::fs::write(&script, SCRIPT)?;
    let mode = load.mode.name();
    let output = process::output(
        Command::new("wrk")
            .args(["--threads", "2", "--timeout", "10s", "--connections"])
            .arg(load.connections.to_string())
            .arg("--duration")
            .arg(format!("{}s", time.as_secs()))
            .arg("--script")
            .arg(&script)
            .arg(address)
            .env("BENCH_MODE", mode)
            .env("BENCH_RECORDS", load.records.to_string())
            .env("BENCH_TOKEN_FILE", dir.join("token"))
            .env("BENCH_PASSWORD_FILE", dir.join("admin-password")),
    )
    .await?;
    let result = output
        .lines()
        .find_map(|line| line.strip_prefix("RESULT "))
        .ok_or("wrk printed no result")?;
    let seen: Seen = serde_json::from_str(result)?;
    if seen.requests == 0 || seen.refused > 0 || seen.broken > 0 {
        let Seen {
            requests,
            refused,
            broken,
            ..
        } = seen;
        return Err(
            format!("{mode}: of {requests} answers {refused} were no success, and {broken} requests broke").into(),
        );
    }
    Ok(seen)
}
