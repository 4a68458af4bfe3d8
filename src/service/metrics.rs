//! What the vault counts. Labels are bounded: never paths, names or users.

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// Seconds, from a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 14] = [
    0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0,
];

/// The vault's metrics, registered once per process.
#[derive(Clone)]
pub struct Metrics {
    pub(super) audit_batch_rows: Histogram,
    pub(super) audit_commit_seconds: Histogram,
    pub(super) audit_commit_failures: IntCounter,
    pub(super) audit_partition_days: IntGauge,
    pub(super) write_seconds: HistogramVec,
    pub(super) cache_lookups: IntCounterVec,
    pub(super) reads_repeated: IntCounter,
    pub(super) decisions: IntCounterVec,
    pub(super) logins: IntCounterVec,
    pub(super) refreshes: IntCounterVec,
    pub(super) second_factors: IntCounterVec,
    pub(super) password_verifications: IntCounter,
    pub(super) password_rehashes: IntCounter,
    pub(super) passkeys_suspect: IntCounter,
    pub(super) feed_passes: IntCounterVec,
    pub(super) feed_changes: IntCounter,
    pub(super) policies: IntGauge,
    pub(super) policies_broken: IntGauge,
    pub(super) keks_made: IntCounter,
    pub(super) audit_entries: IntCounterVec,
    pub(super) audit_sealed_entries: IntCounter,
    pub(super) audit_height: IntGauge,
    pub(super) audit_verifications: IntCounterVec,
    pub(super) denied_bursts: IntCounter,
    pub(super) audit_sink_lag: GaugeVec,
    pub(super) audit_sink_deliveries: IntCounterVec,
    pub(super) audit_noise: IntCounter,
    pub(super) job_runs: IntCounterVec,
    pub(super) job_last_success: GaugeVec,
    pub(super) maintenance: IntGauge,
    pub(super) records_expiring: GaugeVec,
    /// Records by the age of their current version.
    pub(super) records_by_age: GaugeVec,
    pub(super) key_age: GaugeVec,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// If one of the names is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| -> Result<Histogram, prometheus::Error> {
            let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let histograms = |name: &str, help: &str, label: &str| -> Result<HistogramVec, prometheus::Error> {
            let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), &[label])?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let metric = IntCounter::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<GaugeVec, prometheus::Error> {
            let metric = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let metrics = Self {
            audit_batch_rows: histogram(
                "aether_vault_audit_batch_rows",
                "Audit entries of reads committed together.",
                &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
            )?,
            audit_commit_seconds: histogram(
                "aether_vault_audit_commit_seconds",
                "Time to commit a batch of audit entries, in seconds.",
                &SECONDS,
            )?,
            audit_commit_failures: counter(
                "aether_vault_audit_commit_failures_total",
                "Batches of audit entries that could not be committed; their requests were refused.",
            )?,
            audit_partition_days: gauge(
                "aether_vault_audit_partition_days",
                "Days, today included, whose audit partition exists. At 0 every request is refused.",
            )?,
            write_seconds: histograms(
                "aether_vault_store_write_seconds",
                "Time of the statement that writes a record, in seconds.",
                "statement",
            )?,
            cache_lookups: counters(
                "aether_vault_cache_lookups_total",
                "Look-ups of the record cache.",
                &["result"],
            )?,
            reads_repeated: counter(
                "aether_vault_reads_repeated_total",
                "Reads decided and read anew because their audit commit did not confirm them.",
            )?,
            decisions: counters(
                "aether_vault_decisions_total",
                "Policy decisions on records.",
                &["capability", "effect"],
            )?,
            logins: counters("aether_vault_logins_total", "Attempts to log in.", &["result"])?,
            refreshes: counters(
                "aether_vault_refreshes_total",
                "Refresh tokens that were sent; 'reused' ended a session.",
                &["result"],
            )?,
            second_factors: counters(
                "aether_vault_second_factors_total",
                "Second factors that were shown.",
                &["result"],
            )?,
            password_verifications: counter(
                "aether_vault_password_verifications_total",
                "Argon2 verifications, made alike for known and unknown users.",
            )?,
            password_rehashes: counter(
                "aether_vault_password_rehashes_total",
                "Password hashes replaced at a login because the settings of Argon2 changed.",
            )?,
            passkeys_suspect: counter(
                "aether_vault_passkeys_suspect_total",
                "Passkeys that are not taken any more because their counter did not go up: there may be copies of them.",
            )?,
            feed_passes: counters(
                "aether_vault_feed_passes_total",
                "Passes over the change feed.",
                &["result"],
            )?,
            feed_changes: counter("aether_vault_feed_changes_total", "Changes read from the feed.")?,
            policies: gauge("aether_vault_policies", "Policies in force.")?,
            policies_broken: gauge(
                "aether_vault_policies_broken",
                "Stored policies that do not compile; their allows do not count.",
            )?,
            keks_made: counter(
                "aether_vault_keks_made_total",
                "Key-encryption keys made by this process.",
            )?,
            audit_entries: counters(
                "aether_vault_audit_entries_total",
                "Audit entries that this process sealed, by how they ended.",
                &["decision"],
            )?,
            audit_sealed_entries: counter(
                "aether_vault_audit_sealed_entries_total",
                "Audit entries that this process put into blocks.",
            )?,
            audit_height: gauge(
                "aether_vault_audit_height",
                "Height of the last audit block that this process sealed.",
            )?,
            audit_verifications: counters(
                "aether_vault_audit_verifications_total",
                "Verifications of the audit log.",
                &["verdict"],
            )?,
            denied_bursts: counter(
                "aether_vault_denied_bursts_total",
                "Actors that were refused twenty times within a minute, each counted once a minute, by the process that seals.",
            )?,
            audit_sink_lag: gauges(
                "aether_vault_audit_sink_lag_entries",
                "Sealed audit entries that a sink has not taken yet, in the process that delivers.",
                &["sink"],
            )?,
            audit_sink_deliveries: counters(
                "aether_vault_audit_sink_deliveries_total",
                "Blocks that were sent to a sink.",
                &["sink", "result"],
            )?,
            audit_noise: counter(
                "aether_vault_audit_noise_total",
                "Requests of unknown senders beyond the rate of their network, told by a counted entry instead of one each.",
            )?,
            job_runs: counters(
                "aether_vault_job_runs_total",
                "Runs of jobs in this process.",
                &["job", "result"],
            )?,
            job_last_success: gauges(
                "aether_vault_job_last_success_timestamp_seconds",
                "When a job last succeeded in this process, in seconds since 1970.",
                &["job"],
            )?,
            maintenance: gauge(
                "aether_vault_maintenance",
                "1 while the vault is read-only, as this process knows it.",
            )?,
            records_expiring: gauges(
                "aether_vault_records_expiring",
                "Records that say when their values end, by how soon that is.",
                &["within"],
            )?,
            records_by_age: gauges(
                "aether_vault_records_by_age",
                "Records by the age of their current version: each is in the first bucket that it is younger than.",
                &["younger_than"],
            )?,
            key_age: gauges(
                "aether_vault_key_age_seconds",
                "Age of the keys in use, in seconds; of those of records the oldest.",
                &["key"],
            )?,
        };
        // There from the start, so that an alert on their rate sees the first one too.
        for result in ["ok", "failed", "change_required", "second_factor"] {
            metrics.logins.with_label_values(&[result]);
        }
        for verdict in ["intact", "tampered", "cannot_tell"] {
            metrics.audit_verifications.with_label_values(&[verdict]);
        }
        Ok(metrics)
    }

    /// Forgets what the clean-up counted: another process counts now, and two would say different things.
    pub(super) fn forget_counts(&self) {
        self.records_expiring.reset();
        self.records_by_age.reset();
        self.key_age.reset();
    }
}
