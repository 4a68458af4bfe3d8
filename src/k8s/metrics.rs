//! Metrics of the controller, `aether_vault_controller_*`. Labels are closed sets: never a name, a namespace or a path.

use prometheus::{Gauge, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The controller's metrics.
#[derive(Clone)]
pub struct ControllerMetrics {
    /// Seconds that a reconcile took, by kind.
    pub(super) reconcile_seconds: HistogramVec,
    /// Reconciles by kind and by the reason that they ended with.
    pub(super) reconciles: IntCounterVec,
    /// Seconds from when the controller saw a change in the vault until the Secret was written.
    pub(super) change_to_secret_seconds: Histogram,
    /// Secrets written, by what was done.
    pub(super) secrets: IntCounterVec,
    /// Resources that wait to be reconciled, by kind.
    pub(super) queue_depth: IntGaugeVec,
    /// Age in seconds of the oldest resource that waits and is due.
    pub(super) oldest_unreconciled_seconds: Gauge,
    /// Versions of records written for resources, by what was fed.
    pub(super) feeds: IntCounterVec,
    /// Resources for which a rotation, a renewal or the end of an overlap is due and not done.
    pub(super) overdue: IntGauge,
    /// Seconds for which the first of them has been due.
    pub(super) overdue_seconds: IntGauge,
    /// Deletions that wait for `aether-vault syncs confirm`.
    pub(super) deletions_held: IntGauge,
    /// Workloads restarted because data of their Secrets changed, by kind.
    pub(super) restarts: IntCounterVec,
    /// 1 once everything was compared with the vault since this replica leads.
    pub(super) caught_up: IntGauge,
    /// 1 unless the vault does not answer.
    pub(super) vault_available: IntGauge,
    /// 1 while this replica leads.
    pub(super) leader: IntGauge,
}

impl ControllerMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// A metric of the same name is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            reconcile_seconds: HistogramVec::new(
                HistogramOpts::new("aether_vault_controller_reconcile_seconds", "Duration of a reconcile.")
                    .buckets(vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]),
                &["kind"],
            )?,
            reconciles: IntCounterVec::new(
                Opts::new(
                    "aether_vault_controller_reconciles_total",
                    "Reconciles by the reason they ended with.",
                ),
                &["kind", "reason"],
            )?,
            change_to_secret_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "aether_vault_controller_change_to_secret_seconds",
                    "From seeing a change in the vault to the Secret that carries it.",
                )
                .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0]),
            )?,
            secrets: IntCounterVec::new(
                Opts::new(
                    "aether_vault_controller_secrets_total",
                    "Secrets written, by what was done.",
                ),
                &["action"],
            )?,
            queue_depth: IntGaugeVec::new(
                Opts::new(
                    "aether_vault_controller_queue_depth",
                    "Resources that wait to be reconciled.",
                ),
                &["kind"],
            )?,
            oldest_unreconciled_seconds: Gauge::new(
                "aether_vault_controller_oldest_unreconciled_seconds",
                "Age of the oldest VaultSecret that is due and not yet reconciled.",
            )?,
            feeds: IntCounterVec::new(
                Opts::new(
                    "aether_vault_controller_feeds_total",
                    "Versions of records written for resources, by what was fed.",
                ),
                &["source"],
            )?,
            overdue: IntGauge::new(
                "aether_vault_controller_rotations_overdue",
                "VaultSecrets for which a rotation, a renewal or the end of an overlap is due and not done.",
            )?,
            overdue_seconds: IntGauge::new(
                "aether_vault_controller_rotation_overdue_seconds",
                "For how long the first of them has been due.",
            )?,
            deletions_held: IntGauge::new(
                "aether_vault_controller_deletions_held",
                "Deletions of Secrets that wait for `aether-vault syncs confirm`.",
            )?,
            restarts: IntCounterVec::new(
                Opts::new(
                    "aether_vault_controller_restarts_total",
                    "Workloads restarted because data of their Secrets changed.",
                ),
                &["kind"],
            )?,
            caught_up: IntGauge::new(
                "aether_vault_controller_caught_up",
                "1 once everything was compared with the vault since this replica leads.",
            )?,
            vault_available: IntGauge::new(
                "aether_vault_controller_vault_available",
                "1 unless the vault does not answer the controller.",
            )?,
            leader: IntGauge::new("aether_vault_controller_leader", "1 while this replica leads.")?,
        };
        registry.register(Box::new(metrics.reconcile_seconds.clone()))?;
        registry.register(Box::new(metrics.reconciles.clone()))?;
        registry.register(Box::new(metrics.change_to_secret_seconds.clone()))?;
        for action in ["created", "updated", "repaired", "recreated", "adopted", "deleted"] {
            metrics.secrets.with_label_values(&[action]);
        }
        registry.register(Box::new(metrics.secrets.clone()))?;
        registry.register(Box::new(metrics.queue_depth.clone()))?;
        registry.register(Box::new(metrics.oldest_unreconciled_seconds.clone()))?;
        registry.register(Box::new(metrics.feeds.clone()))?;
        registry.register(Box::new(metrics.overdue.clone()))?;
        registry.register(Box::new(metrics.overdue_seconds.clone()))?;
        registry.register(Box::new(metrics.deletions_held.clone()))?;
        registry.register(Box::new(metrics.restarts.clone()))?;
        registry.register(Box::new(metrics.caught_up.clone()))?;
        registry.register(Box::new(metrics.vault_available.clone()))?;
        metrics.vault_available.set(1);
        registry.register(Box::new(metrics.leader.clone()))?;
        Ok(metrics)
    }
}
