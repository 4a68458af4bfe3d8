//! Decisions: the policy snapshot in force, and the epoch that it stands for.
//!
//! A decision is made in memory and confirmed by the commit that follows it, so a snapshot that is a moment old costs a repetition,
//! never a wrong answer.

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

use super::context::OpContext;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use super::metrics::Metrics;
use crate::domain::path::{PathPrefix, RecordPath};
use crate::domain::policy::{
    Because, Capability, Decision, Effect, PolicyDocument, PolicySnapshot, Rule, StoredPolicy, Subject,
};
use crate::domain::record::{PathSettings, Retention};
use crate::domain::root::RootPath;
use crate::store::{Pool, clusters, path_settings, policies, roots};

/// Policies, cluster prefixes, shredded roots and settings of prefixes as of one epoch.
pub(super) struct Ruling {
    pub(super) snapshot: PolicySnapshot,
    pub(super) epoch: i64,
    prefixes: BTreeSet<String>,
    shredded: BTreeSet<String>,
    path_settings: PathSettings,
}

impl Ruling {
    /// The root that a path belongs to.
    pub(super) fn root_of(&self, path: &RecordPath) -> Result<RootPath> {
        let root =
            RootPath::of(path, &self.prefixes).map_err(|error| Error::new(Reason::InvalidPath, error.to_string()))?;
        if self.shredded.contains(root.as_str()) {
            let message =
                "this root was shredded: its keys and records are gone for good, and nothing is stored there again";
            return Err(Error::new(Reason::RootShredded, message));
        }
        Ok(root)
    }

    /// What holds for the versions of a record under what its prefixes ask.
    pub(super) fn retention(&self, path: &RecordPath, own: Retention) -> Retention {
        own.within(self.path_settings.of(path))
    }

    /// Decides, and counts the decision.
    pub(super) fn decide(
        &self,
        ctx: &OpContext,
        capability: Capability,
        path: &RecordPath,
        metrics: &Metrics,
    ) -> Decision {
        let decision = self
            .snapshot
            .decide(ctx.actor(), capability, path, &ctx.circumstances());
        let effect = if decision.is_allowed() { "allow" } else { "deny" };
        metrics
            .decisions
            .with_label_values(&[capability.as_str(), effect])
            .inc();
        decision
    }
}

/// Holds the ruling in force.
pub(super) struct Authority {
    pool: Pool,
    metrics: Metrics,
    ruling: RwLock<Arc<Ruling>>,
}

impl Authority {
    /// Loads the policies in force.
    ///
    /// # Errors
    /// [`Reason::StoreUnavailable`].
    pub(super) async fn load(pool: Pool, metrics: Metrics) -> Result<Self> {
        let ruling = load(&pool, &metrics).await?;
        Ok(Self {
            pool,
            metrics,
            ruling: RwLock::new(Arc::new(ruling)),
        })
    }

    /// The ruling in force in this process.
    pub(super) fn ruling(&self) -> Arc<Ruling> {
        // A poisoned lock means that a writer panicked between two whole values: the value in it is whole.
        Arc::clone(&self.ruling.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Loads the ruling anew if the database has another epoch. Answers whether it changed.
    ///
    /// # Errors
    /// [`Reason::StoreUnavailable`].
    pub(super) async fn refresh(&self) -> Result<bool> {
        let epoch = policies::epoch(&self.pool).await.map_err(store_failed)?;
        if epoch == self.ruling().epoch {
            return Ok(false);
        }
        let fresh = Arc::new(load(&self.pool, &self.metrics).await?);
        let mut ruling = self.ruling.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Two refreshes may overtake each other; after a restore the epoch may also be lower than before, and then it counts too.
        *ruling = fresh;
        Ok(true)
    }
}

/// The policies of an epoch, as the engine takes them.
///
/// # Errors
/// [`Reason::StoreUnavailable`].
pub(super) async fn stored(pool: &Pool) -> Result<(i64, Vec<StoredPolicy>)> {
    let (epoch, rows) = policies::load(pool).await.map_err(store_failed)?;
    let mut stored = Vec::with_capacity(rows.len());
    for row in rows {
        let name = row.full_name();
        let scope = PathPrefix::parse(&row.scope).unwrap_or_else(|_| PathPrefix::all());
        let document = serde_json::from_value(row.document).unwrap_or_else(|_| {
            tracing::error!(policy = %row.id, "a stored policy cannot be read, perhaps written by a newer release; its scope is closed");
            everything_denied()
        });
        stored.push(StoredPolicy {
            id: row.id,
            name,
            cluster: row.cluster,
            scope,
            written_at: row.written_at,
            document,
        });
    }
    Ok((epoch, stored))
}

async fn load(pool: &Pool, metrics: &Metrics) -> Result<Ruling> {
    // The epoch first: what is read after it may be newer, and then whatever rests on it is not confirmed and is decided anew.
    let (epoch, stored) = stored(pool).await?;
    let prefixes = clusters::prefixes(pool)
        .await
        .map_err(store_failed)?
        .into_iter()
        .collect();
    let shredded = roots::shredded(pool).await.map_err(store_failed)?.into_iter().collect();
    let path_settings = path_settings::all(pool)
        .await
        .map_err(store_failed)?
        .into_iter()
        .map(|row| (row.prefix, row.retention))
        .collect();
    metrics.policies.set(i64::try_from(stored.len()).unwrap_or(i64::MAX));
    let snapshot = PolicySnapshot::compile(epoch, stored);
    metrics
        .policies_broken
        .set(i64::try_from(snapshot.broken().len()).unwrap_or(i64::MAX));
    for (id, problem) in snapshot.broken() {
        tracing::error!(policy = %id, %problem, "a stored policy does not compile; its allows do not count");
    }
    Ok(Ruling {
        snapshot,
        epoch,
        prefixes,
        shredded,
        path_settings: PathSettings::new(path_settings),
    })
}

/// What stands in for a policy that cannot be read: it may hold denies, so nothing in its scope is open.
fn everything_denied() -> PolicyDocument {
    PolicyDocument {
        subjects: vec![Subject::Everyone {}],
        rules: vec![Rule {
            effect: Effect::Deny,
            paths: vec!["**".to_owned()],
            capabilities: Capability::ALL.to_vec(),
            conditions: None,
            unless: None,
        }],
        expires_at: None,
    }
}

/// The error of a refusal. The same whether or not the path exists (R35).
pub(super) fn denied(decision: &Decision, capability: Capability) -> Error {
    let capability = capability.as_str();
    if decision.step_up {
        let message = format!(
            "'{capability}' here needs a fresh second factor: send one to POST /api/v1/auth/step-up, then try again"
        );
        return Error::new(Reason::StepUpRequired, message);
    }
    let message = match (&decision.because, decision.effect) {
        (Because::Rule { policy, rule, .. }, Effect::Deny) => {
            format!(
                "denied by rule {} of policy '{policy}' (capability '{capability}')",
                rule + 1
            )
        }
        (Because::OutOfScope, _) => {
            format!("the API key's scopes do not hold '{capability}' here; use a key with a scope that does")
        }
        _ => format!("no policy allows '{capability}' here; ask for a policy that grants it on this path"),
    };
    Error::new(Reason::PolicyDenied, message)
}
