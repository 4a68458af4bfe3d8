//! Where a policy stands, and how its status says so.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tracing::{debug, warn};

use crate::domain::path::PathPrefix;
use crate::k8s::controller::context::{Context, Resource};
use crate::k8s::controller::key::Key;
use crate::k8s::controller::write;
use crate::k8s::crd::condition::stamp;
use crate::k8s::crd::vault_policy::{PolicyPreview, VaultPolicyStatus};
use crate::k8s::crd::{Condition, ConditionStatus, VaultPolicy};
use crate::service::door::{PolicyReport, PolicyResource};

/// How old what a preview tells may grow.
const PREVIEW_AGE: Duration = Duration::from_mins(5);

/// The condition that tells of denies of other policies.
const CONFLICTS: &str = "Conflicts";

/// Where a policy stands.
pub(super) struct Standing {
    pub(super) accepted: (ConditionStatus, &'static str, String),
    pub(super) confined: Option<String>,
    pub(super) ready: (ConditionStatus, &'static str, String),
    /// When to look again by ourselves.
    pub(super) again: Option<Duration>,
    /// What it concerns and would change, if that was looked at now.
    pub(super) report: Option<PolicyReport>,
}

pub(super) fn in_force(resource: &PolicyResource, confined: Option<String>, now: Timestamp) -> Standing {
    use ConditionStatus::{False, True};
    let accepted = (True, "Accepted", "the policy is sound".to_owned());
    match resource.document.expires_at {
        Some(end) if end <= now => Standing {
            accepted,
            confined,
            ready: (
                False,
                "Expired",
                format!("the policy ended at {end}; set spec.expiresAt to a later time, or delete it"),
            ),
            again: None,
            report: None,
        },
        end => Standing {
            accepted,
            confined,
            ready: (True, "InForce", "the policy is in force".to_owned()),
            again: end.and_then(|end| Duration::try_from(end.duration_since(now)).ok()),
            report: None,
        },
    }
}

pub(super) fn previewed(confined: Option<String>) -> Standing {
    use ConditionStatus::{False, True};
    let message = "the policy takes no effect: spec.preview is set, and status.preview tells what would change; what was in force \
                   from this resource before stays so";
    Standing {
        accepted: (True, "Accepted", "the policy is sound".to_owned()),
        confined,
        ready: (False, "Preview", message.to_owned()),
        again: Some(PREVIEW_AGE),
        report: None,
    }
}

pub(super) fn refused(reason: &'static str, message: String) -> Standing {
    use ConditionStatus::False;
    Standing {
        accepted: (False, reason, message.clone()),
        confined: None,
        ready: (False, reason, message),
        again: None,
        report: None,
    }
}

pub(super) fn confined(first: &str, count: usize, scope: &PathPrefix) -> String {
    let more = if count > 1 {
        format!(" (and {} more)", count - 1)
    } else {
        String::new()
    };
    format!("{first}{more}; a policy that reaches beyond '{scope}' belongs in the operator's namespace")
}

/// Shows where a policy stands, if that is news.
pub(super) async fn show(
    context: &Context,
    key: &Key,
    object: &Resource<VaultPolicy>,
    standing: Option<&VaultPolicyStatus>,
    found: &Standing,
) -> Result<(), &'static str> {
    let meta = object.meta();
    let before = standing.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let next = VaultPolicyStatus {
        observed_generation: meta.generation,
        conditions: stamp(conditions(found, before), before, meta.generation, context.clock.now()),
        subjects: counted(
            found.report.as_ref().map(|r| r.subjects),
            standing.and_then(|s| s.subjects),
        ),
        records: counted(
            found.report.as_ref().map(|r| r.records),
            standing.and_then(|s| s.records),
        ),
        preview: found
            .report
            .as_ref()
            .filter(|_| found.ready.1 == "Preview")
            .map(preview_of),
    };
    if standing == Some(&next) {
        return Ok(());
    }
    let at_version = meta.resource_version.as_deref();
    match write::replace_status::<VaultPolicy>(&context.client, key, meta, at_version, &next).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(kube::Error::Api(answer)) if answer.code == 409 => {
            debug!(policy = %key, "the status was not written over a newer object");
            Err("StatusConflict")
        }
        Err(error) => {
            warn!(policy = %key, %error, "the status could not be written");
            Err("ClusterUnavailable")
        }
    }
}

/// What was counted now, or what stands from the last time.
fn counted(now: Option<usize>, standing: Option<i64>) -> Option<i64> {
    now.and_then(|count| i64::try_from(count).ok()).or(standing)
}

fn preview_of(report: &PolicyReport) -> PolicyPreview {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    PolicyPreview {
        opens: number(report.opens),
        closes: number(report.closes),
        changes: report.changes.clone(),
        cut_off: report.cut_off,
    }
}

fn conditions(found: &Standing, before: &[Condition]) -> Vec<Condition> {
    let (status, reason, message) = &found.accepted;
    let mut conditions = vec![Condition::new("Accepted", *status, reason, message.clone())];
    conditions.push(match &found.confined {
        Some(message) => Condition::new("Confined", ConditionStatus::True, "BeyondScope", message.clone()),
        None => Condition::new("Confined", ConditionStatus::False, "WithinScope", ""),
    });
    conditions.extend(conflicts(found, before));
    let (status, reason, message) = &found.ready;
    conditions.push(Condition::new("Ready", *status, reason, message.clone()));
    conditions
}

/// Whether denies of other policies overrule it, as it was when that was looked at last.
fn conflicts(found: &Standing, before: &[Condition]) -> Option<Condition> {
    let Some(report) = &found.report else {
        return before.iter().find(|condition| condition.kind == CONFLICTS).cloned();
    };
    Some(match report.overruled.as_slice() {
        [] => Condition::new(CONFLICTS, ConditionStatus::False, "NotOverruled", ""),
        lines => {
            let message = format!(
                "a deny wins over every allow, and some of what this policy allows is denied: {}; narrow the one or the other",
                lines.join("; ")
            );
            Condition::new(CONFLICTS, ConditionStatus::True, "Overruled", message)
        }
    })
}

/// Whether a status says that denies of other policies overrule the policy.
pub(super) fn is_overruled(status: &VaultPolicyStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|condition| condition.kind == CONFLICTS && condition.status == ConditionStatus::True)
}
