//! Whether the records that a `VaultSecret` uses may be synced, and where they stand; without values.

use tracing::{error, info};

use super::plan::Plan;
use super::problem::{Problem, Reason};
use crate::domain::record::VersionState;
use crate::k8s::controller::context::{Context, Known};
use crate::k8s::controller::key::Key;
use crate::k8s::crd::VaultSecret;
use crate::service::door::{Asker, Inspection, RecordHead, RecordRef};

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
    if let Some(keys) = &plan.generate {
        let at = plan
            .refs
            .iter()
            .position(|reference| reference.path == plan.own && reference.version.is_none());
        let own = at.and_then(|at| inspections.get(at));
        let wanting = matches!(own, Some(Inspection::Absent))
            || (!applied && matches!(own, Some(Inspection::Present(head)) if head.state == VersionState::Live));
        if wanting {
            let made = context.door.generate(asker, &plan.own, keys).await;
            let (head, written) = made.map_err(|error| of_vault(object, &error, Some(&plan.own.to_string())))?;
            if written {
                info!(object = %Key::of(object), path = %plan.own, version = %head.version, "generated");
            }
            if let Some(at) = at {
                inspections[at] = Inspection::Present(head);
                note(&inspections);
            }
        }
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

async fn inspect(context: &Context, asker: &Asker, refs: &[RecordRef]) -> Result<Vec<Inspection>, Problem> {
    let asks = [(asker.clone(), refs.to_vec())];
    let answers = context.door.inspect(&asks).await.map_err(|error| unavailable(&error))?;
    let answer = answers.into_iter().next();
    answer
        .unwrap_or_else(|| Ok(Vec::new()))
        .map_err(|error| unavailable(&error))
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
