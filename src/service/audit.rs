//! The group commit of reads: an entry's answer comes only when its batch is committed, and says whether what the entry claims was
//! still true at that moment.
//!
//! While one batch is being committed the next one fills, so the batch size follows the load. One at a time: a second one under way made
//! the batches smaller and each read dearer, by a fifth in Postgres and a tenth here. Mutations do not pass here: their entries are part of
//! their own transaction.

use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::context::{Credential, OpContext};
use super::error::{Error, Reason, Result};
use super::metrics::Metrics;
use crate::domain::audit::{Action, AuditEntry, Outcome, clean_text, clean_user_agent};
use crate::store::audit::{Bearer, Confirm, commit_batch};
use crate::store::{Kept, Pool, StoreError};

/// Entries of one batch at most: beyond it the statement gets no cheaper per row.
const BATCH: usize = 256;
/// Entries that may wait; more are refused rather than let memory grow.
const QUEUE: usize = 16_384;

/// What the commit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Committed: what was decided holds.
    Confirmed,
    /// Not written: the record, the session or the policies have moved on. Decide and read anew.
    Stale,
}

struct Pending {
    entry: AuditEntry,
    confirm: Confirm,
    answer: oneshot::Sender<Result<Verdict>>,
}

/// Takes entries and answers when they are committed.
pub(super) struct AuditCommitter {
    queue: mpsc::Sender<Pending>,
    waiting: Mutex<mpsc::Receiver<Pending>>,
    /// Told when a batch was refused: there may be no partition for today.
    refused: Notify,
}

impl AuditCommitter {
    pub(super) fn new() -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self {
            queue,
            waiting: Mutex::new(waiting),
            refused: Notify::new(),
        }
    }

    /// Waits until a batch is refused.
    pub(super) async fn refused(&self) {
        self.refused.notified().await;
    }

    /// Commits an entry, confirming what it rests on.
    ///
    /// # Errors
    /// [`Reason::Busy`] if the queue is full, [`Reason::StoreUnavailable`] if the entry cannot be committed: then there is no answer
    /// to give (R26).
    #[tracing::instrument(target = "aether_vault::trace", level = "info", name = "audit.commit", skip_all)]
    pub(super) async fn commit(&self, entry: AuditEntry, confirm: Confirm) -> Result<Verdict> {
        let (answer, verdict) = oneshot::channel();
        self.queue.try_send(Pending { entry, confirm, answer }).map_err(|_| {
            Error::new(
                Reason::Busy,
                "too many requests wait for the audit log; try again shortly",
            )
        })?;
        verdict.await.map_err(|_| unavailable("the process is shutting down"))?
    }

    /// Commits the entries of one request in one statement of its own, each confirming what it rests on; answers which were. One round trip.
    ///
    /// # Errors
    /// [`Reason::StoreUnavailable`] if they cannot be committed: then there is no answer to give (R26).
    pub(super) async fn commit_together(
        pool: &Pool,
        entries: &[(AuditEntry, Confirm)],
        metrics: &Metrics,
    ) -> Result<Vec<Verdict>> {
        let rows: Vec<_> = entries.iter().map(|(entry, confirm)| (entry, *confirm)).collect();
        metrics
            .audit_batch_rows
            .observe(f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX)));
        let timer = metrics.audit_commit_seconds.start_timer();
        let outcome = match commit_batch(pool, &rows).await {
            // As in `commit` below.
            Err(StoreError::Unavailable(_)) => commit_batch(pool, &rows).await,
            outcome => outcome,
        };
        timer.observe_duration();
        match outcome {
            Ok(confirmed) => Ok(confirmed
                .into_iter()
                .map(|confirmed| if confirmed { Verdict::Confirmed } else { Verdict::Stale })
                .collect()),
            Err(error) => {
                metrics.audit_commit_failures.inc();
                Err(unavailable("its audit entries cannot be committed").because(error))
            }
        }
    }

    /// Commits batch after batch until the queue is closed; ends only with the process.
    pub(super) async fn run(&self, pool: Pool, metrics: Metrics) {
        let mut waiting = self.waiting.lock().await;
        let mut kept = Kept::planning_once(&pool);
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            if waiting.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            metrics
                .audit_batch_rows
                .observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
            let timer = metrics.audit_commit_seconds.start_timer();
            let outcome = commit(&mut kept, &batch).await;
            timer.observe_duration();
            match outcome {
                Ok(verdicts) => answer(batch, verdicts),
                // Something in one row: the others must not suffer for it.
                Err(StoreError::Refused(_) | StoreError::Constraint { .. }) if batch.len() > 1 => {
                    one_by_one(&mut kept, batch).await;
                }
                Err(error) => {
                    refuse(batch, &error, &metrics);
                    self.refused.notify_one();
                }
            }
        }
    }
}

async fn commit(kept: &mut Kept, batch: &[Pending]) -> Result<Vec<bool>, StoreError> {
    let rows: Vec<_> = batch.iter().map(|pending| (&pending.entry, pending.confirm)).collect();
    match commit_once(kept, &rows).await {
        // A connection that died unnoticed shows here. The batch was not answered and its entries are told apart by nothing,
        // so it may be committed twice at worst: an entry too many for a read that was asked for, never one too few.
        Err(StoreError::Unavailable(_)) => commit_once(kept, &rows).await,
        outcome => outcome,
    }
}

async fn commit_once(kept: &mut Kept, rows: &[(&AuditEntry, Confirm)]) -> Result<Vec<bool>, StoreError> {
    let outcome = match kept.get().await {
        Ok(connection) => commit_batch(connection, rows).await,
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        kept.forget();
    }
    outcome
}

fn answer(batch: Vec<Pending>, verdicts: Vec<bool>) {
    for (pending, confirmed) in batch.into_iter().zip(verdicts) {
        // A client that went away does not wait for its answer.
        let _ = pending
            .answer
            .send(Ok(if confirmed { Verdict::Confirmed } else { Verdict::Stale }));
    }
}

async fn one_by_one(kept: &mut Kept, batch: Vec<Pending>) {
    for pending in batch {
        let verdict = match commit(kept, std::slice::from_ref(&pending)).await {
            Ok(verdicts) if verdicts.first() == Some(&true) => Ok(Verdict::Confirmed),
            Ok(_) => Ok(Verdict::Stale),
            Err(error) => Err(unavailable("the audit entry was refused").because(error)),
        };
        let _ = pending.answer.send(verdict);
    }
}

fn refuse(batch: Vec<Pending>, error: &StoreError, metrics: &Metrics) {
    metrics.audit_commit_failures.inc();
    tracing::error!(
        entries = batch.len(),
        error = Error::internal(error.to_string()).source_for_log(),
        cause = std::error::Error::source(error).map(ToString::to_string),
        "audit entries cannot be committed; their requests are refused"
    );
    for pending in batch {
        let _ = pending
            .answer
            .send(Err(unavailable("its audit entry cannot be committed")));
    }
}

fn unavailable(why: &str) -> Error {
    Error::new(
        Reason::StoreUnavailable,
        format!("the request was not carried out: {why}; try again shortly"),
    )
}

impl OpContext {
    /// The entry of this operation; allowed unless said otherwise.
    pub(super) fn entry(&self, action: Action, resource: &str) -> AuditEntry {
        let resource_origin = self.origin.resource.as_ref();
        AuditEntry {
            request_id: self.request_id,
            actor_kind: self.actor.kind(),
            actor_id: clean_text(&self.actor.id()),
            actor_name: clean_text(&self.actor.display()),
            door: self.door.as_str(),
            action,
            resource: clean_text(resource),
            version: None,
            outcome: Outcome::Allow,
            reason: "",
            policy: None,
            rule: None,
            client: self.origin.client.map(|address| address.to_string()),
            user_agent: self.origin.user_agent.as_deref().map(clean_user_agent),
            origin_uid: resource_origin.map(|origin| clean_text(&origin.uid)),
            origin_generation: resource_origin.map(|origin| origin.generation),
        }
    }

    /// What the commit of this operation has to confirm about who asks.
    pub(super) fn confirm(&self) -> Confirm {
        Confirm {
            bearer: self.bearer(),
            ..Confirm::default()
        }
    }

    /// The session behind this operation.
    #[must_use]
    pub fn session(&self) -> Option<uuid::Uuid> {
        match &self.credential {
            Credential::Session(session) => Some(session.id),
            Credential::ApiKey { .. } | Credential::Own => None,
        }
    }

    /// What has to hold of the actor's credential for this operation to stand, if it goes by the actor's role alone.
    pub(super) fn bearer(&self) -> Bearer {
        Bearer {
            session: self.session(),
            session_revision: None,
            api_key: match &self.credential {
                Credential::ApiKey { id, revision, .. } => Some((*id, *revision)),
                Credential::Session(_) | Credential::Own => None,
            },
        }
    }

    /// The same for what policy decided, which looks at when the session saw a second factor.
    pub(super) fn decided_bearer(&self) -> Bearer {
        Bearer {
            session_revision: self.session_state().map(|state| state.revision),
            ..self.bearer()
        }
    }
}
