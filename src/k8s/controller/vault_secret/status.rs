//! From the outcome of a reconcile to the conditions that say so. Pure.
//!
//! | condition | True when |
//! |---|---|
//! | Authorized | policy lets the namespace sync every record that is named |
//! | Stored | every record that is named exists, in the version that is named |
//! | Synced | the Secret holds what the records hold |
//! | Ready | the three above |
//! | Reconciling | the controller will try again by itself |
//! | Stalled | nothing happens until somebody changes something |
//! | Restarted | with `spec.restart`: no workload waits to be restarted for the Secret |

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::domain::record::Version;
use crate::k8s::controller::restart::{Consumers, Told};
use crate::k8s::crd::vault_secret::{CarriedRecord, VaultSecretStatus};
use crate::k8s::crd::{Condition, ConditionStatus};

use super::problem::{Problem, Stage};
use ConditionStatus::{False, True, Unknown};

/// The reason when all is well.
const OK: &str = "Synced";

/// What a reconcile ended with.
pub(in crate::k8s::controller) enum Outcome<'a> {
    /// The Secret holds what the records hold.
    Synced,
    /// The user asked us to leave it alone.
    Suspended,
    /// Something stands in the way.
    Problem(&'a Problem),
}

/// What the status says besides conditions.
#[derive(Default)]
pub(in crate::k8s::controller) struct Facts {
    /// The record's path, written out.
    pub(in crate::k8s::controller) path: Option<String>,
    /// The version of the record that the Secret carries.
    pub(in crate::k8s::controller) version: Option<Version>,
    /// The Secret's name, once there is one.
    pub(in crate::k8s::controller) secret: Option<String>,
    /// What became of the workloads that use it.
    pub(in crate::k8s::controller) consumers: Consumers,
    /// The records that the Secret was made of.
    pub(in crate::k8s::controller) records: Vec<CarriedRecord>,
    /// When the generated values are made anew next.
    pub(in crate::k8s::controller) next_rotation: Option<k8s_openapi::jiff::Timestamp>,
}

/// The status to show. `standing` is the one that is there: while suspended, what it said stays.
pub(in crate::k8s::controller) fn status(
    outcome: &Outcome<'_>,
    facts: Facts,
    generation: Option<i64>,
    standing: Option<&VaultSecretStatus>,
    now: k8s_openapi::jiff::Timestamp,
) -> VaultSecretStatus {
    let before = standing.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut found = match outcome {
        Outcome::Synced => synced(),
        Outcome::Suspended => suspended(before),
        Outcome::Problem(problem) => failed(problem, facts.secret.is_some()),
    };
    found.extend(restarted(&facts.consumers, before));
    let keys = match outcome {
        Outcome::Synced => None,
        Outcome::Suspended => standing.and_then(|status| status.keys.clone()),
        Outcome::Problem(problem) => (!problem.keys.is_empty()).then(|| problem.keys.clone()),
    };
    let only_own = |records: &[CarriedRecord]| match records {
        [] => true,
        [one] => facts.path.as_deref() == Some(one.path.as_str()),
        _ => false,
    };
    let records = (!only_own(&facts.records)).then_some(facts.records);
    VaultSecretStatus {
        observed_generation: generation,
        conditions: crate::k8s::crd::condition::stamp(found, before, generation, now),
        path: facts.path,
        record_version: facts.version.map(Version::number),
        secret_name: facts.secret,
        next_rotation_time: facts
            .next_rotation
            .map(|at| Time(crate::k8s::crd::condition::whole_seconds(at))),
        records,
        keys,
    }
}

/// Whether two statuses say the same.
pub(in crate::k8s::controller) fn says_the_same(one: &VaultSecretStatus, other: &VaultSecretStatus) -> bool {
    one.observed_generation == other.observed_generation
        && one.path == other.path
        && one.record_version == other.record_version
        && one.secret_name == other.secret_name
        && one.next_rotation_time == other.next_rotation_time
        && one.records == other.records
        && one.keys == other.keys
        && one.conditions.len() == other.conditions.len()
        && one
            .conditions
            .iter()
            .zip(&other.conditions)
            .all(|(one, other)| one.says_the_same(other))
}

fn restarted(consumers: &Consumers, before: &[Condition]) -> Option<Condition> {
    match consumers {
        Consumers::NotAsked => None,
        Consumers::Told(told) => Some(told.condition()),
        Consumers::Standing => {
            let standing = before.iter().find(|condition| condition.kind == "Restarted");
            Some(standing.cloned().unwrap_or_else(|| Told::current().condition()))
        }
    }
}

fn synced() -> Vec<Condition> {
    vec![
        Condition::new(
            "Authorized",
            True,
            "Allowed",
            "policy lets this namespace sync every record that is named",
        ),
        Condition::new("Stored", True, "Found", "every record that is named exists"),
        Condition::new("Synced", True, OK, "the Secret holds what the records hold"),
        Condition::new("Ready", True, OK, "the Secret holds what the records hold"),
        Condition::new("Reconciling", False, "Done", ""),
        Condition::new("Stalled", False, "Done", ""),
    ]
}

fn suspended(before: &[Condition]) -> Vec<Condition> {
    let message = "spec.suspend is true: neither the record nor the Secret is touched; remove it to go on";
    let mut found: Vec<_> = ["Authorized", "Stored", "Synced"]
        .into_iter()
        .map(|kind| {
            let standing = before.iter().find(|condition| condition.kind == kind).cloned();
            standing.unwrap_or_else(|| Condition::new(kind, Unknown, "Suspended", message))
        })
        .collect();
    let ready = before
        .iter()
        .find(|condition| condition.kind == "Ready")
        .map_or(False, |ready| ready.status);
    found.push(Condition::new("Ready", ready, "Suspended", message));
    found.push(Condition::new("Reconciling", False, "Suspended", message));
    found.push(Condition::new("Stalled", False, "Suspended", message));
    found
}

fn failed(problem: &Problem, has_secret: bool) -> Vec<Condition> {
    let reason = problem.reason.as_str();
    let message = problem.message.as_str();
    let kept = if has_secret {
        format!("{message} (the Secret is kept as it was last written)")
    } else {
        message.to_owned()
    };
    let status_at = |stage: Stage| match problem.stage.cmp(&stage) {
        std::cmp::Ordering::Less => Unknown,
        std::cmp::Ordering::Equal => False,
        std::cmp::Ordering::Greater => True,
    };
    let condition = |kind: &str, stage: Stage, good: &str| match status_at(stage) {
        True => Condition::new(kind, True, good, ""),
        status => Condition::new(kind, status, reason, message),
    };
    let again = problem.retried;
    vec![
        condition("Authorized", Stage::Authorize, "Allowed"),
        condition("Stored", Stage::Read, "Found"),
        Condition::new(
            "Synced",
            if problem.unknown { Unknown } else { False },
            reason,
            kept.clone(),
        ),
        Condition::new("Ready", False, reason, kept),
        Condition::new(
            "Reconciling",
            if again { True } else { False },
            reason,
            if again {
                "the controller tries again by itself"
            } else {
                ""
            },
        ),
        Condition::new(
            "Stalled",
            if again { False } else { True },
            reason,
            if again { "" } else { message },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::super::problem::Reason;
    use super::*;
    use crate::k8s::crd::vault_secret::KeyAtFault;

    fn show(status: &VaultSecretStatus) -> Vec<String> {
        status
            .conditions
            .iter()
            .map(|c| format!("{}={:?} {}", c.kind, c.status, c.reason))
            .collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn denied() -> Problem {
        Problem::new(Reason::PolicyDenied, "no policy allows it")
    }

    #[test]
    fn a_denied_one_is_stalled_and_claims_nothing_about_the_record() {
        let problem = denied();
        let status = status(&Outcome::Problem(&problem), Facts::default(), Some(3), None, at(1));
        assert_eq!(
            show(&status),
            [
                "Authorized=False PolicyDenied",
                "Stored=Unknown PolicyDenied",
                "Synced=False PolicyDenied",
                "Ready=False PolicyDenied",
                "Reconciling=False PolicyDenied",
                "Stalled=True PolicyDenied",
            ]
        );
        assert!(
            status
                .conditions
                .iter()
                .all(|condition| condition.observed_generation == Some(3))
        );
    }

    #[test]
    fn what_is_tried_again_is_reconciling() {
        let problem = Problem::new(Reason::TargetConflict, "not ours");
        let status = status(&Outcome::Problem(&problem), Facts::default(), Some(1), None, at(1));
        assert_eq!(
            show(&status),
            [
                "Authorized=True Allowed",
                "Stored=True Found",
                "Synced=False TargetConflict",
                "Ready=False TargetConflict",
                "Reconciling=True TargetConflict",
                "Stalled=False TargetConflict",
            ]
        );
    }

    #[test]
    fn a_kept_secret_is_mentioned() {
        let problem = denied();
        let facts = Facts {
            secret: Some("db".into()),
            ..Default::default()
        };
        let status = status(&Outcome::Problem(&problem), facts, Some(1), None, at(1));
        assert_eq!(
            status.conditions[3].message,
            "no policy allows it (the Secret is kept as it was last written)"
        );
    }

    #[test]
    fn the_same_outcome_is_the_same_status_whenever_it_is_found() {
        let first = status(&Outcome::Synced, Facts::default(), Some(1), None, at(1));
        let second = status(&Outcome::Synced, Facts::default(), Some(1), Some(&first), at(900));
        assert_eq!(first, second);
        assert!(says_the_same(&first, &second));
        let third = status(&Outcome::Synced, Facts::default(), Some(2), Some(&first), at(900));
        assert!(!says_the_same(&first, &third));
    }

    /// The rules of kstatus, which Flux and others go by: an abnormal-true condition is there or not, never two at a time, and what is
    /// Ready is neither.
    #[test]
    fn whatever_stands_in_the_way_the_status_is_one_that_kstatus_reads() {
        let problems = [
            Reason::PolicyDenied,
            Reason::RootOrphaned,
            Reason::PathNotFound,
            Reason::VersionGone,
            Reason::KeyMissing,
            Reason::InvalidValue,
            Reason::KeyConflict,
            Reason::TemplateError,
            Reason::TargetTooLarge,
            Reason::TargetConflict,
            Reason::TargetMissing,
            Reason::TargetRefused,
            Reason::InvalidSpec,
            Reason::StoreUnavailable,
            Reason::KeyUnavailable,
            Reason::ClusterUnavailable,
            Reason::Internal,
        ]
        .map(|reason| Problem::new(reason, "what to do"));
        let outcomes = problems
            .iter()
            .map(Outcome::Problem)
            .chain([Outcome::Synced, Outcome::Suspended]);
        for outcome in outcomes {
            let status = status(&outcome, Facts::default(), Some(4), None, at(1));
            let is = |kind: &str| status.conditions.iter().find(|c| c.kind == kind).unwrap().status == True;
            assert_eq!(status.observed_generation, Some(4));
            assert!(!(is("Reconciling") && is("Stalled")), "{:?}", show(&status));
            assert!(
                !is("Ready") || !(is("Reconciling") || is("Stalled")),
                "{:?}",
                show(&status)
            );
            let problem = matches!(outcome, Outcome::Problem(_));
            assert_eq!(problem, is("Reconciling") || is("Stalled"), "{:?}", show(&status));
            assert!(status.conditions.iter().all(|c| c.observed_generation == Some(4)));
        }
    }

    #[test]
    fn what_became_of_consumers_is_shown_where_restarts_are_asked_for() {
        let shown = |consumers: Consumers, before: Option<&VaultSecretStatus>| {
            let facts = Facts {
                consumers,
                ..Default::default()
            };
            status(&Outcome::Synced, facts, Some(1), before, at(1))
        };
        assert_eq!(show(&shown(Consumers::NotAsked, None)).len(), 6);
        let first = shown(Consumers::Standing, None);
        assert_eq!(show(&first)[6], "Restarted=True Current");
        let held = shown(Consumers::Told(Told::disabled()), Some(&first));
        assert_eq!(show(&held)[6], "Restarted=False RestartsDisabled");
        assert_eq!(show(&held)[3], "Ready=True Synced");
        // A new leader that looked at nothing yet does not take back what was said.
        assert_eq!(
            show(&shown(Consumers::Standing, Some(&held)))[6],
            "Restarted=False RestartsDisabled"
        );
    }

    #[test]
    fn records_are_listed_where_the_own_one_is_not_all_and_keys_while_they_are_at_fault() {
        let carried = |path: &str, version| CarriedRecord {
            path: path.to_owned(),
            version,
        };
        let facts = |records: &[CarriedRecord]| Facts {
            path: Some("k8s/shop/db".to_owned()),
            records: records.to_vec(),
            ..Default::default()
        };
        let (own, shared) = (carried("k8s/shop/db", 3), carried("shared/smtp", 1));
        let shown = |facts| status(&Outcome::Synced, facts, Some(1), None, at(1)).records;
        assert_eq!(shown(facts(std::slice::from_ref(&own))), None);
        assert_eq!(shown(facts(std::slice::from_ref(&shared))), Some(vec![shared.clone()]));
        let both = [own, shared];
        assert_eq!(shown(facts(&both)), Some(both.to_vec()));

        let fault = KeyAtFault {
            key: "host".to_owned(),
            reason: "KeyMissing".to_owned(),
            message: "add it".to_owned(),
        };
        let problem = Problem {
            keys: vec![fault.clone()],
            ..Problem::new(Reason::KeyMissing, "add it")
        };
        let failed = status(&Outcome::Problem(&problem), facts(&both), Some(1), None, at(1));
        assert_eq!(
            (failed.keys.as_deref(), failed.records.as_deref()),
            (Some(&[fault][..]), Some(&both[..]))
        );
        let kept = status(&Outcome::Suspended, facts(&both), Some(2), Some(&failed), at(2));
        assert_eq!(kept.keys, failed.keys);
        assert!(!says_the_same(
            &failed,
            &status(&Outcome::Synced, facts(&both), Some(1), Some(&failed), at(2))
        ));
    }

    #[test]
    fn suspending_keeps_what_was_known() {
        let before = status(&Outcome::Synced, Facts::default(), Some(1), None, at(1));
        let after = status(&Outcome::Suspended, Facts::default(), Some(2), Some(&before), at(2));
        assert_eq!(show(&after)[2..4], ["Synced=True Synced", "Ready=True Suspended"]);
        let never = status(&Outcome::Suspended, Facts::default(), Some(1), None, at(2));
        assert_eq!(show(&never)[3], "Ready=False Suspended");
    }
}
