//! What a look at a `VaultSecret` ended with, told: in its status, in events.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use tracing::debug;

use super::apply::Done;
use super::plan::Plan;
use super::problem::{Problem, Reason};
use super::status::{self, Facts, Outcome};
use super::write_status;
use crate::domain::record::Version;
use crate::k8s::controller::context::Context;
use crate::k8s::controller::key::Key;
use crate::k8s::controller::restart::{self, Consumers, Told};
use crate::k8s::crd::vault_secret::CarriedRecord;
use crate::k8s::crd::{VaultSecret, VaultSecretStatus};
use crate::service::door::SyncRow;

/// Pause after the status could not be written: mostly, the watch has not told yet what somebody wrote.
const STATUS_PAUSE: Duration = Duration::from_millis(200);

pub(super) fn tell(context: &Context, object: &VaultSecret, plan: Option<&Plan>, version: Option<Version>, done: Done) {
    let Some(plan) = plan else { return };
    let secret = &plan.target.name;
    let carried = version
        .map(|version| format!(" and carries version {version} of '{}'", plan.own))
        .unwrap_or_default();
    match done {
        // A first sync is no news, and a thousand of them are a flood.
        Done::Nothing | Done::Created => {}
        Done::Repaired => context.events.note(
            object,
            "SecretRepaired",
            format!("Secret '{secret}' had been changed or deleted and was written again"),
        ),
        Done::Updated => context.events.note(
            object,
            "SecretUpdated",
            format!("Secret '{secret}' was written{carried}"),
        ),
        Done::Recreated => context.events.note(
            object,
            "SecretRecreated",
            format!("Secret '{secret}' was made anew{carried}"),
        ),
        Done::Adopted => context.events.note(
            object,
            "SecretAdopted",
            format!("Secret '{secret}' was taken over{carried}"),
        ),
    }
    debug!(object = %Key::of(object), %secret, done = done.as_str(), "wrote the Secret");
}

/// Shows the outcome in the status, if it says anything new.
pub(super) async fn finish(
    context: &Context,
    object: &VaultSecret,
    plan: Option<&Plan>,
    outcome: &Outcome<'_>,
    version: Option<Version>,
    word: &'static str,
) -> &'static str {
    let uid = object.uid().unwrap_or_default();
    if !matches!(outcome, Outcome::Problem(_)) {
        context.notes.change(&uid, |notes| notes.failures = 0);
    }
    let facts = facts(context, object, plan, version);
    let standing = context
        .notes
        .get(&uid)
        .own_status
        .unseen()
        .map(|written| written.status.clone())
        .or_else(|| object.status.clone());
    let next = status::status(
        outcome,
        facts,
        object.metadata.generation,
        standing.as_ref(),
        context.clock.now(),
    );
    if standing
        .as_ref()
        .is_some_and(|standing| status::says_the_same(standing, &next))
    {
        return word;
    }
    let ready = |status: &VaultSecretStatus| {
        status
            .conditions
            .iter()
            .find(|c| c.kind == "Ready")
            .map(|c| c.reason.clone())
    };
    let news = standing.as_ref().and_then(&ready) != ready(&next);
    match write_status::write(context, object, next).await {
        Ok(()) => {
            if let Outcome::Problem(problem) = outcome
                && news
                && problem.reason != Reason::StoreUnavailable
            {
                context
                    .events
                    .warn(object, problem.reason.as_str(), problem.message.clone());
            }
            word
        }
        Err(failure) => {
            context.queue.retry(Key::of(object), STATUS_PAUSE);
            failure
        }
    }
}

/// What the status says besides conditions.
pub(in crate::k8s::controller) fn facts(
    context: &Context,
    object: &VaultSecret,
    plan: Option<&Plan>,
    version: Option<Version>,
) -> Facts {
    let row: Option<Arc<SyncRow>> = object.uid().and_then(|uid| context.memory.get(&uid));
    Facts {
        path: plan.map(|plan| plan.own.to_string()),
        version,
        records: row.as_deref().map(carried_records).unwrap_or_default(),
        secret: row.map(|row| row.secret_name.clone()),
        consumers: consumers(context, object),
        next_rotation: context.calendar.get(&Key::of(object)).rotation,
    }
}

fn carried_records(row: &SyncRow) -> Vec<CarriedRecord> {
    let records = row.records.iter().map(|record| CarriedRecord {
        path: record.path.to_string(),
        version: record.version.number(),
    });
    records.take(VaultSecretStatus::LISTED).collect()
}

fn consumers(context: &Context, object: &VaultSecret) -> Consumers {
    if restart::asks(object).is_none() {
        return Consumers::NotAsked;
    }
    if !context.settings.restart_workloads {
        return Consumers::Told(Told::disabled());
    }
    let told = object.uid().and_then(|uid| context.notes.get(&uid).restarts);
    told.map_or(Consumers::Standing, Consumers::Told)
}

/// Says of an object that cannot be read that it cannot be read.
pub(super) async fn malformed(context: &Context, key: &Key, meta: &kube::core::ObjectMeta) -> &'static str {
    let problem = Problem::new(
        Reason::InvalidSpec,
        "the resource does not fit this version of aether-vault; apply the definitions that come with it, then the resource again",
    );
    let next = status::status(
        &Outcome::Problem(&problem),
        Facts::default(),
        meta.generation,
        None,
        context.clock.now(),
    );
    let uid = meta.uid.clone().unwrap_or_default();
    let told = context
        .notes
        .get(&uid)
        .own_status
        .unseen()
        .is_some_and(|written| status::says_the_same(&written.status, &next));
    if told {
        return Reason::InvalidSpec.as_str();
    }
    match write_status::replace(context, key, meta, next).await {
        Ok(()) => Reason::InvalidSpec.as_str(),
        Err(word) => word,
    }
}
