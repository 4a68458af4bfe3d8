//! Use cases on policies: reading and writing them, explaining decisions, previewing changes.
//!
//! Administration goes by role, never by path rules: a `deny **` for everyone cannot lock administrators out.

mod access_report;
mod explain;
mod people;
pub(super) mod preview;
mod read;
mod write;

use jiff::Timestamp;

pub use crate::store::reports::{LoneFactor, OldRecord};
pub use access_report::{AccessReport, Grant, Holder, ReportScope};
pub use explain::{Asked, Explanation, Who};
pub use preview::{Preview, PreviewedActor, PreviewedChange, PreviewedConflict};
pub use read::PolicyPage;
pub(super) use read::canonical as canonical_policy_name;

use super::Vault;
use super::audit::Verdict;
use super::context::OpContext;
use super::error::{Error, Reason, Result};
use crate::domain::audit::{Action, AuditEntry, Outcome};
use crate::domain::policy::{PolicyDocument, Problem};
use crate::store::audit::Confirm;
use crate::store::rest_policies::PolicyRecord;

/// How often an operation is decided anew before the caller is asked to try later.
const ATTEMPTS: usize = 8;

/// Use cases on policies.
pub struct Policies<'v> {
    vault: &'v Vault,
}

/// A policy as it is shown.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its full name: `team-a`, or `k8s/shop/allow-ca` for a resource.
    pub name: String,
    /// Prefix of the cluster whose resource it is; absent for one that was written by REST.
    pub cluster: Option<String>,
    /// Rises with each write.
    pub generation: i64,
    /// What it may reach at most; empty for everything.
    pub scope: String,
    /// Subjects and rules; absent if this release cannot read them, and then its scope is closed.
    pub document: Option<PolicyDocument>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written: the names in it mean who bore them then.
    pub updated_at: Timestamp,
    /// When recovery disabled it: it counts for nothing.
    pub disabled_at: Option<Timestamp>,
}

impl From<PolicyRecord> for Policy {
    fn from(record: PolicyRecord) -> Self {
        Self {
            name: record.name,
            cluster: record.cluster,
            generation: record.generation,
            scope: record.scope,
            document: serde_json::from_value(record.document).ok(),
            created_at: record.created_at,
            updated_at: record.updated_at,
            disabled_at: record.disabled_at,
        }
    }
}

impl<'v> Policies<'v> {
    pub(super) fn new(vault: &'v Vault) -> Self {
        Self { vault }
    }

    /// Lets whoever may go on; commits the entry of a refusal.
    async fn require(&self, ctx: &OpContext, may: Result<()>, action: Action, resource: &str) -> Result<()> {
        match may {
            Ok(()) => Ok(()),
            Err(refusal) => self.refused(ctx, action, resource, refusal).await,
        }
    }

    /// Commits the entry of a refusal, and answers the refusal.
    async fn refused<T>(&self, ctx: &OpContext, action: Action, resource: &str, error: Error) -> Result<T> {
        let entry = ctx
            .entry(action, resource)
            .ended(Outcome::Deny, error.reason().as_str());
        self.confirm(ctx, &entry, None).await?;
        Err(error)
    }

    /// Commits the entry of an operation that failed, and answers the failure.
    async fn failed<T>(&self, ctx: &OpContext, action: Action, resource: &str, error: Error) -> Result<T> {
        let entry = ctx
            .entry(action, resource)
            .ended(Outcome::Fail, error.reason().as_str());
        self.confirm(ctx, &entry, None).await?;
        Err(error)
    }

    /// Commits an entry; with an epoch, answers whether it is still the one in force.
    async fn confirm(&self, ctx: &OpContext, entry: &AuditEntry, epoch: Option<i64>) -> Result<Verdict> {
        for _ in 0..ATTEMPTS {
            let confirm = Confirm {
                policy_epoch: epoch,
                ..ctx.confirm()
            };
            if self.vault.audit.commit(entry.clone(), confirm).await? == Verdict::Confirmed {
                return Ok(Verdict::Confirmed);
            }
            self.vault.auth().still_in_force(ctx).await?;
            if epoch.is_some() {
                self.vault.authority.refresh().await?;
                return Ok(Verdict::Stale);
            }
        }
        Err(busy())
    }
}

fn busy() -> Error {
    Error::new(
        Reason::Busy,
        "policies are changing faster than they can be read or written; try again shortly",
    )
}

fn not_found() -> Error {
    Error::new(
        Reason::PolicyNotFound,
        "there is no policy of this name; GET /api/v1/policies lists them",
    )
}

fn told(reason: Reason, problems: &[Problem]) -> Error {
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Error::new(reason, problems.join("; "))
}
