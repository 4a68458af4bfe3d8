//! Sinks: where sealed audit entries are sent, block by block, at least once each.
//!
//! A sink follows the log by a position in the database, on a task of its own, and in one process at a time; nothing that answers a request
//! waits for it (R26). Which sinks there are is said by the settings alone (R25).

mod syslog;
mod webhook;

use std::io::Write as _;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use syslog::{Syslog, SyslogTarget};
pub use webhook::Webhook;

use super::Vault;
use super::error::Result;
use super::failure::store_failed;
use crate::domain::audit::leaf::StoredEntry;
use crate::store::{audit_blocks, audit_rows, audit_sinks, jobs};

/// How long to wait where there is nothing to send.
const IDLE: Duration = Duration::from_secs(1);
/// How long to wait after a failure, at first and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// For how long a sink is one process's; kept while it delivers.
const LEASE: f64 = 30.0;

/// Somewhere that entries are sent.
pub trait Sink: Send + Sync {
    /// Its name: of its position and of its metrics.
    fn name(&self) -> &'static str;
    /// Sends the entries of a block. They may come again.
    fn send<'a>(&'a self, height: i64, entries: &'a [StoredEntry]) -> BoxFuture<'a, Result<(), String>>;
}

/// Standard output: one JSON object a line.
pub struct Stdout;

impl Sink for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn send<'a>(&'a self, _: i64, entries: &'a [StoredEntry]) -> BoxFuture<'a, Result<(), String>> {
        let mut text = Vec::with_capacity(entries.len() * 400);
        for entry in entries {
            // A stored entry always serialises.
            let _ = serde_json::to_writer(&mut text, entry);
            text.push(b'\n');
        }
        Box::pin(async move {
            // Whoever reads it may be slow: that holds a thread of its own, and this sink.
            let written = tokio::task::spawn_blocking(move || {
                let mut out = std::io::stdout().lock();
                out.write_all(&text).and_then(|()| out.flush())
            });
            match written.await {
                Ok(written) => written.map_err(|error| error.to_string()),
                Err(_) => Err("writing to standard output panicked".to_owned()),
            }
        })
    }
}

impl Vault {
    /// Follows the log for a sink until the process drains.
    pub(super) async fn feed_sink(&self, sink: &dyn Sink, shutdown: CancellationToken) {
        let mut retry = FIRST_RETRY;
        loop {
            let outcome = tokio::select! {
                () = shutdown.cancelled() => return,
                outcome = self.send_next(sink) => outcome,
            };
            let wait = match outcome {
                Ok(Progress::Sent) => {
                    retry = FIRST_RETRY;
                    continue;
                }
                Ok(Progress::Nothing) => {
                    retry = FIRST_RETRY;
                    IDLE
                }
                Ok(Progress::Failed(problem)) => {
                    tracing::warn!(
                        sink = sink.name(),
                        problem,
                        "audit entries cannot be sent; they are kept, and tried again"
                    );
                    let wait = retry;
                    retry = (retry * 2).min(LAST_RETRY);
                    wait
                }
                Err(error) => {
                    tracing::debug!(
                        sink = sink.name(),
                        cause = error.source_for_log(),
                        "the sink's position cannot be read"
                    );
                    IDLE
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sends the next block, if there is one and no other process does.
    async fn send_next(&self, sink: &dyn Sink) -> Result<Progress> {
        let name = format!("audit sink {}", sink.name());
        if !jobs::hold(&self.pool, &name, self.process_id, LEASE)
            .await
            .map_err(store_failed)?
        {
            // Whoever delivers knows how far behind the sink is. It fails if there was no such gauge, which is as well.
            let _ = self.metrics.audit_sink_lag.remove_label_values(&[sink.name()]);
            return Ok(Progress::Nothing);
        }
        let tip = audit_blocks::tip(&self.pool).await.map_err(store_failed)?;
        // A new sink begins with what comes from now on.
        let position = audit_sinks::position(&self.pool, sink.name(), tip.height)
            .await
            .map_err(store_failed)?;
        let lag = self.metrics.audit_sink_lag.with_label_values(&[sink.name()]);
        let next = audit_blocks::above(&self.pool, position, 1)
            .await
            .map_err(store_failed)?;
        let Some((block, leaves)) = next.into_iter().next() else {
            lag.set(0.0);
            return Ok(Progress::Nothing);
        };
        let header = &block.header;
        // The block may have come after the tip was read.
        let total = tip.total.max(header.total);
        let behind = u32::try_from(total - header.total + header.entries).unwrap_or(u32::MAX);
        lag.set(f64::from(behind));
        let ids = leaves.map(|leaves| leaves.ids).unwrap_or_default();
        let entries = audit_rows::with_ids(&self.pool, &ids, Some(header.first_at), Some(header.last_at))
            .await
            .map_err(store_failed)?;
        let begun = Instant::now();
        let sent = sink.send(header.height, &entries).await;
        let result = if sent.is_ok() { "ok" } else { "failed" };
        self.metrics
            .audit_sink_deliveries
            .with_label_values(&[sink.name(), result])
            .inc();
        let detail = match &sent {
            Ok(()) => format!("sent block {}", header.height),
            Err(problem) => problem.clone(),
        };
        let seconds = begun.elapsed().as_secs_f64();
        jobs::note(&self.pool, &name, self.process_id, seconds, sent.is_ok(), &detail)
            .await
            .map_err(store_failed)?;
        if let Err(problem) = sent {
            return Ok(Progress::Failed(problem));
        }
        audit_sinks::advance(&self.pool, sink.name(), header.height)
            .await
            .map_err(store_failed)?;
        lag.set(f64::from(u32::try_from(total - header.total).unwrap_or(u32::MAX)));
        Ok(Progress::Sent)
    }
}

enum Progress {
    Sent,
    Nothing,
    Failed(String),
}
