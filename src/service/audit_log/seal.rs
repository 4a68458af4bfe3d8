//! Sealing: whatever is committed and not in a block yet gets into one.
//!
//! Any number of processes may try; the height of a block is unique, and who comes second starts over. Hashing and signing happen outside of
//! any transaction.

use std::sync::PoisonError;

use super::AuditLog;
use crate::domain::audit::Action;
use crate::domain::audit::chain::{Block, Leaves, Tip, plan, signed_block};
use crate::domain::audit::daily;
use crate::domain::audit::leaf::StoredEntry;
use crate::domain::change::SnapshotPoint;
use crate::service::error::Result;
use crate::service::failure::store_failed;
use crate::service::maintenance::process_context;
use crate::store::audit_blocks::Unsealed;
use crate::store::{self, access_daily, audit, audit_blocks};

/// Entries of one pass, about.
const PASS: i64 = 20_000;
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
        for _ in 0..PASSES {
            let tip = audit_blocks::tip(&self.vault.pool).await.map_err(store_failed)?;
            let Some((tip, unsealed)) = self.unsealed(tip).await? else {
                continue;
            };
            if unsealed.entries.is_empty() {
                break;
            }
            let more = unsealed.more;
            let (blocks, entries) = self.seal_pass(&tip, unsealed).await?;
            sealed.blocks += blocks;
            sealed.entries += entries;
            // Where another process was faster, what its block left is still to be sealed.
            if blocks > 0 && !more {
                break;
            }
        }
        Ok(sealed)
    }

    /// What is to be sealed behind `tip`. Where the last block says nothing about this server's transactions, everything is compared.
    /// `None` if another sealer added a block meanwhile.
    async fn unsealed(&self, tip: Tip) -> Result<Option<(Tip, Unsealed)>> {
        let pool = &self.vault.pool;
        if !tip.snapshot.is_nothing() {
            let unsealed = audit_blocks::unsealed(pool, &tip.snapshot, PASS)
                .await
                .map_err(store_failed)?;
            if !tip.snapshot.is_other_server(&unsealed.now) {
                return Ok(Some((tip, unsealed)));
            }
            if !self.record_restore(&tip).await? {
                return Ok(None);
            }
        }
        let mut tx = store::begin(pool).await.map_err(store_failed)?;
        let unsealed = audit_blocks::never_sealed(&mut tx, PASS).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        let snapshot = SnapshotPoint::nothing();
        Ok(Some((Tip { snapshot, ..tip }, unsealed)))
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

    async fn seal_pass(&self, tip: &Tip, unsealed: Unsealed) -> Result<(u64, u64)> {
        let seen = match (unsealed.more, tip.snapshot.is_nothing()) {
            (false, _) => unsealed.now,
            (true, false) => tip.snapshot.advanced(&unsealed.now, unsealed.last_xid + 1),
            // What was read is no range of transactions: until all of it is sealed, nothing counts as seen.
            (true, true) => SnapshotPoint::nothing(),
        };
        let sums = daily::sum(&unsealed.entries);
        self.watch(&unsealed.entries);
        let key = &self.vault.audit_keys.signing;
        let blocks: Vec<(Block, Leaves)> = plan(tip, &seen, unsealed.entries, self.vault.clock.now(), key.kid())
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
