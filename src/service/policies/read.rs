//! Reading policies.

use super::{Policies, Policy, not_found};
use crate::domain::audit::Action;
use crate::domain::limits::MAX_PAGE;
use crate::domain::policy::policy_name;
use crate::service::context::OpContext;
use crate::service::error::Result;
use crate::service::failure::store_failed;
use crate::store::rest_policies;

/// A part of the list of policies.
#[derive(Debug, Clone)]
pub struct PolicyPage {
    /// The policies, in the order of names.
    pub items: Vec<Policy>,
    /// Where the next page begins; absent at the end.
    pub next: Option<String>,
}

impl Policies<'_> {
    /// A policy by its full name, in any spelling. For administrators and auditors.
    ///
    /// # Errors
    /// [`crate::service::error::Reason::PolicyNotFound`], [`crate::service::error::Reason::RoleRequired`],
    /// [`crate::service::error::Reason::SessionEnded`], and those of the store.
    pub async fn read(&self, ctx: &OpContext, name: &str) -> Result<Policy> {
        let Some(name) = canonical(name) else {
            self.require(ctx, ctx.auditor(), Action::PolicyRead, "").await?;
            return self.failed(ctx, Action::PolicyRead, "", not_found()).await;
        };
        self.require(ctx, ctx.auditor(), Action::PolicyRead, &name).await?;
        match rest_policies::find(&self.vault.pool, &name)
            .await
            .map_err(store_failed)?
        {
            Some(found) => {
                self.confirm(ctx, &ctx.entry(Action::PolicyRead, &name), None).await?;
                Ok(found.into())
            }
            None => self.failed(ctx, Action::PolicyRead, &name, not_found()).await,
        }
    }

    /// Policies in the order of their names, from behind `after`. For administrators and auditors.
    ///
    /// # Errors
    /// As [`Policies::read`].
    pub async fn list(&self, ctx: &OpContext, after: Option<&str>, limit: u32) -> Result<PolicyPage> {
        self.require(ctx, ctx.auditor(), Action::PolicyList, "").await?;
        let limit = i64::from(limit.clamp(1, MAX_PAGE));
        let mut found = rest_policies::page(&self.vault.pool, after.unwrap_or_default(), limit + 1)
            .await
            .map_err(store_failed)?;
        let more = i64::try_from(found.len()).unwrap_or(i64::MAX) > limit;
        if more {
            found.pop();
        }
        let next = found.last().filter(|_| more).map(|last| last.name.clone());
        self.confirm(ctx, &ctx.entry(Action::PolicyList, ""), None).await?;
        Ok(PolicyPage {
            items: found.into_iter().map(Policy::from).collect(),
            next,
        })
    }
}

/// The one spelling of a name that is asked for: of a policy by REST, or `prefix/namespace/name` of a resource, which Kubernetes has
/// in one spelling only.
pub(in crate::service) fn canonical(name: &str) -> Option<String> {
    if let Some(name) = policy_name(name) {
        return Some(name);
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-./".contains(&b);
    (name.len() <= 512 && name.split('/').count() == 3 && name.bytes().all(plain)).then(|| name.to_owned())
}
