//! Jobs: work that one process at a time does, by a lease in the database. Correctness never depends on the lease: every job may run twice
//! at once, and only wastes work then.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Vault;
use super::error::Result;
use super::failure::store_failed;
use crate::store::jobs;
pub use crate::store::jobs::JobRow as Job;

/// How long a process that is gone keeps others from its jobs.
const LEASE: Duration = Duration::from_secs(10);
/// How often a run that has nothing to say is noted.
const NOTE_EVERY: Duration = Duration::from_secs(30);

/// How long after its start a process takes on what is heavy: one that keeps failing must not begin with that again and again.
const SETTLED: Duration = Duration::from_secs(300);

/// What is to be done, and how often.
pub(super) struct Task {
    pub(super) name: &'static str,
    every: Duration,
    work: Work,
}

#[derive(Clone, Copy)]
enum Work {
    SealAudit,
    CleanUp,
    AuditRetention,
    VerifyAudit,
}

/// Every job; the audit log is verified as often as the settings say.
pub(super) fn all(verify_every: Option<Duration>) -> Vec<Task> {
    let task = |name, seconds, work| Task {
        name,
        every: Duration::from_secs(seconds),
        work,
    };
    let mut all = vec![
        task("audit sealing", 1, Work::SealAudit),
        task("audit retention", 3600, Work::AuditRetention),
        task("clean-up", 600, Work::CleanUp),
    ];
    all.extend(verify_every.map(|every| Task {
        name: "audit verification",
        every,
        work: Work::VerifyAudit,
    }));
    all
}

/// Until when a job is this process's, and what was last noted of it.
struct Hold {
    started: Instant,
    until: Option<Instant>,
    noted: Option<Instant>,
    was_ok: bool,
}

impl Vault {
    /// Does a job whenever it is due and no other process has it, until the process drains.
    pub(super) async fn run_job(&self, task: &Task, shutdown: CancellationToken) {
        let mut hold = Hold {
            started: Instant::now(),
            until: None,
            noted: None,
            was_ok: false,
        };
        // A job that is rare is looked at often enough to be taken over soon.
        let look = task.every.min(LEASE);
        loop {
            if let Err(error) = self.job_round(task, &mut hold).await {
                hold.until = None;
                tracing::debug!(
                    job = task.name,
                    cause = error.source_for_log(),
                    "the job cannot be taken; trying again"
                );
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(look) => {}
            }
        }
        // Others would only wait a little longer.
        let _ = jobs::release(&self.pool, self.process_id).await;
    }

    async fn job_round(&self, task: &Task, hold: &mut Hold) -> Result<()> {
        let seconds = LEASE.as_secs_f64() * 2.0;
        // Kept by asking again when half of it is over, so that the job of every second costs no write a second.
        if hold
            .until
            .is_none_or(|until| until.saturating_duration_since(Instant::now()) < LEASE)
        {
            let asked = Instant::now();
            let held = jobs::hold(&self.pool, task.name, self.process_id, seconds)
                .await
                .map_err(store_failed)?;
            hold.until = held.then(|| asked + LEASE * 2);
            if !held {
                if matches!(task.work, Work::CleanUp) {
                    self.metrics.forget_counts();
                }
                return Ok(());
            }
        }
        if matches!(task.work, Work::VerifyAudit) && hold.started.elapsed() < SETTLED {
            return Ok(());
        }
        if task.every > LEASE {
            let every = task.every.as_secs_f64();
            if !jobs::is_due(&self.pool, task.name, every).await.map_err(store_failed)? {
                return Ok(());
            }
        }
        let begun = Instant::now();
        let outcome = self.work_under_lease(task, hold).await;
        let ok = outcome.is_ok();
        let result = if ok { "ok" } else { "failed" };
        self.metrics.job_runs.with_label_values(&[task.name, result]).inc();
        if ok {
            let now = self.clock.now().as_duration().as_secs_f64();
            self.metrics.job_last_success.with_label_values(&[task.name]).set(now);
        }
        let detail = match outcome {
            Ok(detail) => detail,
            Err(error) => {
                if hold.was_ok || hold.noted.is_none() {
                    tracing::warn!(
                        job = task.name,
                        cause = error.source_for_log(),
                        problem = error.message(),
                        "the job failed; trying again"
                    );
                }
                error.message().to_owned()
            }
        };
        let quiet = ok == hold.was_ok && hold.noted.is_some_and(|noted| noted.elapsed() < NOTE_EVERY);
        hold.was_ok = ok;
        if quiet {
            return Ok(());
        }
        hold.noted = Some(Instant::now());
        let seconds = begun.elapsed().as_secs_f64();
        jobs::note(&self.pool, task.name, self.process_id, seconds, ok, &detail)
            .await
            .map_err(store_failed)
    }

    /// Does the work, and keeps the lease while it takes long.
    async fn work_under_lease(&self, task: &Task, hold: &mut Hold) -> Result<String> {
        let mut work = std::pin::pin!(self.work(task.work));
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                () = tokio::time::sleep(LEASE) => {}
            }
            let asked = Instant::now();
            let seconds = LEASE.as_secs_f64() * 2.0;
            // What cannot be kept is done to its end all the same.
            if let Ok(true) = jobs::hold(&self.pool, task.name, self.process_id, seconds).await {
                hold.until = Some(asked + LEASE * 2);
            }
        }
    }

    async fn work(&self, work: Work) -> Result<String> {
        Ok(match work {
            Work::SealAudit => {
                let sealed = self.audit_log().seal().await?;
                format!("{} entries in {} blocks", sealed.entries, sealed.blocks)
            }
            Work::CleanUp => {
                self.clean_up().await?;
                "done".to_owned()
            }
            Work::VerifyAudit => {
                let report = self.audit_log().verify(None).await?;
                format!(
                    "{:?}: {} blocks, {} entries, {} findings",
                    report.verdict, report.blocks, report.entries, report.found
                )
            }
            Work::AuditRetention => format!("{} days dropped", self.audit_log().drop_old_days().await?.len()),
        })
    }
}
