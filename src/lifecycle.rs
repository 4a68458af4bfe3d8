//! From start to stop: what a process does first, how it is told to end, and that it ends when a part of it dies.
//!
//! Only `cli` and `app` call in here.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What every process does before it touches a secret: one TLS provider for all, no core files, no memory for debuggers of the same
/// user, and panics without their message, which may quote a value.
///
/// # Errors
/// If the kernel refuses: then secrets would end up in core files.
pub fn prepare_process() -> io::Result<()> {
    // Fails only if one is installed already, which is just as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    rustix::process::setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked; this is a defect, please report the place");
    }));
    Ok(())
}

/// How a process is told to end: first to drain, then, when that takes too long, to drop what still runs.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take nothing new, finish what runs.
    pub drain: CancellationToken,
    /// Stop now.
    pub kill: CancellationToken,
}

impl Shutdown {
    /// Drains at SIGTERM or SIGINT; kills after `drain_timeout`, or at a second signal.
    ///
    /// # Errors
    /// If the signal handlers cannot be installed.
    pub fn on_signals(drain_timeout: Duration) -> io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let tokens = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
                _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
                () = tokens.drain.cancelled() => {}
            }
            tokens.drain.cancel();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = tokio::time::sleep(drain_timeout) => {}
            }
            tokens.kill.cancel();
        });
        Ok(shutdown)
    }
}

/// Runs the parts of a process. All of them are needed: when one ends before it was told to, the process drains and fails.
#[derive(Default)]
pub struct Supervisor {
    parts: JoinSet<(&'static str, Result<(), String>)>,
}

/// Parts that ended before they were told to, or failed while draining.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct PartDied(Vec<String>);

impl Supervisor {
    /// Starts a part that runs until it is told to drain.
    pub fn spawn<E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.parts.spawn(async move {
            let outcome = match AssertUnwindSafe(part).catch_unwind().await {
                Ok(outcome) => outcome.map_err(|error| format!("{name} failed: {error}")),
                Err(_) => Err(format!("{name} panicked")),
            };
            (name, outcome)
        });
    }

    /// Waits for all parts to end.
    ///
    /// # Errors
    /// [`PartDied`] if one ended untold or with an error.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), PartDied> {
        let mut died = Vec::new();
        loop {
            let ended = tokio::select! {
                ended = self.parts.join_next() => ended,
                () = shutdown.kill.cancelled() => {
                    tracing::warn!(parts = self.parts.len(), "the drain timeout has passed; stopping what still runs");
                    break;
                }
            };
            match ended {
                None => break,
                Some(Ok((name, Ok(())))) if shutdown.drain.is_cancelled() => tracing::debug!(part = name, "drained"),
                Some(Ok((name, Ok(())))) => died.push(format!("{name} ended by itself")),
                Some(Ok((_, Err(error)))) => died.push(error),
                // Parts catch their own panics and nobody aborts them one by one.
                Some(Err(_)) => died.push("a part was aborted".to_owned()),
            }
            if !died.is_empty() && !shutdown.drain.is_cancelled() {
                tracing::error!(cause = died.join("; "), "a part of the process died; draining");
                shutdown.drain.cancel();
            }
        }
        if died.is_empty() { Ok(()) } else { Err(PartDied(died)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until(token: CancellationToken) -> Result<(), String> {
        token.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn told_to_drain_it_ends_well() {
        let shutdown = Shutdown::default();
        let mut parts = Supervisor::default();
        parts.spawn("one", until(shutdown.drain.clone()));
        parts.spawn("two", until(shutdown.drain.clone()));
        shutdown.drain.cancel();
        assert_eq!(parts.run(shutdown).await, Ok(()));
    }

    #[tokio::test]
    async fn a_dead_part_ends_the_others_and_the_process() {
        for (name, message) in [
            ("ends", "ends ended by itself"),
            ("fails", "fails failed: broken"),
            ("panics", "panics panicked"),
        ] {
            let shutdown = Shutdown::default();
            let mut parts = Supervisor::default();
            parts.spawn("other", until(shutdown.drain.clone()));
            parts.spawn(name, async move {
                match name {
                    "ends" => Ok(()),
                    "fails" => Err("broken"),
                    _ => panic!("with a value in the message"),
                }
            });
            assert_eq!(parts.run(shutdown).await, Err(PartDied(vec![message.into()])));
        }
    }

    #[tokio::test]
    async fn what_does_not_drain_is_dropped() {
        let shutdown = Shutdown::default();
        let mut parts = Supervisor::default();
        parts.spawn("stuck", std::future::pending::<Result<(), String>>());
        shutdown.drain.cancel();
        shutdown.kill.cancel();
        assert_eq!(parts.run(shutdown).await, Ok(()));
    }
}
