//! What a changed policy would open and close, over the records and actors that exist.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Policies, not_found, people, told};
use crate::domain::actor::Actor;
use crate::domain::audit::Action;
use crate::domain::path::{PathPrefix, RecordPath};
use crate::domain::policy::{
    self, Capability, Circumstances, Diff, DiffBounds, Pattern, PolicyDocument, PolicySnapshot, StoredPolicy, Subject,
    policy_name,
};
use crate::service::authority;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::{Pool, population};

/// Actors of each kind that are looked at.
const ACTORS: usize = 500;
/// Records that are looked at.
const RECORDS: usize = 5_000;
/// How far the comparison goes: about a second of one core.
const BOUNDS: DiffBounds = DiffBounds {
    pairs: 300_000,
    changes: 1_000,
};

/// What a policy would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// What changes, by path and actor.
    pub changes: Vec<PreviewedChange>,
    /// The policies whose denies overrule what it allows.
    pub conflicts: Vec<PreviewedConflict>,
    /// How many actors the policy concerns.
    pub matched_actors: usize,
    /// How many records it concerns.
    pub matched_records: usize,
    /// How many actors were looked at.
    pub actors: usize,
    /// How many records were looked at.
    pub records: usize,
    /// Whether a bound was reached, so that there may be more.
    pub cut_off: bool,
    /// The circumstances that it was decided under.
    pub circumstances: Circumstances,
}

/// An actor of a preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedActor {
    /// The kind, as the audit log names it.
    pub kind: &'static str,
    /// The name, likewise.
    pub name: String,
}

/// What changes for one actor at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedChange {
    /// Who.
    pub actor: PreviewedActor,
    /// Where.
    pub path: String,
    /// What becomes possible.
    pub opens: Vec<Capability>,
    /// What is no longer possible.
    pub closes: Vec<Capability>,
}

/// A policy whose denies overrule what the policy allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedConflict {
    /// Its name.
    pub policy: String,
    /// How many rights it overrules: a capability of an actor at a path is one.
    pub rights: usize,
    /// The actor of the first of them.
    pub actor: PreviewedActor,
    /// Its path.
    pub path: String,
    /// Its capability.
    pub capability: Capability,
}

impl Policies<'_> {
    /// Tells what would change if the policy `name` were `document`, or were gone. Nothing takes effect. For administrators and
    /// auditors.
    ///
    /// # Errors
    /// [`Reason::RoleRequired`], [`Reason::InvalidPolicy`], [`Reason::PolicyNotFound`] if there is nothing to remove,
    /// [`Reason::SessionEnded`], and those of the store.
    pub async fn preview(
        &self,
        ctx: &OpContext,
        name: &str,
        document: Option<&PolicyDocument>,
        circumstances: Option<Circumstances>,
    ) -> Result<Preview> {
        let canonical = policy_name(name);
        let known = canonical.clone().unwrap_or_default();
        self.require(ctx, ctx.auditor(), Action::PolicyPreview, &known).await?;
        if let Some(Err(problems)) = document.map(policy::validate) {
            let error = told(Reason::InvalidPolicy, &problems);
            return self.failed(ctx, Action::PolicyPreview, &known, error).await;
        }
        let (_, stored) = authority::stored(&self.vault.pool).await?;
        let Some(name) = canonical else {
            return self.failed(ctx, Action::PolicyPreview, "", not_found()).await;
        };
        let standing = stored.iter().find(|policy| policy.name == name).cloned();
        if standing.is_none() && document.is_none() {
            return self.failed(ctx, Action::PolicyPreview, &name, not_found()).await;
        }
        let changed = document.map(|document| StoredPolicy {
            id: standing.as_ref().map_or(Uuid::nil(), |policy| policy.id),
            name: name.clone(),
            cluster: None,
            scope: PathPrefix::all(),
            written_at: ctx.now(),
            document: document.clone(),
        });
        let circumstances = circumstances.unwrap_or(Circumstances::at(ctx.now()));
        let preview = compare(&self.vault.pool, stored, standing, changed, Vec::new(), circumstances).await?;
        self.confirm(ctx, &ctx.entry(Action::PolicyPreview, &name), None)
            .await?;
        Ok(preview)
    }
}

/// Compares the policies that stand with the same after one of them was changed.
pub(in crate::service) async fn compare(
    pool: &Pool,
    stored: Vec<StoredPolicy>,
    standing: Option<StoredPolicy>,
    changed: Option<StoredPolicy>,
    known: Vec<Actor>,
    circumstances: Circumstances,
) -> Result<Preview> {
    let documents: Vec<&StoredPolicy> = [&standing, &changed].into_iter().flatten().collect();
    let Some(id) = documents.first().map(|policy| policy.id) else {
        return Err(Error::internal("a preview of no policy"));
    };
    let ranges: Vec<_> = documents
        .iter()
        .flat_map(|policy| policy.document.rules.iter().flat_map(|rule| &rule.paths))
        .filter_map(|text| Pattern::parse(text).ok())
        .map(|pattern| pattern.range())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let ask = i64::try_from(RECORDS + 1).unwrap_or(i64::MAX);
    let found = population::paths(pool, &ranges, ask).await.map_err(store_failed)?;
    let mut cut_off = found.len() > RECORDS;
    let paths: Vec<RecordPath> = found
        .iter()
        .take(RECORDS)
        .filter_map(|path| RecordPath::parse(path).ok())
        .collect();
    let (mut actors, more) = people::everybody(pool, ACTORS).await?;
    cut_off |= more;
    actors.extend(documents.iter().flat_map(|policy| named(policy)));
    // What the caller knows better comes first: a namespace with its labels.
    let mut all = known;
    let mut seen: BTreeSet<(&'static str, String)> = all.iter().map(|a| (a.kind(), a.display())).collect();
    all.extend(
        actors
            .into_iter()
            .filter(|actor| seen.insert((actor.kind(), actor.display()))),
    );
    let compared = tokio::task::spawn_blocking(move || {
        let mut after: Vec<StoredPolicy> = stored.iter().filter(|policy| policy.id != id).cloned().collect();
        after.extend(changed.clone());
        let (before, after) = (PolicySnapshot::compile(0, stored), PolicySnapshot::compile(0, after));
        let diff = Diff::between((&before, &after), id, &all, &paths, &circumstances, BOUNDS);
        let conflicts = changed
            .map(|policy| policy::conflicts(&policy, &after, &all, &paths, &circumstances, BOUNDS.pairs))
            .unwrap_or_default();
        (diff, conflicts, all, paths)
    });
    let (diff, conflicts, all, paths) = compared.await.map_err(Error::internal)?;
    let actor = |place: usize| {
        let actor = all.get(place)?;
        Some(PreviewedActor {
            kind: actor.kind(),
            name: actor.display(),
        })
    };
    let path = |place: usize| Some(paths.get(place)?.as_str().to_owned());
    let conflicts = conflicts.into_iter().filter_map(|conflict| {
        let (who, what, capability) = conflict.first;
        Some(PreviewedConflict {
            policy: conflict.policy.to_string(),
            rights: conflict.rights,
            actor: actor(who)?,
            path: path(what)?,
            capability,
        })
    });
    let changes = diff.changes.into_iter().filter_map(|change| {
        Some(PreviewedChange {
            actor: actor(change.actor)?,
            path: path(change.path)?,
            opens: change.opens,
            closes: change.closes,
        })
    });
    Ok(Preview {
        changes: changes.collect(),
        conflicts: conflicts.collect(),
        matched_actors: diff.actors,
        matched_records: diff.paths,
        actors: all.len(),
        records: paths.len(),
        cut_off: cut_off || diff.cut_off,
        circumstances,
    })
}

/// Service accounts that a policy names, whether or not they ever logged in.
fn named(policy: &StoredPolicy) -> Vec<Actor> {
    let account = |subject: &Subject| match subject {
        Subject::ServiceAccount { namespace, name } if name != "*" => Some(Actor::ServiceAccount {
            cluster: policy.cluster.clone().unwrap_or_else(|| "k8s".to_owned()),
            namespace: people::namespace(namespace, std::collections::BTreeMap::new()),
            name: name.clone(),
            uid: String::new(),
        }),
        _ => None,
    };
    policy.document.subjects.iter().filter_map(account).collect()
}
