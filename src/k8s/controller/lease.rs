//! Leader election through a Lease, in the way of client-go: a holder renews, others take over once the Lease has not changed for its
//! duration *as they saw it*, so clocks need not agree.
//!
//! It keeps replicas from doing the same work twice. Correctness never depends on it: a leader that was paused meets the resourceVersion of
//! the Secret, check-and-set in the vault, and rows that only move forward.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::k8s::metrics::ControllerMetrics;
use crate::k8s::settings::ControllerSettings;
use crate::service::context::Clock;

/// How long a leader that stops may finish what it began.
const DRAIN: Duration = Duration::from_secs(5);

/// Why one attempt to hold the Lease failed.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("the API server refused the Lease: {0}")]
    Api(#[from] kube::Error),
    #[error("the API server did not answer in time")]
    TimedOut,
}

/// Competes for one Lease.
pub(super) struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    clock: Arc<dyn Clock>,
    seen: Option<Seen>,
}

/// The Lease as last seen, and since when it has looked so.
struct Seen {
    lease: Lease,
    since: Instant,
}

impl Elector {
    pub(super) fn new(client: &Client, settings: &ControllerSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            api: Api::namespaced(client.clone(), &settings.operator_namespace),
            name: settings.lease_name.clone(),
            identity: settings.identity.clone(),
            duration: settings.lease_duration,
            clock,
            seen: None,
        }
    }

    /// Runs `lead` whenever this replica leads, until `stop`. The token given to `lead` ends with the leadership; when the Lease is lost,
    /// the future is dropped at once.
    ///
    /// # Errors
    /// What `lead` ended with.
    pub(super) async fn run<F, E>(
        mut self,
        metrics: &ControllerMetrics,
        stop: &CancellationToken,
        mut lead: impl FnMut(CancellationToken) -> F,
    ) -> Result<(), E>
    where
        F: Future<Output = Result<(), E>>,
    {
        while self.acquire(stop).await {
            info!(lease = %self.name, identity = %self.identity, "leading");
            metrics.leader.set(1);
            let term = stop.child_token();
            let mut work = Box::pin(lead(term.clone()));
            let ended = tokio::select! {
                outcome = &mut work => Some(outcome),
                () = stop.cancelled() => timeout(DRAIN, &mut work).await.ok(),
                () = self.keep() => None,
            };
            term.cancel();
            drop(work);
            metrics.leader.set(0);
            if let Some(outcome) = ended {
                self.release().await;
                return outcome;
            }
            warn!(lease = %self.name, "the Lease could not be renewed; standing by");
        }
        Ok(())
    }

    /// Waits until this replica holds the Lease; false when it is to stop.
    async fn acquire(&mut self, stop: &CancellationToken) -> bool {
        loop {
            match self.attempt().await {
                Ok(true) => return !stop.is_cancelled(),
                Ok(false) => {}
                Err(error) => warn!(lease = %self.name, %error, "cannot take part in the election"),
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = sleep(self.duration / 4) => {}
            }
        }
    }

    /// Renews until that has failed for two thirds of the duration, or somebody else holds the Lease.
    async fn keep(&mut self) {
        let mut renewed = Instant::now();
        let mut pause = self.duration / 3;
        loop {
            sleep(pause).await;
            match self.attempt().await {
                Ok(true) => {
                    renewed = Instant::now();
                    pause = self.duration / 3;
                }
                // Somebody edited the Lease, which takes nothing from us: look again.
                Ok(false) if self.seen.is_none() => pause = Duration::ZERO,
                Ok(false) => return,
                Err(error) => {
                    warn!(lease = %self.name, %error, "cannot renew the Lease");
                    pause = self.duration / 18;
                }
            }
            if renewed.elapsed() >= self.duration * 2 / 3 {
                return;
            }
        }
    }

    /// Lets the next replica lead without waiting.
    async fn release(&mut self) {
        let Some(Seen { mut lease, .. }) = self.seen.take() else {
            return;
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return;
        }
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(self.clock.now()));
        if let Err(error) = self
            .in_time(self.api.replace(&self.name, &PostParams::default(), &lease))
            .await
        {
            warn!(lease = %self.name, %error, "cannot release the Lease; it runs out by itself");
        }
    }

    /// Takes or renews the Lease if that is possible now.
    async fn attempt(&mut self) -> Result<bool, LeaseError> {
        let known = self
            .seen
            .as_ref()
            .filter(|seen| holder(&seen.lease) == Some(&self.identity))
            .map(|seen| seen.lease.clone());
        let lease = match known {
            Some(lease) => lease,
            None => match self.look().await? {
                Some(lease) => lease,
                None => return self.create().await,
            },
        };
        match holder(&lease) {
            Some(other) if other != self.identity && !self.ran_out() => Ok(false),
            _ => self.write(lease).await,
        }
    }

    async fn look(&mut self) -> Result<Option<Lease>, LeaseError> {
        let lease = self.in_time(self.api.get_opt(&self.name)).await?;
        if let Some(lease) = &lease {
            self.note(lease.clone());
        }
        Ok(lease)
    }

    async fn create(&mut self) -> Result<bool, LeaseError> {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            ..Default::default()
        };
        let lease = Lease {
            metadata,
            spec: Some(self.spec(&LeaseSpec::default())),
        };
        self.settle(self.in_time(self.api.create(&PostParams::default(), &lease)).await)
    }

    async fn write(&mut self, mut lease: Lease) -> Result<bool, LeaseError> {
        lease.spec = Some(self.spec(&lease.spec.unwrap_or_default()));
        self.settle(
            self.in_time(self.api.replace(&self.name, &PostParams::default(), &lease))
                .await,
        )
    }

    fn settle(&mut self, outcome: Result<Lease, LeaseError>) -> Result<bool, LeaseError> {
        match outcome {
            Ok(lease) => {
                self.note(lease);
                Ok(true)
            }
            // Another replica was quicker, or somebody edited the Lease: look again at the next attempt.
            Err(LeaseError::Api(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                self.seen = None;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn spec(&self, before: &LeaseSpec) -> LeaseSpec {
        let now = MicroTime(self.clock.now());
        let renewed = before.holder_identity.as_deref() == Some(&self.identity);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: if renewed {
                before.acquire_time.clone()
            } else {
                Some(now.clone())
            },
            renew_time: Some(now),
            lease_transitions: Some(
                before
                    .lease_transitions
                    .unwrap_or(0)
                    .saturating_add(i32::from(!renewed)),
            ),
            ..before.clone()
        }
    }

    fn note(&mut self, lease: Lease) {
        let same = |seen: &Seen| seen.lease.metadata.resource_version == lease.metadata.resource_version;
        match &self.seen {
            Some(seen) if same(seen) => {}
            _ => {
                self.seen = Some(Seen {
                    lease,
                    since: Instant::now(),
                });
            }
        }
    }

    fn ran_out(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| {
            let seconds = seen
                .lease
                .spec
                .as_ref()
                .and_then(|spec| spec.lease_duration_seconds)
                .unwrap_or(0);
            seen.since.elapsed() >= Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        })
    }

    async fn in_time<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, LeaseError> {
        timeout(self.duration / 3, request)
            .await
            .map_err(|_| LeaseError::TimedOut)?
            .map_err(LeaseError::Api)
    }
}

/// Who holds the Lease; an empty name is nobody.
fn holder(lease: &Lease) -> Option<&str> {
    lease
        .spec
        .as_ref()?
        .holder_identity
        .as_deref()
        .filter(|holder| !holder.is_empty())
}
