//! Reading many records in one call: each is authorised and audited on its own, all are confirmed in one round trip.

use std::sync::Arc;

use super::{ATTEMPTS, ReadRecord, Records, busy, not_found};
use crate::domain::audit::{Action, AuditEntry, Outcome};
use crate::domain::limits::MAX_BATCH_BYTES;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::Version;
use crate::service::audit::{AuditCommitter, Verdict};
use crate::service::authority::{Ruling, denied};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::audit::Confirm;
use crate::store::records::{StoredRecord, fetch_many};

type Asked = (RecordPath, Option<Version>);
type Answer = Result<ReadRecord>;

impl Records<'_> {
    /// Reads many records, each as [`Records::read`] would: an error of one is no error of the others. Needs `read` on each.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] if what may be read is more than [`MAX_BATCH_BYTES`], [`Reason::SessionEnded`], and those of the store.
    pub async fn read_many(&self, ctx: &OpContext, asked: &[Asked]) -> Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = asked.iter().map(|_| None).collect();
        for _ in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let open: Vec<usize> = (0..asked.len()).filter(|n| answers[*n].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let found = self.find_many(ctx, asked, &open, &ruling).await?;
            let mut entries = Vec::with_capacity(open.len());
            let mut outcomes = Vec::with_capacity(open.len());
            for (n, found) in open.iter().zip(found) {
                let (entry, confirm, outcome) = self.answer_one(ctx, &asked[*n], found, &ruling).await;
                entries.push((entry, confirm));
                outcomes.push((*n, outcome));
            }
            let verdicts = AuditCommitter::commit_together(&self.vault.pool, &entries, &self.vault.metrics).await?;
            let mut stale = false;
            for ((n, outcome), verdict) in outcomes.into_iter().zip(verdicts) {
                match verdict {
                    Verdict::Confirmed => answers[n] = Some(outcome),
                    Verdict::Stale => {
                        stale = true;
                        self.vault.cache.forget(&asked[n].0);
                    }
                }
            }
            if stale {
                self.catch_up(ctx, None).await?;
            }
        }
        Ok(answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(busy())))
            .collect())
    }

    /// What is stored of those that may be read, from memory or in one round trip.
    async fn find_many(
        &self,
        ctx: &OpContext,
        asked: &[Asked],
        open: &[usize],
        ruling: &Ruling,
    ) -> Result<Vec<Option<Arc<StoredRecord>>>> {
        let mut found: Vec<Option<Arc<StoredRecord>>> = vec![None; open.len()];
        let mut missing = Vec::new();
        for (at, n) in open.iter().enumerate() {
            let (path, version) = &asked[*n];
            // Decided, and counted, when the answer is made.
            let decision = ruling
                .snapshot
                .decide(ctx.actor(), Capability::Read, path, &ctx.circumstances());
            if !decision.is_allowed() {
                continue;
            }
            found[at] = if version.is_none() {
                self.vault.cache.get(path)
            } else {
                None
            };
            if found[at].is_none() {
                missing.push((at, (path, *version)));
            }
        }
        if !missing.is_empty() {
            let refs: Vec<_> = missing.iter().map(|(_, reference)| *reference).collect();
            for (m, record) in fetch_many(&self.vault.pool, &refs).await.map_err(store_failed)? {
                let Some((at, (path, version))) = missing.get(m) else {
                    continue;
                };
                let record = Arc::new(record);
                if version.is_none() {
                    self.vault.cache.insert((*path).clone(), Arc::clone(&record));
                }
                found[*at] = Some(record);
            }
        }
        let sealed =
            |record: &Arc<StoredRecord>| record.version.as_ref()?.sealed.as_ref().map(|(_, bytes)| bytes.len());
        let bytes: usize = found.iter().flatten().filter_map(sealed).sum();
        if bytes > MAX_BATCH_BYTES {
            let message =
                format!("these records hold more than {MAX_BATCH_BYTES} bytes together; read fewer in one call");
            return Err(Error::new(Reason::TooLarge, message));
        }
        Ok(found)
    }

    async fn answer_one(
        &self,
        ctx: &OpContext,
        (path, version): &Asked,
        found: Option<Arc<StoredRecord>>,
        ruling: &Ruling,
    ) -> (AuditEntry, Confirm, Answer) {
        let decision = ruling.decide(ctx, Capability::Read, path, &self.vault.metrics);
        let entry = ctx.entry(Action::RecordRead, path.as_str()).decided(&decision);
        let confirm = Confirm {
            bearer: ctx.decided_bearer(),
            policy_epoch: Some(ruling.epoch),
            ..Confirm::default()
        };
        if !decision.is_allowed() {
            let refusal = denied(&decision, Capability::Read);
            return (
                entry.ended(Outcome::Deny, refusal.reason().as_str()),
                confirm,
                Err(refusal),
            );
        }
        let confirm = Confirm {
            record: found.as_ref().map(|record| (record.id, record.revision)),
            ..confirm
        };
        let opened = match &found {
            None => Err(not_found()),
            Some(record) => self.open(path, record, *version, ruling).await,
        };
        match opened {
            Ok(read) => {
                let confirm = Confirm {
                    until: read.until,
                    ..confirm
                };
                (entry.version(read.version.number()), confirm, Ok(read))
            }
            Err(error) => (entry.ended(Outcome::Fail, error.reason().as_str()), confirm, Err(error)),
        }
    }
}
