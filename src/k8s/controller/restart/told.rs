//! What the condition `Restarted` of a `VaultSecret` says. Pure but for handing it in.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::asks;
use super::workload::Found;
use crate::domain::sync::restart::{Hold, Plan, Remembered, WorkloadId};
use crate::k8s::controller::context::{Context, Resource};
use crate::k8s::controller::queue::{Causes, Class};
use crate::k8s::crd::{Condition, ConditionStatus};

/// How long a workload may take to be healthy again before the status says that it holds the others up.
const SLOW: SignedDuration = SignedDuration::from_mins(10);

/// What is said about the consumers of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::k8s::controller) struct Told {
    status: ConditionStatus,
    reason: &'static str,
    message: String,
}

/// What the status says about restarts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::k8s::controller) enum Consumers {
    /// The resource asks for none.
    #[default]
    NotAsked,
    /// Nobody looked since this replica leads: what was said stays.
    Standing,
    /// This.
    Told(Told),
}

impl Told {
    /// No change of data waits for a restart.
    pub(in crate::k8s::controller) fn current() -> Self {
        Self {
            status: ConditionStatus::True,
            reason: "Current",
            message: "no workload waits to be restarted for this Secret".to_owned(),
        }
    }

    /// The operator does not restart anything.
    pub(in crate::k8s::controller) fn disabled() -> Self {
        Self {
            status: ConditionStatus::False,
            reason: "RestartsDisabled",
            message: "the operator does not restart workloads: set controller.restart_workloads to true and apply config/rbac/restarts-*.yaml, \
                      or remove spec.restart"
                .to_owned(),
        }
    }

    /// The rights are missing.
    pub(in crate::k8s::controller) fn forbidden() -> Self {
        Self {
            status: ConditionStatus::False,
            reason: "RestartForbidden",
            message: "the controller may not list and patch the workloads of this namespace; bind its service account the rights of \
                      config/rbac/restarts-cluster.yaml or restarts-namespaced.yaml"
                .to_owned(),
        }
    }

    fn waiting(id: &WorkloadId, hold: Hold, gate: Option<&Gate<'_>>) -> Self {
        let (reason, message) = match (hold, gate) {
            (Hold::Rollout, _) => (
                "WaitingForRollout",
                format!("{id} is restarted once its present roll-out is over; if it is paused, resume it"),
            ),
            (Hold::Cooldown { until }, _) => (
                "WaitingForCooldown",
                format!("{id} was restarted a moment ago; it is restarted again at {until} or soon after"),
            ),
            (Hold::Window, _) => (
                "WaitingForWindow",
                format!("{id} is restarted when spec.restart.window opens"),
            ),
            (Hold::Gate, Some(gate)) if gate.slow => (
                "RestartHeld",
                format!(
                    "{id} waits: {} was restarted and is not healthy since; look at its pods, and correct the data or the workload",
                    gate.id
                ),
            ),
            (Hold::Gate | Hold::Turn, gate) => (
                "WaitingForTurn",
                match gate {
                    Some(gate) => format!("{id} is restarted when {} is healthy again", gate.id),
                    None => format!("{id} is restarted after others of this namespace, one at a time"),
                },
            ),
        };
        Self {
            status: ConditionStatus::False,
            reason,
            message,
        }
    }

    /// As a condition.
    pub(in crate::k8s::controller) fn condition(&self) -> Condition {
        Condition::new("Restarted", self.status, self.reason, self.message.clone())
    }
}

struct Gate<'a> {
    id: &'a WorkloadId,
    slow: bool,
}

/// Tells every resource of a namespace that asks for restarts what became of them.
pub(super) fn tell(
    context: &Context,
    namespace: &str,
    found: &BTreeMap<WorkloadId, Found>,
    plan: &Plan,
    memory: &BTreeMap<WorkloadId, Remembered>,
    now: Timestamp,
) {
    let gate = plan.gate.as_ref().map(|id| Gate {
        id,
        slow: memory
            .get(id)
            .and_then(|remembered| remembered.restarted_at)
            .is_some_and(|at| now.duration_since(at) >= SLOW),
    });
    let uses = |id: &WorkloadId, secret: &str| {
        found
            .get(id)
            .is_some_and(|found| found.workload.uses.contains_key(secret))
    };
    each(context, namespace, |secret| {
        let mut waiting = plan.waiting.iter().filter(|(id, _)| uses(id, secret));
        let first = waiting.next().map(|(id, hold)| Told::waiting(id, *hold, gate.as_ref()));
        first.unwrap_or_else(Told::current)
    });
}

/// Tells every resource of a namespace that asks for restarts the same.
pub(super) fn tell_all(context: &Context, namespace: &str, told: &Told) {
    each(context, namespace, |_| told.clone());
}

fn each(context: &Context, namespace: &str, told: impl Fn(&str) -> Told) {
    for (key, resource) in context.vault_secrets.all() {
        let Resource::Sound(object) = &*resource else { continue };
        let row = context.memory.get(resource.uid());
        let Some(row) = row.filter(|_| *key.namespace == *namespace && asks(object).is_some()) else {
            continue;
        };
        let told = told(&row.secret_name);
        let news = context.notes.change(resource.uid(), |notes| {
            let before = notes.restarts.replace(told.clone());
            // Nothing was said before, and the status says that all is well by itself.
            before.map_or(told != Told::current() || !says_so(object), |before| before != told)
        });
        if news {
            context.queue.add(key, Causes::CLUSTER, Class::Routine, None);
        }
    }
}

fn says_so(object: &crate::k8s::crd::VaultSecret) -> bool {
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    let mut restarted = conditions.filter(|condition| condition.kind == "Restarted");
    restarted.any(|condition| condition.status == ConditionStatus::True)
}
