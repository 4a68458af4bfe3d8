//! Which workload is restarted now because Secrets that it uses hold other data than its pods started with.
//!
//! A workload is restarted once for a change, however many of its Secrets changed and however often the question is asked: what its pods
//! carry is remembered, and its pod template says the same. Workloads of a namespace go one after another, each when the one before is
//! healthy again, so data that breaks a workload breaks one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::domain::policy::Window;

/// The pause between two restarts of a workload where no resource says another.
pub const DEFAULT_COOLDOWN: SignedDuration = SignedDuration::from_mins(1);
/// The longest pause that may be asked for.
pub const LONGEST_COOLDOWN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is remembered of a Secret whose data the pods do not carry, though nobody knows which they do.
const UNKNOWN: &str = "";

/// A workload, as order and memory know it: its kind and name within a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId {
    /// `Deployment`, `StatefulSet`, `DaemonSet` or `Rollout`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} '{}'", self.kind, self.name)
    }
}

/// A Secret whose changes restart workloads.
#[derive(Debug, Clone)]
pub struct Use {
    /// Keyed hash of the data that it holds.
    pub hash: String,
    /// When its data last changed while restarts were asked for; absent if never.
    pub changed_at: Option<Timestamp>,
    /// The least time between two restarts of a workload.
    pub cooldown: SignedDuration,
    /// When restarts may happen; always if absent.
    pub window: Option<Window>,
}

/// How a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Its pods are being replaced, or its owner paused that.
    Rolling,
    /// All pods are of the current template and serve.
    Available,
    /// Nothing is on its way, and some pods do not serve.
    Degraded,
}

/// A workload as it is.
#[derive(Debug, Clone)]
pub struct Workload {
    /// When it was made.
    pub created_at: Timestamp,
    /// Its owner wants no restarts, or its kind of update takes none.
    pub opted_out: bool,
    /// What its pod template says that it was last restarted for.
    pub mark: Option<String>,
    /// What the template would say after a restart now.
    pub wanted_mark: String,
    /// How it is.
    pub health: Health,
    /// The Secrets that its pods use and whose changes restart workloads, by name.
    pub uses: BTreeMap<String, Use>,
}

/// What is remembered of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// By Secret, the hash of the data that its pods carry.
    pub carried: BTreeMap<String, String>,
    /// When it was last looked at.
    pub seen_at: Timestamp,
    /// When it was last restarted for a Secret.
    pub restarted_at: Option<Timestamp>,
    /// Whether others wait until it is healthy: it was before it was restarted.
    pub gating: bool,
}

/// Why a restart that is due does not happen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Its pods are being replaced already.
    Rollout,
    /// It was restarted a moment ago.
    Cooldown {
        /// When it may be restarted again.
        until: Timestamp,
    },
    /// The window is closed.
    Window,
    /// Others go first, one at a time.
    Turn,
    /// A workload that was restarted before is not healthy yet.
    Gate,
}

/// What is to be done in a namespace.
#[derive(Debug, Default)]
pub struct Plan {
    /// The workload to restart now.
    pub restart: Option<WorkloadId>,
    /// Those that wait, and why.
    pub waiting: BTreeMap<WorkloadId, Hold>,
    /// The workload that the others wait for.
    pub gate: Option<WorkloadId>,
}

/// Decides for all workloads of a namespace together.
#[must_use]
pub fn plan(
    workloads: &BTreeMap<WorkloadId, Workload>,
    memory: &BTreeMap<WorkloadId, Remembered>,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan {
        gate: gate(workloads, memory),
        ..Plan::default()
    };
    let mut due = Vec::new();
    for (id, workload) in workloads {
        match hold(workload, memory.get(id), now) {
            Due::No => {}
            Due::Later(hold) => drop(plan.waiting.insert(id.clone(), hold)),
            Due::Now => due.push(id),
        }
    }
    if plan.gate.is_some() {
        plan.waiting.extend(due.into_iter().map(|id| (id.clone(), Hold::Gate)));
        return plan;
    }
    // What does not serve goes first: the new data may be its cure, and nothing is lost.
    due.sort_by_key(|id| workloads.get(*id).map(|workload| workload.health) != Some(Health::Degraded));
    let mut due = due.into_iter();
    plan.restart = due.next().cloned();
    plan.waiting.extend(due.map(|id| (id.clone(), Hold::Turn)));
    plan
}

/// The workload that was restarted last and is not healthy yet, though it was before.
fn gate(workloads: &BTreeMap<WorkloadId, Workload>, memory: &BTreeMap<WorkloadId, Remembered>) -> Option<WorkloadId> {
    let mut gating = memory.iter().filter(|(_, remembered)| remembered.gating);
    let unhealthy = |id: &WorkloadId| workloads.get(id).is_some_and(|it| it.health != Health::Available);
    gating.find(|(id, _)| unhealthy(id)).map(|(id, _)| id.clone())
}

enum Due {
    No,
    Later(Hold),
    Now,
}

fn hold(workload: &Workload, remembered: Option<&Remembered>, now: Timestamp) -> Due {
    let stale: Vec<&Use> = stale(workload, remembered).map(|(_, used)| used).collect();
    if stale.is_empty() || restarted_already(workload) {
        return Due::No;
    }
    if workload.health == Health::Rolling {
        return Due::Later(Hold::Rollout);
    }
    let cooldown = stale.iter().map(|used| used.cooldown).max().unwrap_or_default();
    let until = remembered
        .and_then(|remembered| remembered.restarted_at)
        .and_then(|at| at.checked_add(cooldown).ok());
    if let Some(until) = until.filter(|until| now < *until) {
        return Due::Later(Hold::Cooldown { until });
    }
    let closed = |used: &Use| used.window.as_ref().is_some_and(|window| !window.holds(now));
    if stale.iter().any(|used| closed(used)) {
        return Due::Later(Hold::Window);
    }
    Due::Now
}

/// The restart was made, and remembering it was interrupted.
fn restarted_already(workload: &Workload) -> bool {
    workload.mark.as_deref() == Some(workload.wanted_mark.as_str())
}

/// The Secrets whose data the pods do not carry.
fn stale<'a>(
    workload: &'a Workload,
    remembered: Option<&'a Remembered>,
) -> impl Iterator<Item = (&'a String, &'a Use)> {
    let known_since = remembered.map_or(workload.created_at, |remembered| remembered.seen_at);
    let uses = workload.uses.iter().filter(|_| !workload.opted_out);
    uses.filter(
        move |(name, used)| match remembered.and_then(|it| it.carried.get(*name)) {
            Some(carried) => *carried != used.hash,
            // Pods that started after the change carry it; so do those of a Secret that never changed.
            None => used.changed_at.is_some_and(|changed_at| changed_at > known_since),
        },
    )
}

/// What is to be remembered of a workload after it was looked at, and restarted if `restarted`.
#[must_use]
pub fn remember(workload: &Workload, remembered: Option<&Remembered>, restarted: bool, now: Timestamp) -> Remembered {
    let fresh = restarted || restarted_already(workload);
    let stale: Vec<&String> = stale(workload, remembered).map(|(name, _)| name).collect();
    let carried = workload.uses.iter().map(|(name, used)| {
        let carried = if !fresh && stale.contains(&name) {
            remembered
                .and_then(|it| it.carried.get(name))
                .map_or(UNKNOWN, String::as_str)
        } else {
            used.hash.as_str()
        };
        (name.clone(), carried.to_owned())
    });
    let before = remembered.filter(|_| !restarted);
    Remembered {
        carried: carried.collect(),
        seen_at: now,
        restarted_at: if restarted {
            Some(now)
        } else {
            before.and_then(|it| it.restarted_at)
        },
        gating: if restarted {
            workload.health == Health::Available
        } else {
            before.is_some_and(|it| it.gating) && workload.health != Health::Available
        },
    }
}

/// A pause as it is written: a number with `s`, `m`, `h` or `d`, such as `15m`, up to seven days.
#[must_use]
pub fn parse_cooldown(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let plain = (1..=7).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = plain.then(|| number.parse::<i64>().ok())??.checked_mul(unit)?;
    Some(SignedDuration::from_secs(seconds)).filter(|cooldown| *cooldown <= LONGEST_COOLDOWN)
}

#[cfg(test)]
#[path = "restart_tests.rs"]
mod tests;
