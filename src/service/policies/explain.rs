//! Why something is allowed or not.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{ATTEMPTS, Policies, busy, people};
use crate::domain::actor::Actor;
use crate::domain::audit::Action;
use crate::domain::path::RecordPath;
use crate::domain::policy::{Capability, Circumstances, Decision, Match, canonical_name};
use crate::service::audit::Verdict;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};

/// Whose decision is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The caller.
    Caller,
    /// A user, by name in any spelling.
    User(String),
    /// An API key, by id.
    ApiKey(Uuid),
    /// A service account.
    ServiceAccount {
        /// Prefix of its cluster.
        cluster: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The controller acting for a namespace.
    Namespace {
        /// Prefix of its cluster.
        cluster: String,
        /// Its name.
        name: String,
        /// The labels that it carries.
        labels: BTreeMap<String, String>,
    },
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who wants it.
    pub who: Who,
    /// To do what.
    pub capability: Capability,
    /// With which record. It need not exist.
    pub path: RecordPath,
    /// Under which circumstances; those of the call if absent.
    pub circumstances: Option<Circumstances>,
}

/// A decision, and everything that had a part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Kind and name of who asks, as the audit log has them.
    pub actor: (&'static str, String),
    /// The decision.
    pub decision: Decision,
    /// Every rule that matches, counted or not.
    pub matches: Vec<Match>,
    /// The circumstances that it was decided under.
    pub circumstances: Circumstances,
}

impl Policies<'_> {
    /// Explains a decision: anybody's own; those of others to administrators and auditors.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::InvalidRequest`] if there is no such user or key, [`Reason::SessionEnded`], and those of the
    /// store.
    pub async fn explain(&self, ctx: &OpContext, asked: &Asked) -> Result<Explanation> {
        let path = asked.path.as_str();
        if asked.who != Who::Caller {
            self.require(ctx, ctx.auditor(), Action::PolicyExplain, path).await?;
        }
        for _ in 0..ATTEMPTS {
            let Some(actor) = self.actor(ctx, &asked.who).await? else {
                let message = "there is no such user or API key that may act; send the user's name, or the key's id";
                let error = Error::new(Reason::InvalidRequest, message);
                return self.failed(ctx, Action::PolicyExplain, path, error).await;
            };
            let circumstances = asked.circumstances.unwrap_or_else(|| {
                if asked.who == Who::Caller {
                    ctx.circumstances()
                } else {
                    Circumstances::at(ctx.now())
                }
            });
            let ruling = self.vault.authority.ruling();
            let explanation = Explanation {
                actor: (actor.kind(), actor.display()),
                decision: ruling
                    .snapshot
                    .decide(&actor, asked.capability, &asked.path, &circumstances),
                matches: ruling
                    .snapshot
                    .matching(&actor, asked.capability, &asked.path, &circumstances),
                circumstances,
            };
            let entry = ctx.entry(Action::PolicyExplain, path);
            if self.confirm(ctx, &entry, Some(ruling.epoch)).await? == Verdict::Confirmed {
                return Ok(explanation);
            }
        }
        Err(busy())
    }

    /// What the caller may do at a path, whether or not there is a record: each capability with its decision.
    ///
    /// # Errors
    /// [`Reason::SessionEnded`], and those of the store.
    pub async fn capabilities(&self, ctx: &OpContext, path: &RecordPath) -> Result<Vec<(Capability, Decision)>> {
        for _ in 0..ATTEMPTS {
            let ruling = self.vault.authority.ruling();
            let decide = |capability| {
                let decision = ruling
                    .snapshot
                    .decide(ctx.actor(), capability, path, &ctx.circumstances());
                (capability, decision)
            };
            let decisions = Capability::ALL.into_iter().map(decide).collect();
            let entry = ctx.entry(Action::PolicyExplain, path.as_str());
            if self.confirm(ctx, &entry, Some(ruling.epoch)).await? == Verdict::Confirmed {
                return Ok(decisions);
            }
        }
        Err(busy())
    }

    async fn actor(&self, ctx: &OpContext, who: &Who) -> Result<Option<Actor>> {
        Ok(match who {
            Who::Caller => Some(ctx.actor().clone()),
            Who::User(name) => people::user(&self.vault.pool, &canonical_name(name)).await?,
            Who::ApiKey(id) => people::api_key(&self.vault.pool, *id).await?,
            Who::ServiceAccount {
                cluster,
                namespace,
                name,
            } => Some(Actor::ServiceAccount {
                cluster: cluster.clone(),
                namespace: people::namespace(namespace, BTreeMap::new()),
                name: name.clone(),
                uid: String::new(),
            }),
            Who::Namespace { cluster, name, labels } => Some(Actor::Namespace {
                cluster: cluster.clone(),
                namespace: people::namespace(name, labels.clone()),
            }),
        })
    }
}
