//! Which Secrets, namespaces and workloads carry a record.

use jiff::Timestamp;

use super::{ATTEMPTS, Records, busy, not_found};
use crate::domain::audit::{Action, Outcome};
use crate::domain::limits::MAX_PAGE;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::Version;
use crate::service::audit::Verdict;
use crate::service::context::OpContext;
use crate::service::door::SyncedRecord;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::audit::Confirm;
use crate::store::consumers::{ConsumerRow, list};

/// A `VaultSecret` that uses a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// The cluster's prefix.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The `VaultSecret`.
    pub vault_secret: String,
    /// The Secret that it writes.
    pub secret: String,
    /// The versions of the record that the Secret carries: more than one if one is pinned and another is not. Empty while it is being made.
    pub versions: Vec<CarriedVersion>,
    /// When that was last noted.
    pub updated_at: Timestamp,
    /// The workloads that use the Secret, where restarts are asked for and on.
    pub workloads: Vec<ConsumerWorkload>,
}

/// A version that a Secret carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarriedVersion {
    /// The version.
    pub version: Version,
    /// Whether the resource stays at it.
    pub pinned: bool,
}

/// A workload that uses a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerWorkload {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether its pods started with what the Secret holds now.
    pub current: bool,
}

/// A part of the consumers of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumers {
    /// The newest version of the record.
    pub current_version: Version,
    /// In the order of cluster, namespace and name.
    pub items: Vec<Consumer>,
    /// Where the next part begins; absent at the end.
    pub next: Option<String>,
}

impl Records<'_> {
    /// Lists who carries a record. Needs `list` on it.
    ///
    /// # Errors
    /// As [`Records::read`].
    pub async fn consumers(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        limit: u32,
        after: Option<&str>,
    ) -> Result<Consumers> {
        for _ in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let decision = ruling.decide(ctx, Capability::List, path, &self.vault.metrics);
            let action = Action::RecordConsumers;
            if !decision.is_allowed() {
                let refusal = self.refuse(ctx, action, path.as_str(), Capability::List, &decision, ruling.epoch);
                match refusal.await? {
                    Some(refusal) => return Err(refusal),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            }
            let entry = ctx.entry(action, path.as_str()).decided(&decision);
            let Some(record) = self.current(path).await? else {
                let entry = entry.ended(Outcome::Fail, Reason::PathNotFound.as_str());
                match self.confirm(ctx, entry, None, ruling.epoch, not_found()).await? {
                    Some(error) => return Err(error),
                    None => self.catch_up(ctx, Some(path)).await?,
                }
                continue;
            };
            let limit = limit.clamp(1, MAX_PAGE);
            let rows = list(&self.vault.pool, path, after.unwrap_or_default(), i64::from(limit))
                .await
                .map_err(store_failed)?;
            let items = gathered(path, rows)?;
            let full = u32::try_from(items.len()).is_ok_and(|length| length >= limit);
            let last = items.last().filter(|_| full);
            let next = last.map(|it| format!("{}/{}/{}", it.cluster, it.namespace, it.vault_secret));
            let confirm = Confirm {
                record: Some((record.id, record.revision)),
                bearer: ctx.decided_bearer(),
                policy_epoch: Some(ruling.epoch),
                ..Confirm::default()
            };
            match self.vault.audit.commit(entry, confirm).await? {
                Verdict::Confirmed => {
                    return Ok(Consumers {
                        current_version: record.current_version,
                        items,
                        next,
                    });
                }
                Verdict::Stale => self.catch_up(ctx, Some(path)).await?,
            }
        }
        Err(busy())
    }
}

/// One item for each `VaultSecret`, of a row for each of its workloads.
fn gathered(path: &RecordPath, rows: Vec<ConsumerRow>) -> Result<Vec<Consumer>> {
    let mut items: Vec<Consumer> = Vec::new();
    for row in rows {
        let workload = row.workload.map(|(kind, name)| ConsumerWorkload {
            kind,
            name,
            current: row.current,
        });
        let same = items
            .last_mut()
            .filter(|it| it.cluster == row.cluster && it.namespace == row.namespace && it.vault_secret == row.name);
        if let Some(item) = same {
            item.workloads.extend(workload);
            continue;
        }
        let records: Vec<SyncedRecord> = serde_json::from_value(row.records).map_err(Error::internal)?;
        let mut versions: Vec<CarriedVersion> = Vec::new();
        for record in records.into_iter().filter(|record| record.path == *path) {
            let carried = CarriedVersion {
                version: record.version,
                pinned: record.pinned,
            };
            if !versions.contains(&carried) {
                versions.push(carried);
            }
        }
        items.push(Consumer {
            cluster: row.cluster,
            namespace: row.namespace,
            vault_secret: row.name,
            secret: row.secret,
            versions,
            updated_at: row.updated_at,
            workloads: workload.into_iter().collect(),
        });
    }
    Ok(items)
}
