//! Writing and removing policies.
//!
//! All writers of policies take the row of the epoch first, so they come one after another, and each knows that nothing changed since
//! it looked if the epoch is the next one.

use std::sync::Arc;

use super::{ATTEMPTS, Policies, Policy, busy, not_found, told};
use crate::crypto::random;
use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
use crate::domain::policy::{self, PolicyDocument, policy_name};
use crate::domain::record::{Expect, Version};
use crate::service::authority::Ruling;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::{self, Tx, audit, changes, policies, rest_policies};

/// Policies that are written by REST, at most.
const MAX_POLICIES: i64 = 10_000;

impl Policies<'_> {
    /// Writes a policy under check-and-set on its generation. For administrators, who can grant only what they hold (R20). It is in
    /// force in every process at the next call.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`], [`Reason::InvalidPolicy`] with every problem, [`Reason::GrantBeyondOwn`] with what cannot be granted,
    /// [`Reason::CheckAndSetFailed`], [`Reason::ManagedByResource`], [`Reason::SessionEnded`], and those of the store.
    pub async fn put(&self, ctx: &OpContext, name: &str, document: &PolicyDocument, expect: Expect) -> Result<Policy> {
        let name = self.writable(ctx, name, Action::PolicyApply).await?;
        if let Err(problems) = policy::validate(document) {
            let error = told(Reason::InvalidPolicy, &problems);
            return self.failed(ctx, Action::PolicyApply, &name, error).await;
        }
        let stored = serde_json::to_value(document).map_err(Error::internal)?;
        for _ in 0..ATTEMPTS {
            let Some((mut tx, ruling, (current, count))) = self.begin(ctx, &name).await? else {
                continue;
            };
            let generation = match next(expect, current.map(|(_, generation)| generation)) {
                Ok(generation) => generation,
                Err(error) => {
                    drop(tx);
                    return self.failed(ctx, Action::PolicyApply, &name, error).await;
                }
            };
            if current.is_none() && count >= MAX_POLICIES {
                drop(tx);
                let message = format!("there are {MAX_POLICIES} policies already; remove some, or put rules together");
                let error = Error::new(Reason::TooLarge, message);
                return self.failed(ctx, Action::PolicyApply, &name, error).await;
            }
            let granted =
                ruling
                    .snapshot
                    .may_grant(ctx.actor(), document, current.map(|(id, _)| id), &ctx.circumstances());
            if let Err(problems) = granted {
                drop(tx);
                let error = told(Reason::GrantBeyondOwn, &problems);
                return self.refused(ctx, Action::PolicyApply, &name, error).await;
            }
            let id = current.map_or_else(|| random::uuid_v7(ctx.now()), |(id, _)| id);
            let written = rest_policies::put(&mut tx, id, &name, generation, &stored)
                .await
                .map_err(store_failed)?;
            if self.finish(ctx, tx, Action::PolicyApply, &name).await? {
                return Ok(written.into());
            }
        }
        Err(busy())
    }

    /// Removes a policy under check-and-set on its generation. For administrators. Removing one grants nothing by itself, so nobody is
    /// kept from it, also where it denied something to them.
    ///
    /// # Errors
    /// As [`Policies::put`], and [`Reason::PolicyNotFound`].
    pub async fn remove(&self, ctx: &OpContext, name: &str, expect: Expect) -> Result<()> {
        let name = self.writable(ctx, name, Action::PolicyRemove).await?;
        for _ in 0..ATTEMPTS {
            let Some((mut tx, _, (current, _))) = self.begin(ctx, &name).await? else {
                continue;
            };
            let found = match current {
                None => Err(not_found()),
                Some((id, generation)) => next(expect, Some(generation)).map(|_| id),
            };
            let id = match found {
                Ok(id) => id,
                Err(error) => {
                    drop(tx);
                    return self.failed(ctx, Action::PolicyRemove, &name, error).await;
                }
            };
            rest_policies::remove(&mut tx, id).await.map_err(store_failed)?;
            if self.finish(ctx, tx, Action::PolicyRemove, &name).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// The canonical name, if it is one that can be written here by this actor.
    async fn writable(&self, ctx: &OpContext, name: &str, action: Action) -> Result<String> {
        let canonical = policy_name(name);
        // What is no name is not written down.
        let known = canonical.as_deref().unwrap_or_default();
        self.require(ctx, ctx.administrator(), action, known).await?;
        let Some(name) = canonical else {
            let error = if name.split('/').count() == 3 {
                let message = "a policy with '/' in its name is a VaultPolicy resource; change it with kubectl, or where it is kept";
                Error::new(Reason::ManagedByResource, message)
            } else {
                let message = "a policy's name is 1 to 128 lower-case letters, digits, '-', '_' and '.', begins with a letter or a digit, \
                               and is none of the reserved names (admin, administrator, built-in, default, everyone, explain, none, \
                               preview, root, system)";
                Error::new(Reason::InvalidPolicy, message)
            };
            return self.failed(ctx, action, "", error).await;
        };
        Ok(name)
    }

    /// Takes the epoch, and looks up what stands under the name. `None` if this process has to catch up first.
    async fn begin(&self, ctx: &OpContext, name: &str) -> Result<Option<(Tx<'static>, Arc<Ruling>, Known)>> {
        let ruling = self.vault.authority.ruling();
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let epoch = policies::raise_epoch(&mut tx).await.map_err(store_failed)?;
        if epoch != ruling.epoch + 1 {
            drop(tx);
            self.vault.auth().still_in_force(ctx).await?;
            self.vault.authority.refresh().await?;
            return Ok(None);
        }
        let known = rest_policies::current(&mut tx, name).await.map_err(store_failed)?;
        Ok(Some((tx, ruling, known)))
    }

    /// Commits with the audit entry and a row for the others; `false` if the credential has to be looked at again.
    async fn finish(&self, ctx: &OpContext, mut tx: Tx<'static>, action: Action, name: &str) -> Result<bool> {
        let confirmed = audit::insert_confirmed(&mut tx, &ctx.entry(action, name), ctx.confirm()).await;
        if !confirmed.map_err(store_failed)? {
            drop(tx);
            self.vault.auth().still_in_force(ctx).await?;
            return Ok(false);
        }
        changes::insert(&mut tx, ChangeKind::Policy, name)
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        Ok(true)
    }
}

/// Id and generation of the policy, if there is one, and how many there are.
type Known = (Option<(uuid::Uuid, i64)>, i64);

/// The generation that a write makes.
fn next(expect: Expect, current: Option<i64>) -> Result<i64> {
    let current = current.map(Version::new).transpose().map_err(Error::internal)?;
    let failed = |error: crate::domain::record::ExpectError| {
        use crate::domain::record::ExpectError::{Exists, Missing, Moved};
        let message = match error {
            Exists(at) | Moved(at) => {
                format!("the policy is at generation {at}; read it, and write with that as 'cas' or If-Match")
            }
            Missing => "there is no such policy; write with 'cas' 0 to make it".to_owned(),
        };
        Error::new(Reason::CheckAndSetFailed, message)
    };
    Ok(expect.next(current).map_err(failed)?.number())
}
