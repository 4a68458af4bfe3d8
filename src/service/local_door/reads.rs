//! Inspecting and reading for a namespace.

use std::sync::Arc;

use super::LocalDoor;
use crate::domain::audit::Action;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{Version, VersionState};
use crate::domain::source::SourceState;
use crate::service::authority::denied;
use crate::service::door::{Asker, Inspection, RecordHead, RecordRef, SyncRecord};
use crate::service::error::{Reason, Result};
use crate::service::failure::store_failed;
use crate::service::records::ReadRecord;
use crate::store::records::{Head, heads};

impl LocalDoor {
    pub(super) async fn inspect_all(&self, asks: &[(Asker, Vec<RecordRef>)]) -> Result<Vec<Result<Vec<Inspection>>>> {
        let ruling = self.vault.authority.ruling();
        let all: Vec<_> = asks
            .iter()
            .flat_map(|(_, refs)| refs.iter().map(|r| (&r.path, r.version)))
            .collect();
        let mut found: Vec<Option<Head>> = vec![None; all.len()];
        if !all.is_empty() {
            for head in heads(&self.vault.pool, &all).await.map_err(store_failed)? {
                let n = head.n;
                if let Some(place) = found.get_mut(n) {
                    *place = Some(head);
                }
            }
        }
        let mut found = found.into_iter();
        let mut answers = Vec::with_capacity(asks.len());
        for (asker, refs) in asks {
            let heads: Vec<Option<Head>> = found.by_ref().take(refs.len()).collect();
            let ctx = match self.context(asker).await {
                Ok(ctx) => ctx,
                Err(error) if error.reason() == Reason::RootOrphaned => {
                    answers.push(Err(error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let inspected = refs.iter().zip(heads).map(|(reference, head)| {
                let decision = ruling.decide(&ctx, Capability::Sync, &reference.path, &self.vault.metrics);
                if !decision.is_allowed() {
                    return Inspection::Denied {
                        because: denied(&decision, Capability::Sync).to_string(),
                    };
                }
                head.map_or(Inspection::Absent, |head| {
                    Inspection::Present(record_head(head, reference))
                })
            });
            answers.push(Ok(inspected.collect()));
        }
        Ok(answers)
    }

    pub(super) async fn read_all(&self, asker: &Asker, refs: &[RecordRef]) -> Result<Vec<Result<SyncRecord>>> {
        let ctx = self.context(asker).await?;
        let records = self.vault.records();
        let reads = refs.iter().map(|reference| {
            records.read_as(
                &ctx,
                &reference.path,
                reference.version,
                Capability::Sync,
                Action::SyncRead,
            )
        });
        // Side by side, so that their audit entries share a batch.
        let outcomes = futures::future::join_all(reads).await;
        Ok(outcomes.into_iter().map(|outcome| outcome.map(sync_record)).collect())
    }

    pub(super) async fn retire_record(&self, asker: &Asker, path: &RecordPath) -> Result<()> {
        let ctx = self.context(asker).await?;
        match self.vault.records().delete(&ctx, path, None).await {
            Err(error) if error.reason() == Reason::PathNotFound => Ok(()),
            done => done,
        }
    }
}

fn record_head(head: Head, reference: &RecordRef) -> RecordHead {
    // A version that is no longer kept reads like one that was destroyed.
    let (version, state) = head
        .version
        .unwrap_or((reference.version.unwrap_or(Version::FIRST), VersionState::Destroyed));
    RecordHead {
        id: head.id,
        version,
        state,
        revision: head.revision,
        managed_by: head.managed_by.map(Arc::from),
        source: head.source.map(SourceState::from_json).map(Arc::new),
    }
}

pub(super) fn head_of(read: &ReadRecord) -> RecordHead {
    RecordHead {
        id: read.id,
        version: read.version,
        state: VersionState::Live,
        revision: read.revision,
        managed_by: read.managed_by.as_deref().map(Arc::from),
        source: read.source.clone().map(SourceState::from_json).map(Arc::new),
    }
}

fn sync_record(read: ReadRecord) -> SyncRecord {
    SyncRecord {
        head: head_of(&read),
        data: read.data,
    }
}
