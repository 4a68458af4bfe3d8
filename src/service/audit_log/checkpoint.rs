//! Checkpoints: how far the log had come, told to somebody who does not depend on the database.

use std::io::Write as _;
use std::path::Path;
use std::sync::PoisonError;

use jiff::SignedDuration;

use super::AuditLog;
use crate::domain::audit::Action;
use crate::domain::audit::chain::{Block, Checkpoint, to_hex};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::audit_blocks;

/// How often checkpoints leave, at most.
const EVERY: SignedDuration = SignedDuration::from_mins(1);

impl AuditLog<'_> {
    /// The newest checkpoint.
    ///
    /// # Errors
    /// [`Reason::NotSealed`] if there is no block yet, and those of the store.
    pub async fn checkpoint(&self) -> Result<Checkpoint> {
        let tip = audit_blocks::tip(&self.vault.pool).await.map_err(store_failed)?;
        let found = audit_blocks::above(&self.vault.pool, tip.height - 1, 1)
            .await
            .map_err(store_failed)?;
        let block = found.into_iter().next().map(|(block, _)| block);
        block.map(|block| self.checkpoint_of(&block)).ok_or_else(|| {
            Error::new(
                Reason::NotSealed,
                "nothing is sealed yet; the first block comes a second after the first entry",
            )
        })
    }

    /// The same for auditors and administrators.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::SessionEnded`], and as [`AuditLog::checkpoint`].
    pub async fn checkpoint_for(&self, ctx: &OpContext) -> Result<Checkpoint> {
        self.require_auditor(ctx, Action::AuditProve, "checkpoint").await?;
        self.vault
            .looked(ctx, ctx.entry(Action::AuditProve, "checkpoint"))
            .await?;
        self.checkpoint().await
    }

    fn checkpoint_of(&self, block: &Block) -> Checkpoint {
        let key = &self.vault.audit_keys.signing;
        let (height, total) = (block.header.height, block.header.total);
        Checkpoint {
            height,
            hash: block.hash,
            total,
            sealed_at: block.header.sealed_at,
            kid: key.kid().to_owned(),
            public_key: key.public(),
            signature: key.sign(&Checkpoint::signed(height, &block.hash, total)),
        }
    }

    /// Tells the log of the process, and the checkpoint's file, how far the audit log has come; now and then.
    pub(super) async fn send_checkpoint(&self, block: &Block) {
        let state = &self.vault.audit_state;
        {
            let now = self.vault.clock.now();
            let mut last = state.checkpointed_at.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| now.duration_since(last) < EVERY) {
                return;
            }
            *last = Some(now);
        }
        let checkpoint = self.checkpoint_of(block);
        tracing::info!(
            height = checkpoint.height,
            total = checkpoint.total,
            hash = to_hex(&checkpoint.hash),
            kid = checkpoint.kid,
            signature = to_hex(&checkpoint.signature),
            "audit checkpoint"
        );
        let Some(file) = state.settings.checkpoint_file.clone() else {
            return;
        };
        let written = tokio::task::spawn_blocking(move || {
            let text = serde_json::to_vec(&checkpoint)?;
            write_whole(&file, &text)
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the audit checkpoint cannot be written; set audit.checkpoint_file to a file that can");
            }
            Err(_) => tracing::error!("writing the audit checkpoint panicked"),
        }
    }
}

/// Replaces a file; readers see the old or the new text, never a part.
fn write_whole(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let mut open = std::fs::File::create(&partial)?;
    open.write_all(text)?;
    open.write_all(b"\n")?;
    open.sync_all()?;
    std::fs::rename(&partial, file)
}
