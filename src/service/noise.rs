//! Refusals of senders that nobody knows, beyond a rate: counted, and told by one entry a minute, network and account.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Vault;
use super::error::{Reason, Result};
use super::failure::store_failed;
use super::maintenance::process_context;
use crate::domain::audit::noise::{Noise, Suppressed};
use crate::domain::audit::{Action, Outcome, clean_text};
use crate::store::{self, audit};

/// How often counts of minutes that are over are written down.
const EVERY: Duration = Duration::from_secs(5);

/// What this process has counted.
#[derive(Default)]
pub(super) struct NoiseCounter(Mutex<Noise>);

impl Vault {
    /// Whether a refused log-in gets an entry of its own. If not, it is counted, and told later with the others of its network.
    pub(super) fn has_own_entry(&self, client: Option<IpAddr>, account: &str) -> bool {
        let limit = self.config.get().noise_per_minute;
        let second = self.clock.now().as_second();
        let mut noise = self.noise.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = noise.admit(second, client, account, limit);
        drop(noise);
        if !own {
            self.metrics.audit_noise.inc();
        }
        own
    }

    /// Writes counted entries until the process drains, and what is left then.
    pub(super) async fn tell_noise(&self, shutdown: CancellationToken) {
        loop {
            let ending = tokio::select! {
                () = shutdown.cancelled() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            let counted = {
                let second = self.clock.now().as_second();
                let mut noise = self.noise.0.lock().unwrap_or_else(PoisonError::into_inner);
                if ending { noise.take_all() } else { noise.take(second) }
            };
            if let Err(error) = self.write_noise(&counted).await {
                let lost: u64 = counted.iter().map(|counted| counted.count).sum();
                tracing::warn!(
                    lost,
                    cause = error.source_for_log(),
                    "counted refusals cannot be written to the audit log"
                );
            }
            if ending {
                return;
            }
        }
    }

    async fn write_noise(&self, counted: &[Suppressed]) -> Result<()> {
        if counted.is_empty() {
            return Ok(());
        }
        let ctx = process_context(self.clock.now());
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        for Suppressed {
            network,
            account,
            count,
        } in counted
        {
            let mut entry = ctx
                .entry(Action::Noise, account)
                .ended(Outcome::Deny, Reason::LoginFailed.as_str());
            entry.actor_kind = "anonymous";
            entry.actor_id = String::new();
            entry.actor_name = clean_text(account);
            entry.client = Some(clean_text(network));
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            audit::insert_counted(&mut tx, &entry, count)
                .await
                .map_err(store_failed)?;
        }
        store::commit(tx).await.map_err(store_failed)
    }
}
