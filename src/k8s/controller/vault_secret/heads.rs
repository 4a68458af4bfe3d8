//! Where the records of a `VaultSecret` stand: asked without values, for the namespace that it lives in.

use tracing::error;

use super::feed;
use super::plan::Plan;
use super::problem::{Problem, Reason};
use crate::domain::actor::NamespaceName;
use crate::domain::record::{Version, VersionState};
use crate::k8s::controller::context::{Context, Known};
use crate::k8s::controller::key::Key;
use crate::k8s::crd::VaultSecret;
use crate::service::context::ResourceOrigin;
use crate::service::door::{Asker, Inspection, RecordHead, RecordRef, SyncRow, SyncedRecord};

/// Asks whether the records may be synced and where they stand; makes the own record where that is asked for.
pub(super) async fn authorised(
    context: &Context,
    asker: &Asker,
    object: &VaultSecret,
    plan: &Plan,
    applied: bool,
    known: Option<Known>,
) -> Result<Vec<RecordHead>, Problem> {
    let mut inspections = match known {
        Some(known) => known.inspections,
        None => inspect(context, asker, &plan.refs).await?,
    };
    let note = |inspections: &[Inspection]| {
        let known = Known {
            refs: plan.refs.clone(),
            inspections: inspections.to_vec(),
        };
        context
            .notes
            .change(&asker.resource.uid, |notes| notes.known = Some(known));
    };
    note(&inspections);
    for (reference, inspection) in plan.refs.iter().zip(&inspections) {
        if let Inspection::Denied { because } = inspection {
            return Err(Problem::new(
                Reason::PolicyDenied,
                format!(
                    "namespace '{}' may not sync '{}': {because}",
                    asker.namespace.name, reference.path
                ),
            ));
        }
    }
    let at = plan.own_at();
    let own = at.and_then(|at| inspections.get(at));
    let fed = feed::feed(context, asker, object, plan, own, applied).await?;
    if let (Some(head), Some(at)) = (fed, at) {
        inspections[at] = Inspection::Present(head);
        note(&inspections);
    }
    if let Some(Inspection::Present(head)) = at.and_then(|at| inspections.get(at)) {
        feed::schedule(context, object, plan, Some(head));
    }
    plan.refs
        .iter()
        .zip(inspections)
        .map(|(reference, inspection)| present(reference, inspection))
        .collect()
}

/// The head of a record that can be read.
fn present(reference: &RecordRef, inspection: Inspection) -> Result<RecordHead, Problem> {
    let path = &reference.path;
    match inspection {
        Inspection::Present(head) if head.state == VersionState::Live => Ok(head),
        Inspection::Present(head) => Err(Problem::new(
            Reason::VersionGone,
            format!(
                "version {} of '{path}' is {}; bring it back, or write a new version",
                head.version,
                head.state.as_str()
            ),
        )),
        Inspection::Absent => match reference.version {
            Some(version) => Err(Problem::new(
                Reason::VersionGone,
                format!("'{path}' has no version {version}; name one that is kept"),
            )),
            None => Err(Problem::new(
                Reason::PathNotFound,
                format!("there is no record at '{path}'; write it, or give spec.source"),
            )),
        },
        Inspection::Denied { because } => Err(Problem::new(Reason::PolicyDenied, because)),
    }
}

#[tracing::instrument(target = "aether_vault::trace", level = "info", name = "vault.inspect", skip_all)]
pub(super) async fn inspect(context: &Context, asker: &Asker, refs: &[RecordRef]) -> Result<Vec<Inspection>, Problem> {
    let asks = [(asker.clone(), refs.to_vec())];
    let answers = context.door.inspect(&asks).await.map_err(|error| unavailable(&error))?;
    let answer = answers.into_iter().next();
    answer
        .unwrap_or_else(|| Ok(Vec::new()))
        .map_err(|error| unavailable(&error))
}

/// Who asks: the namespace as it is now, for this resource.
pub(in crate::k8s::controller) fn asker(namespace: NamespaceName, uid: &str, generation: i64) -> Asker {
    Asker {
        namespace,
        resource: ResourceOrigin {
            uid: uid.to_owned(),
            generation,
        },
    }
}

/// The records as they are remembered.
pub(in crate::k8s::controller) fn synced(refs: &[RecordRef], heads: &[RecordHead]) -> Vec<SyncedRecord> {
    let pairs = refs.iter().zip(heads);
    pairs
        .map(|(reference, head)| SyncedRecord {
            path: reference.path.clone(),
            version: head.version,
            revision: head.revision,
            pinned: reference.version.is_some(),
        })
        .collect()
}

pub(super) fn own_version(plan: &Plan, heads: &[RecordHead]) -> Option<Version> {
    let mut pairs = plan.refs.iter().zip(heads);
    pairs
        .find(|(reference, _)| reference.path == plan.own)
        .map(|(_, head)| head.version)
}

/// The version of the own record that the Secret carries, as remembered.
pub(in crate::k8s::controller) fn carried(row: &SyncRow, plan: &Plan) -> Option<Version> {
    row.records
        .iter()
        .find(|record| record.path == plan.own)
        .map(|record| record.version)
}

pub(in crate::k8s::controller) fn all_live(known: &Known) -> bool {
    known
        .inspections
        .iter()
        .all(|inspection| matches!(inspection, Inspection::Present(head) if head.state == VersionState::Live))
}

pub(super) fn of_vault(object: &VaultSecret, error: &crate::service::error::Error, path: Option<&str>) -> Problem {
    let mut problem = Problem::of_vault(error);
    if problem.reason == Reason::Internal
        && let Some(source) = error.source_for_log()
    {
        error!(object = %Key::of(object), %source, "the vault failed");
    }
    if let Some(path) = path.filter(|path| !problem.message.contains(*path)) {
        problem.message = format!("'{path}': {}", problem.message);
    }
    problem
}

pub(super) fn unavailable(error: &crate::service::error::Error) -> Problem {
    Problem::of_vault(error)
}
