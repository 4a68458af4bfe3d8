//! Sealing: whatever is committed and not in a block yet gets into one.
//!
//! Any number of processes may try; the height of a block is unique, and who comes second starts over. Hashing and signing happen outside of
//! any transaction.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::AuditLog;
use crate::domain::audit::Action;
use crate::domain::audit::chain::{Block, Leaves, Tip, signed_block};
use crate::domain::audit::daily::{self, DailyAccess};
use crate::domain::audit::draft::{Draft, plan};
use crate::domain::audit::leaf::StoredEntry;
use crate::domain::change::SnapshotPoint;
use crate::service::error::Result;
use crate::service::failure::store_failed;
use crate::service::maintenance::process_context;
use crate::store::{self, access_daily, audit, audit_blocks};

/// Entries that are read at a time, about.
const PAGE: i64 = 500;
/// The longest pause after a page: the transaction must not look forgotten to the server.
const PAUSE: Duration = Duration::from_millis(100);
/// Entries of one pass, about.
const PASS: usize = 20_000;
/// Passes of one call: whatever is left is for the next.
const PASSES: usize = 500;

/// What sealing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Blocks that were added.
    pub blocks: u64,
    /// Entries in them.
    pub entries: u64,
}

impl AuditLog<'_> {
    /// Seals what is not sealed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn seal(&self) -> Result<Sealed> {
        let mut sealed = Sealed::default();
        let mut behind = false;
        for _ in 0..PASSES {
            let tip = audit_blocks::tip(&self.vault.pool).await.map_err(store_failed)?;
            let Some(gathered) = self.gather(tip, behind).await? else {
                continue;
            };
            if gathered.draft.is_empty() {
                break;
            }
            let more = gathered.more;
            let (blocks, entries) = self.seal_pass(gathered).await?;
            sealed.blocks += blocks;
            sealed.entries += entries;
            // Where another process was faster, what its block left is still to be sealed.
            if blocks > 0 && !more {
                break;
            }
            behind = more;
        }
        Ok(sealed)
    }

    /// What is to be sealed behind `tip`. Where the last block says nothing about this server's transactions, everything is compared.
    /// `None` if another sealer added a block meanwhile.
    ///
    /// Read page by page, and unless sealing is behind, with a pause after each for as long as it took: a second's entries at once would take
    /// the cores for long enough that requests wait.
    async fn gather(&self, tip: Tip, behind: bool) -> Result<Option<Gathered>> {
        let pool = &self.vault.pool;
        if tip.height == 0 {
            // All there is is new, unless it comes from another server.
            if audit_blocks::has_foreign_xids(pool).await.map_err(store_failed)? {
                return self.start_over(tip).await;
            }
        } else if tip.snapshot.is_nothing() {
            return self.compare_all(tip).await.map(Some);
        }
        let mut gathered = Gathered::behind(tip);
        let mut tx = audit_blocks::pages(pool).await.map_err(store_failed)?;
        loop {
            let began = Instant::now();
            let page = audit_blocks::unsealed(&mut tx, &gathered.seen, PAGE)
                .await
                .map_err(store_failed)?;
            if gathered.seen.is_other_server(&page.now) {
                store::commit(tx).await.map_err(store_failed)?;
                return self.start_over(gathered.tip).await;
            }
            self.watch(&page.entries);
            gathered.take(&page.entries);
            if !page.more {
                gathered.seen = page.now;
                break;
            }
            gathered.seen = gathered.seen.advanced(&page.now, page.last_xid + 1);
            if gathered.draft.len() >= PASS {
                gathered.more = true;
                break;
            }
            if !behind {
                tokio::time::sleep(began.elapsed().min(PAUSE)).await;
            }
        }
        store::commit(tx).await.map_err(store_failed)?;
        Ok(Some(gathered))
    }

    /// Goes on behind `tip` on another server than the one before.
    async fn start_over(&self, tip: Tip) -> Result<Option<Gathered>> {
        if !self.record_restore(&tip).await? {
            return Ok(None);
        }
        self.compare_all(tip).await.map(Some)
    }

    /// Entries that no block has.
    async fn compare_all(&self, tip: Tip) -> Result<Gathered> {
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let limit = i64::try_from(PASS).unwrap_or(i64::MAX);
        let page = audit_blocks::never_sealed(&mut tx, limit).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.watch(&page.entries);
        let snapshot = SnapshotPoint::nothing();
        let mut gathered = Gathered::behind(Tip { snapshot, ..tip });
        gathered.take(&page.entries);
        gathered.more = page.more;
        // What was read is no range of transactions: until all of it is sealed, nothing counts as seen.
        if !page.more {
            gathered.seen = page.now;
        }
        Ok(gathered)
    }

    /// Says once in the log that the database is another server; `false` if `tip` is not the last block any more.
    async fn record_restore(&self, tip: &Tip) -> Result<bool> {
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        audit_blocks::lock_restore(&mut tx).await.map_err(store_failed)?;
        // In this order: the block that seals the entry comes with its seal, so that one of the two shows whenever another was faster.
        let recorded = audit_blocks::restore_unsealed(&mut tx).await.map_err(store_failed)?;
        if !audit_blocks::is_last(&mut tx, tip.height).await.map_err(store_failed)? {
            return Ok(false);
        }
        let foreign = audit_blocks::forget_foreign_xids(&mut tx).await.map_err(store_failed)?;
        if !recorded {
            // With this entry there is something to seal, and the block over it says what this server has seen.
            let ctx = process_context(self.vault.clock.now());
            audit::insert(&mut tx, &ctx.entry(Action::AuditRestore, "audit"))
                .await
                .map_err(store_failed)?;
        }
        store::commit(tx).await.map_err(store_failed)?;
        tracing::warn!(
            entries = foreign,
            "the database is not the server that the audit log was sealed on, as after a restore; comparing everything"
        );
        Ok(true)
    }

    async fn seal_pass(&self, gathered: Gathered) -> Result<(u64, u64)> {
        let sums = daily::merged(gathered.sums);
        let key = &self.vault.audit_keys.signing;
        let blocks: Vec<(Block, Leaves)> = plan(
            &gathered.tip,
            &gathered.seen,
            gathered.draft,
            self.vault.clock.now(),
            key.kid(),
        )
        .into_iter()
        .map(|(header, leaves)| {
            let hash = header.hash();
            let signature = key.sign(&signed_block(&hash));
            (
                Block {
                    header,
                    hash,
                    signature,
                },
                leaves,
            )
        })
        .collect();
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        if !audit_blocks::insert(&mut tx, &blocks).await.map_err(store_failed)? {
            // Another process was faster; the next pass sees its block.
            return Ok((0, 0));
        }
        access_daily::add(&mut tx, &sums).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        let entries = blocks
            .iter()
            .map(|(block, _)| block.header.entries.unsigned_abs())
            .sum();
        self.vault.metrics.audit_sealed_entries.inc_by(entries);
        if let Some((block, _)) = blocks.last() {
            self.vault.metrics.audit_height.set(block.header.height);
            self.send_checkpoint(block).await;
        }
        Ok((blocks.len() as u64, entries))
    }

    /// Looks for somebody who tries doors.
    fn watch(&self, entries: &[StoredEntry]) {
        let mut bursts = self
            .vault
            .audit_state
            .bursts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let begun = bursts.take(entries);
        drop(bursts);
        self.vault.metrics.denied_bursts.inc_by(begun);
        for entry in entries {
            let metric = self.vault.metrics.audit_entries.with_label_values(&[&entry.decision]);
            metric.inc_by(entry.count.unsigned_abs());
        }
    }
}

/// What is to be sealed together.
struct Gathered {
    /// The block that it comes behind.
    tip: Tip,
    draft: Draft,
    sums: Vec<DailyAccess>,
    /// What has been seen once it is sealed.
    seen: SnapshotPoint,
    /// Whether there is more to seal.
    more: bool,
}

impl Gathered {
    fn behind(tip: Tip) -> Self {
        Self {
            seen: tip.snapshot.clone(),
            tip,
            draft: Draft::default(),
            sums: Vec::new(),
            more: false,
        }
    }

    fn take(&mut self, entries: &[StoredEntry]) {
        self.sums.extend(daily::sum(entries));
        self.draft.extend(entries);
    }
}
