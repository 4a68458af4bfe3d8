//! The audit log as a whole: sealing, verification, queries, export, retention. Entries are written by `service::audit` and by the use cases
//! themselves.

mod checkpoint;
mod keys;
mod query;
mod retention;
mod seal;
mod verify;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

pub(super) use keys::AuditKeys;
pub use query::EntryPage;
pub use seal::Sealed;
pub use verify::verify_export;

use super::Vault;
use super::context::OpContext;
use super::error::Result;
use super::sinks::Sink;
use crate::crypto::audit_key::AuditPublicKeys;
use crate::domain::audit::daily::Bursts;
use crate::domain::audit::report::Check;
use crate::domain::audit::{Action, Outcome};

/// How the log is kept, and where it is sent.
#[derive(Clone, Default)]
pub struct AuditSettings {
    /// Where the newest checkpoint is written.
    pub checkpoint_file: Option<PathBuf>,
    /// For how many days entries are kept; nothing is for ever.
    pub retention_days: Option<u32>,
    /// How often the whole log is verified; nothing is never.
    pub verify_every: Option<Duration>,
    /// Where entries are sent; by the settings alone (R25).
    pub sinks: Vec<Arc<dyn Sink>>,
}

/// What a process remembers of the log that it seals.
#[derive(Default)]
pub(super) struct AuditState {
    pub(super) settings: AuditSettings,
    /// When the last checkpoint left.
    pub(super) checkpointed_at: Mutex<Option<Timestamp>>,
    pub(super) bursts: Mutex<Bursts>,
}

impl AuditState {
    pub(super) fn new(settings: AuditSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }
}

/// Use cases on the audit log.
pub struct AuditLog<'v> {
    vault: &'v Vault,
}

impl<'v> AuditLog<'v> {
    pub(super) fn new(vault: &'v Vault) -> Self {
        Self { vault }
    }

    /// The keys that sign the log, to be kept where the log is not.
    #[must_use]
    pub fn public_keys(&self) -> &AuditPublicKeys {
        &self.vault.audit_keys.public
    }

    fn check(&self) -> Box<Check<'_>> {
        let keys = &self.vault.audit_keys.public;
        Box::new(move |kid, message, signature| keys.check(kid, message, signature))
    }

    /// Lets auditors and administrators pass; the refusal of anybody else is committed first.
    async fn require_auditor(&self, ctx: &OpContext, action: Action, resource: &str) -> Result<()> {
        let Err(refusal) = ctx.auditor() else { return Ok(()) };
        let entry = ctx
            .entry(action, resource)
            .ended(Outcome::Deny, refusal.reason().as_str());
        self.vault.looked(ctx, entry).await?;
        Err(refusal)
    }
}
