//! Putting into a record what its resource asks for: generated, sealed or imported.

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::LocalDoor;
use super::making::{Making, Values, invalid};
use super::reads::head_of;
use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{Expect, KeyName, RecordData, Value, VersionState};
use crate::domain::sealed::SealedFor;
use crate::domain::source::{Due, GenerateSource, SourceState, due};
use crate::service::context::OpContext;
use crate::service::door::{Asker, Feed, FeedContent, RecordHead};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::service::records::{Feeder, ReadRecord, Written, managed_by};
use crate::store::{self, audit, changes, record_sources, record_states};

/// How often a write that was overtaken starts again.
const ATTEMPTS: usize = 4;

/// What is to be done with the record.
enum Step {
    /// It is as it should be.
    Nothing,
    /// Its values stay, and what stands beside it changes.
    Mark,
    /// A version is written.
    Write(Values, Action),
}

/// Who feeds which record.
#[derive(Clone, Copy)]
struct Feeding<'a> {
    ctx: &'a OpContext,
    path: &'a RecordPath,
    manager: &'a str,
    /// Whether the resource alone may write the record from now on.
    alone: bool,
    /// Whether there is said to be no record.
    absent: bool,
}

/// A look at the record, and what is to become of it.
struct Look<'a> {
    feeding: Feeding<'a>,
    state: SourceState,
    /// One capability instead of `create` and `update`.
    capability: Option<Capability>,
    read: Option<ReadRecord>,
    step: Step,
}

impl LocalDoor {
    pub(super) async fn feed_record(&self, asker: &Asker, feed: &Feed) -> Result<(RecordHead, bool)> {
        let ctx = self.context(asker).await?;
        let manager = self.manager(&asker.namespace.name, &feed.name);
        let sealed = match &feed.content {
            FeedContent::Sealed(keys) => Some(self.open_sealed(asker, &feed.name, keys).await?),
            FeedContent::Generate(_) | FeedContent::Import { .. } => None,
        };
        for attempt in 0..ATTEMPTS {
            let feeding = Feeding {
                ctx: &ctx,
                path: &feed.path,
                manager: &manager,
                alone: feed.content.manages(),
                absent: feed.absent && attempt == 0,
            };
            let look = match &feed.content {
                FeedContent::Generate(source) => {
                    self.look_at_generated(feeding, source, feed.rotate_now.as_deref())
                        .await?
                }
                FeedContent::Sealed(_) => {
                    self.look_at_fed(feeding, sealed.as_ref().map(copy).unwrap_or_default())
                        .await?
                }
                FeedContent::Import { data, .. } => self.look_at_fed(feeding, copy(data)).await?,
            };
            match self.carry_out(look).await {
                Ok(Some(done)) => return Ok(done),
                // Somebody wrote in between: what is there now counts.
                Ok(None) => {}
                Err(error) if error.reason() == Reason::CheckAndSetFailed => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            Reason::Busy,
            "the record is being written by somebody else; trying again shortly",
        ))
    }

    pub(super) async fn release_record(&self, asker: &Asker, path: &RecordPath, name: &str) -> Result<bool> {
        let ctx = self.context(asker).await?;
        let manager = self.manager(&asker.namespace.name, name);
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let released = self.release_in(&mut tx, &ctx, &manager, Some(path)).await?;
        store::commit(tx).await.map_err(store_failed)?;
        if released > 0 {
            self.vault.feed.announce();
        }
        Ok(released > 0)
    }

    /// Gives records that a resource fed back to everybody, in a transaction of the caller's; answers how many.
    pub(super) async fn release_in(
        &self,
        tx: &mut store::Tx<'_>,
        ctx: &OpContext,
        manager: &str,
        path: Option<&RecordPath>,
    ) -> Result<usize> {
        let released = record_sources::release(tx, manager, path.map(RecordPath::as_str))
            .await
            .map_err(store_failed)?;
        for path in &released {
            audit::insert(tx, &ctx.entry(Action::RecordRelease, path))
                .await
                .map_err(store_failed)?;
            changes::insert(tx, ChangeKind::Record, path)
                .await
                .map_err(store_failed)?;
            if let Ok(path) = RecordPath::parse(path) {
                self.vault.cache.forget(&path);
            }
        }
        Ok(released.len())
    }

    /// How people know a resource: by what stands in its cluster, not by its uid, so that one that was made again goes on.
    pub(super) fn manager(&self, namespace: &str, name: &str) -> String {
        format!("VaultSecret {}/{namespace}/{name}", self.cluster.prefix)
    }

    async fn look_at_generated<'a>(
        &self,
        feeding: Feeding<'a>,
        source: &GenerateSource,
        rotate_now: Option<&str>,
    ) -> Result<Look<'a>> {
        let ctx = feeding.ctx;
        // Looking is a read: an allowed 'record.generate' in the audit log means that values were made.
        let read = self.read_own(feeding, Capability::Generate).await?;
        let state = state_of(read.as_ref());
        let present = read.as_ref().map(|read| copy(&read.data)).unwrap_or_default();
        let decided = match &read {
            Some(_) => due(source, &state, rotate_now, ctx.now()),
            None => Due {
                begin: source.rotation.is_some(),
                ..Due::default()
            },
        };
        let missing: Vec<KeyName> = source
            .missing(&present)
            .map_err(invalid)?
            .into_iter()
            .cloned()
            .collect();
        let mut making = Making {
            door: self,
            ctx,
            source,
            values: present,
            state,
        };
        making.drop_previous(decided.drop_previous);
        if decided.rotate {
            making.rotate().await?;
        }
        for key in decided.renew.iter().chain(&missing) {
            making.renew(key).await?;
        }
        if decided.begin || decided.rotate {
            making.state.rotated_at = Some(ctx.now());
        }
        if decided.rotate || read.is_none() {
            making.state.rotate_now = rotate_now.map(str::to_owned).or(making.state.rotate_now);
        }
        let action = if missing.is_empty() {
            Action::RecordRotate
        } else {
            Action::RecordGenerate
        };
        let unchanged = missing.is_empty() && !decided.rotate && !decided.drop_previous && decided.renew.is_empty();
        let step = if !unchanged || read.is_none() {
            Step::Write(making.values, action)
        } else if decided.begin || feeding.alone != is_manager(read.as_ref()) {
            Step::Mark
        } else {
            Step::Nothing
        };
        Ok(Look {
            feeding,
            state: making.state,
            capability: Some(Capability::Generate),
            read,
            step,
        })
    }

    /// A record that is to hold exactly these values from now on (`alone`), or that is made of them once.
    async fn look_at_fed<'a>(&self, feeding: Feeding<'a>, wanted: Values) -> Result<Look<'a>> {
        let alone = feeding.alone;
        let read = self.read_own(feeding, Capability::Sync).await?;
        let state = state_of(read.as_ref());
        let same = read.as_ref().is_some_and(|read| {
            read.data.len() == wanted.len()
                && wanted
                    .iter()
                    .all(|(key, value)| read.data.get(key.as_str()) == Some(value))
        });
        let step = match &read {
            Some(_) if !alone && !is_manager(read.as_ref()) => Step::Nothing,
            Some(_) if !alone => Step::Mark,
            Some(_) if same && is_manager(read.as_ref()) => Step::Nothing,
            Some(_) if same => Step::Mark,
            _ => Step::Write(wanted, Action::RecordFeed),
        };
        Ok(Look {
            feeding,
            state,
            capability: None,
            read,
            step,
        })
    }

    /// Reads the record that a resource feeds; `None` if there is none, which is no read: to make it is decided and audited then. One that
    /// was deleted on purpose is not for a resource to bring back.
    async fn read_own(&self, feeding: Feeding<'_>, capability: Capability) -> Result<Option<ReadRecord>> {
        let Feeding {
            ctx,
            path,
            manager,
            absent,
            ..
        } = feeding;
        let records = self.vault.records();
        // Without the right nothing is looked up or made; the read says so.
        let ruling = self.vault.authority.ruling();
        let may = ruling.decide(ctx, capability, path, &self.vault.metrics).is_allowed();
        if may && (absent || !records.is_there(path).await?) {
            return Ok(None);
        }
        let read = records.read_as(ctx, path, None, capability, Action::RecordRead).await;
        match read {
            Ok(read) => match read.managed_by.as_deref() {
                Some(other) if other != manager => Err(managed_by(other)),
                _ => Ok(Some(read)),
            },
            Err(error) if error.reason() == Reason::PathNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Carries a look out; `None` if the record moved on meanwhile.
    async fn carry_out(&self, look: Look<'_>) -> Result<Option<(RecordHead, bool)>> {
        let Feeding {
            ctx,
            path,
            manager,
            alone,
            ..
        } = look.feeding;
        let state = look.state.to_json();
        let feeder = Feeder {
            name: manager,
            alone,
            state: &state,
        };
        match (look.step, &look.read) {
            (Step::Write(values, action), read) => {
                let expect = read
                    .as_ref()
                    .map_or(Expect::Absent, |read| Expect::Current(read.version));
                let data = RecordData::new(values).map_err(|error| Error::new(Reason::TooLarge, error.to_string()))?;
                let records = self.vault.records();
                let written = records
                    .write_fed(ctx, path, &data, expect, look.capability, action, feeder)
                    .await?;
                Ok(Some((head_after(&written, feeder, look.state), true)))
            }
            (Step::Mark, Some(read)) => {
                let head = head_of(read);
                let marked = self.mark(ctx, path, &head, feeder).await?;
                Ok(marked.then(|| {
                    let head = RecordHead {
                        revision: head.revision + 1,
                        managed_by: alone.then(|| Arc::from(manager)),
                        source: Some(Arc::new(look.state)),
                        ..head
                    };
                    (head, false)
                }))
            }
            (_, Some(read)) => Ok(Some((head_of(read), false))),
            (_, None) => Ok(None),
        }
    }

    /// Changes what stands beside a record and leaves its values alone; `false` if the record moved on.
    async fn mark(&self, ctx: &OpContext, path: &RecordPath, head: &RecordHead, feeder: Feeder<'_>) -> Result<bool> {
        let epoch = self.vault.authority.ruling().epoch;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let claimed = record_states::claim(&mut tx, head.id, head.revision, ctx.bearer(), epoch).await;
        if !claimed.map_err(store_failed)? {
            drop(tx);
            self.vault.records().catch_up(ctx, Some(path)).await?;
            return Ok(false);
        }
        record_sources::set(&mut tx, head.id, feeder.columns())
            .await
            .map_err(store_failed)?;
        audit::insert(&mut tx, &ctx.entry(Action::RecordManage, path.as_str()))
            .await
            .map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Record, path.as_str())
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.cache.forget(path);
        self.vault.feed.announce();
        Ok(true)
    }

    /// Opens every sealed value, or tells which do not open.
    async fn open_sealed(&self, asker: &Asker, name: &str, keys: &BTreeMap<KeyName, String>) -> Result<RecordData> {
        let mut values = Values::new();
        let mut faults = Vec::new();
        for (key, sealed) in keys {
            let target = SealedFor {
                cluster: &self.cluster.prefix,
                namespace: &asker.namespace.name,
                name,
                key: key.as_str(),
            };
            match self.vault.open_sealed(&target, sealed).await {
                Ok(bytes) => {
                    values.insert(key.clone(), value_of(bytes));
                }
                Err(error) if error.reason() == Reason::SealedValue => {
                    faults.push(format!("key '{key}': {}", error.message()));
                }
                Err(error) => return Err(error),
            }
        }
        if !faults.is_empty() {
            return Err(Error::new(Reason::SealedValue, faults.join("; ")));
        }
        RecordData::new(values).map_err(|error| Error::new(Reason::TooLarge, error.to_string()))
    }
}

fn head_after(written: &Written, feeder: Feeder<'_>, state: SourceState) -> RecordHead {
    RecordHead {
        id: written.id,
        version: written.version,
        state: VersionState::Live,
        revision: written.revision,
        managed_by: feeder.alone.then(|| Arc::from(feeder.name)),
        source: Some(Arc::new(state)),
    }
}

fn state_of(read: Option<&ReadRecord>) -> SourceState {
    let json = read.and_then(|read| read.source.clone());
    json.map(SourceState::from_json).unwrap_or_default()
}

/// Whoever else feeds a record was refused before.
fn is_manager(read: Option<&ReadRecord>) -> bool {
    read.is_some_and(|read| read.managed_by.is_some())
}

fn copy(data: &RecordData) -> Values {
    data.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Text if it is text, bytes otherwise.
fn value_of(bytes: Zeroizing<Vec<u8>>) -> Value {
    match std::str::from_utf8(&bytes) {
        Ok(text) => Value::text(text),
        Err(_) => Value::Bytes(bytes),
    }
}
