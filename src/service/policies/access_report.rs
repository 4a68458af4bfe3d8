//! The compliance report: who may do what, which grants nobody uses, which secrets grow old, which accounts have one factor only.

use jiff::Timestamp;

use super::Policies;
use super::people;
use crate::domain::actor::Actor;
use crate::domain::audit::Action;
use crate::domain::path::RecordPath;
use crate::domain::policy::{Capability, Effect, Subject};
use crate::service::authority;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::access_daily;
use crate::store::reports::{self, LoneFactor, OldRecord};

/// Items of each part of a report.
const ITEMS: i64 = 1000;
/// Actors of each kind that are looked at for a path.
const ACTORS: usize = 5000;
/// Days that a report may look back: sums of access are kept for 400.
const MAX_DAYS: u32 = 400;

/// What a report is about.
#[derive(Debug, Clone)]
pub struct ReportScope {
    /// A path, to be told who may do what with it.
    pub path: Option<RecordPath>,
    /// What was not used for so many days is unused, and what was not written for so many is old.
    pub days: u32,
}

/// A rule that allows something, and when it last did.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The policy.
    pub policy: String,
    /// The rule within it, from 0.
    pub rule: usize,
    /// Whom it concerns.
    pub subjects: Vec<Subject>,
    /// Its paths.
    pub paths: Vec<String>,
    /// What it allows there.
    pub capabilities: Vec<Capability>,
    /// When the policy ends.
    pub expires_at: Option<Timestamp>,
    /// Uses within the days.
    pub uses: i64,
    /// The last of them.
    pub last_used_at: Option<Timestamp>,
}

/// Somebody who may do something with the path that was asked about.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Kind of the actor.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub capabilities: Vec<Capability>,
}

/// The report.
#[derive(Debug, Clone)]
pub struct AccessReport {
    /// When it was made.
    pub at: Timestamp,
    /// The days that it looks back.
    pub days: u32,
    /// Rules that allow something, those that nobody used among them.
    pub grants: Vec<Grant>,
    /// Who may do what with the path, if one was asked about.
    pub holders: Option<Vec<Holder>>,
    /// Records that nobody has read within the days.
    pub unread: Vec<OldRecord>,
    /// Records whose current version is older than the days; version 1 was never rotated.
    pub unrotated: Vec<OldRecord>,
    /// Accounts of people that a password alone opens.
    pub lone_factor: Vec<LoneFactor>,
    /// Whether a part was cut off, for it has more items than a report holds.
    pub cut: bool,
}

impl Policies<'_> {
    /// Makes the report. For administrators and auditors.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::InvalidRequest`], [`Reason::SessionEnded`], and those of the store.
    pub async fn access_report(&self, ctx: &OpContext, scope: &ReportScope) -> Result<AccessReport> {
        let resource = scope.path.as_ref().map(RecordPath::as_str).unwrap_or_default();
        self.require(ctx, ctx.auditor(), Action::ReportRead, resource).await?;
        if !(1..=MAX_DAYS).contains(&scope.days) {
            return Err(Error::new(Reason::InvalidRequest, "'days' must be 1 to 400"));
        }
        let days = i32::try_from(scope.days).unwrap_or(i32::MAX);
        let pool = &self.vault.pool;
        let mut grants = self.grants(days).await?;
        let (holders, more) = match &scope.path {
            Some(path) => {
                let (holders, more) = self.holders(ctx, path).await?;
                (Some(holders), more)
            }
            None => (None, false),
        };
        let unread = reports::unread(pool, days, ITEMS).await.map_err(store_failed)?;
        let unrotated = reports::unrotated(pool, days, ITEMS).await.map_err(store_failed)?;
        let lone_factor = reports::lone_factor(pool, ITEMS).await.map_err(store_failed)?;
        let full = |len: usize| i64::try_from(len).unwrap_or(i64::MAX) >= ITEMS;
        let cut = more || full(unread.len()) || full(unrotated.len()) || full(lone_factor.len()) || full(grants.len());
        grants.truncate(usize::try_from(ITEMS).unwrap_or(usize::MAX));
        self.confirm(ctx, &ctx.entry(Action::ReportRead, resource), None)
            .await?;
        Ok(AccessReport {
            at: ctx.now(),
            days: scope.days,
            grants,
            holders,
            unread,
            unrotated,
            lone_factor,
            cut,
        })
    }

    async fn grants(&self, days: i32) -> Result<Vec<Grant>> {
        let (_, policies) = authority::stored(&self.vault.pool).await?;
        let uses = access_daily::rule_uses(&self.vault.pool, days)
            .await
            .map_err(store_failed)?;
        let mut grants = Vec::new();
        for policy in policies {
            let document = policy.document;
            for (rule, allowed) in document.rules.into_iter().enumerate() {
                if allowed.effect != Effect::Allow {
                    continue;
                }
                let used = uses
                    .iter()
                    .find(|used| used.policy == policy.name && usize::try_from(used.rule) == Ok(rule));
                grants.push(Grant {
                    policy: policy.name.clone(),
                    rule,
                    subjects: document.subjects.clone(),
                    paths: allowed.paths,
                    capabilities: allowed.capabilities,
                    expires_at: document.expires_at,
                    uses: used.map_or(0, |used| used.uses),
                    last_used_at: used.map(|used| used.last_at),
                });
            }
        }
        Ok(grants)
    }

    /// Whoever may do anything with a path, as far as the circumstances of this request go; and whether there are more actors than were
    /// looked at.
    async fn holders(&self, ctx: &OpContext, path: &RecordPath) -> Result<(Vec<Holder>, bool)> {
        let (actors, more) = people::everybody(&self.vault.pool, ACTORS).await?;
        let ruling = self.vault.authority.ruling();
        let circumstances = ctx.circumstances();
        let holder = |actor: &Actor| {
            let may = |capability: &Capability| {
                ruling
                    .snapshot
                    .decide(actor, *capability, path, &circumstances)
                    .is_allowed()
            };
            let capabilities: Vec<_> = Capability::ALL.into_iter().filter(may).collect();
            (!capabilities.is_empty()).then(|| Holder {
                kind: actor.kind(),
                id: actor.id(),
                name: actor.display(),
                capabilities,
            })
        };
        let mut holders: Vec<_> = actors.iter().filter_map(holder).collect();
        let items = usize::try_from(ITEMS).unwrap_or(usize::MAX);
        let more = more || holders.len() > items;
        holders.truncate(items);
        Ok((holders, more))
    }
}
