//! Verification of the log as it stands, and its export: the same sequence of items, read under one snapshot.

use std::collections::{BTreeMap, BTreeSet};

use super::AuditLog;
use crate::crypto::audit_key::AuditPublicKeys;
use crate::domain::audit::Action;
use crate::domain::audit::chain::{Block, Checkpoint, Leaves, to_hex};
use crate::domain::audit::merkle;
use crate::domain::audit::proof::Proof;
use crate::domain::audit::query::AuditCursor;
use crate::domain::audit::report::{Item, Report, Verdict};
use crate::domain::audit::verify::Verifier;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::service::maintenance::process_context;
use crate::store::{self, Tx, audit, audit_blocks, audit_rows};

/// Blocks that are read at a time.
const BLOCKS: i64 = 200;
/// Entries that are read at a time, about; and at once of those that no block has.
const ENTRIES: i64 = 5_000;

impl AuditLog<'_> {
    /// Verifies the whole log, against a checkpoint if there is one. For commands; the verdict becomes an entry of the log.
    ///
    /// # Errors
    /// Those of the store: then nothing can be told.
    pub async fn verify(&self, checkpoint: Option<Checkpoint>) -> Result<Report> {
        let check = self.check();
        let mut verifier = Verifier::new(&*check, checkpoint);
        self.each_item(&mut |item| {
            verifier.feed(item);
            Ok(())
        })
        .await?;
        let report = verifier.finish();
        drop(check);
        let verdict = match report.verdict {
            Verdict::Intact => "intact",
            Verdict::Tampered => "tampered",
            Verdict::CannotTell => "cannot_tell",
        };
        self.vault
            .metrics
            .audit_verifications
            .with_label_values(&[verdict])
            .inc();
        if report.verdict == Verdict::Tampered {
            tracing::error!(
                found = report.found,
                "the audit log was tampered with; 'aether-vault audit verify' names each entry and block"
            );
        }
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let ctx = process_context(self.vault.clock.now());
        audit::insert(&mut tx, &ctx.entry(Action::AuditVerify, verdict))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        Ok(report)
    }

    /// Gives the whole log to `take`, item by item, as a verification and an export see it. Memory holds a few thousand entries at a time.
    ///
    /// # Errors
    /// Those of the store, and of `take`.
    pub async fn each_item(&self, take: &mut (dyn FnMut(Item) -> Result<()> + Send)) -> Result<()> {
        let mut tx = audit_blocks::reader(&self.vault.pool).await.map_err(store_failed)?;
        let dropped = audit_blocks::dropped_days(&mut *tx).await.map_err(store_failed)?;
        take(Item::Begin { format: 1, dropped })?;
        let (mut height, mut count) = (0, 0);
        loop {
            let blocks = audit_blocks::above(&mut *tx, height, BLOCKS)
                .await
                .map_err(store_failed)?;
            let Some((last, _)) = blocks.last() else { break };
            height = last.header.height;
            count += blocks.len() as u64;
            let mut group: Vec<(Block, Option<Leaves>)> = Vec::new();
            for block in blocks {
                let full = group.iter().map(|(block, _)| block.header.entries).sum::<i64>() >= ENTRIES;
                if full
                    || group
                        .first()
                        .is_some_and(|(first, _)| first.header.day != block.0.header.day)
                {
                    give_group(&mut tx, std::mem::take(&mut group), take).await?;
                }
                group.push(block);
            }
            give_group(&mut tx, group, take).await?;
        }
        if let Some((first, last)) = audit_rows::days(&mut *tx).await.map_err(store_failed)? {
            for day in first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last) {
                let mut after = None;
                loop {
                    let entries = audit_rows::without_block(&mut *tx, day, after, ENTRIES)
                        .await
                        .map_err(store_failed)?;
                    let Some((_, last)) = entries.last() else { break };
                    after = Some(AuditCursor {
                        at: last.at,
                        id: last.id,
                    });
                    for (xid, entry) in entries {
                        take(Item::Unsealed { xid, entry })?;
                    }
                }
            }
        }
        store::commit(tx).await.map_err(store_failed)?;
        take(Item::End { blocks: count })
    }

    /// Shows that an entry was sealed. For auditors and administrators.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::AuditEntryNotFound`], [`Reason::NotSealed`], [`Reason::SessionEnded`], and those of the store.
    pub async fn prove(&self, ctx: &OpContext, id: i64) -> Result<Proof> {
        let resource = id.to_string();
        self.require_auditor(ctx, Action::AuditProve, &resource).await?;
        self.vault.looked(ctx, ctx.entry(Action::AuditProve, &resource)).await?;
        self.proof(id).await
    }

    /// The same for commands.
    ///
    /// # Errors
    /// [`Reason::AuditEntryNotFound`], [`Reason::NotSealed`], and those of the store.
    pub async fn proof(&self, id: i64) -> Result<Proof> {
        let pool = &self.vault.pool;
        let entry = audit_rows::one(pool, id).await.map_err(store_failed)?.ok_or_else(|| {
            Error::new(
                Reason::AuditEntryNotFound,
                "there is no audit entry with this number, or retention has dropped its day",
            )
        })?;
        let found = audit_blocks::of_entry(pool, entry.at, id).await.map_err(store_failed)?;
        let Some((block, leaves)) = found else {
            return Err(Error::new(
                Reason::NotSealed,
                "the entry is not sealed yet; try again in a second or two. If it stays so, verify the log",
            ));
        };
        let index = leaves.ids.iter().position(|found| *found == id).unwrap_or_default();
        let path = merkle::path(&leaves.hashes, index).unwrap_or_default();
        let public_key = self
            .public_keys()
            .get(&block.header.kid)
            .map(to_hex)
            .unwrap_or_default();
        Ok(Proof {
            entry,
            block,
            index: index as u64,
            path: path.iter().map(|hash| to_hex(hash)).collect(),
            public_key,
        })
    }
}

/// Verifies an export, away from any database, by keys that are trusted.
///
/// # Errors
/// Whatever reading gives.
pub fn verify_export<E>(
    keys: &AuditPublicKeys,
    checkpoint: Option<Checkpoint>,
    items: impl Iterator<Item = Result<Item, E>>,
) -> Result<Report, E> {
    let check = |kid: &str, message: &[u8], signature: &[u8]| keys.check(kid, message, signature);
    let mut verifier = Verifier::new(&check, checkpoint);
    for item in items {
        verifier.feed(item?);
    }
    Ok(verifier.finish())
}

/// Gives blocks of one day, each followed by its entries.
async fn give_group(
    tx: &mut Tx<'_>,
    group: Vec<(Block, Option<Leaves>)>,
    take: &mut (dyn FnMut(Item) -> Result<()> + Send),
) -> Result<()> {
    let ids: Vec<i64> = group
        .iter()
        .filter_map(|(_, leaves)| leaves.as_ref())
        .flat_map(|leaves| leaves.ids.iter().copied())
        .collect();
    let from = group.iter().map(|(block, _)| block.header.first_at).min();
    let to = group.iter().map(|(block, _)| block.header.last_at).max();
    let mut found: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    let mut note = |entries: Vec<crate::domain::audit::leaf::StoredEntry>| {
        for entry in entries {
            found.entry(entry.id).or_default().push(entry);
        }
    };
    if !ids.is_empty() {
        note(
            audit_rows::with_ids(&mut **tx, &ids, from, to)
                .await
                .map_err(store_failed)?,
        );
    }
    // An entry whose time was changed is not where its block says; it is looked for everywhere before it counts as gone.
    let missing: BTreeSet<i64> = ids.iter().copied().filter(|id| !found.contains_key(id)).collect();
    if !missing.is_empty() {
        let missing: Vec<i64> = missing.into_iter().collect();
        for entry in audit_rows::with_ids(&mut **tx, &missing, None, None)
            .await
            .map_err(store_failed)?
        {
            found.entry(entry.id).or_default().push(entry);
        }
    }
    for (block, leaves) in group {
        let ids = leaves.as_ref().map(|leaves| leaves.ids.clone()).unwrap_or_default();
        take(Item::block(block, leaves))?;
        for id in ids {
            for entry in found.remove(&id).unwrap_or_default() {
                take(Item::Entry { entry })?;
            }
        }
    }
    Ok(())
}
