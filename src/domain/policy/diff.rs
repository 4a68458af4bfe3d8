//! What a changed policy opens and what it closes.

use uuid::Uuid;

use super::capability::Capability;
use super::condition::Circumstances;
use super::engine::PolicySnapshot;
use crate::domain::actor::Actor;
use crate::domain::path::RecordPath;

/// How far a comparison goes.
#[derive(Debug, Clone, Copy)]
pub struct DiffBounds {
    /// Pairs of actor and path that are looked at.
    pub pairs: usize,
    /// Changes that are told.
    pub changes: usize,
}

/// What changes for one actor at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The actor's place in the list that was given.
    pub actor: usize,
    /// The path's place in the list that was given.
    pub path: usize,
    /// What becomes possible.
    pub opens: Vec<Capability>,
    /// What is no longer possible.
    pub closes: Vec<Capability>,
}

/// The difference between two sets of policies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// What changes, by path and actor.
    pub changes: Vec<Change>,
    /// How many of the actors the policy concerns, before or after.
    pub actors: usize,
    /// How many of the paths it concerns, before or after.
    pub paths: usize,
    /// Whether a bound was reached, so that there may be more.
    pub cut_off: bool,
}

impl Diff {
    /// Compares the decisions of two snapshots that differ in the policy `changed` alone.
    #[must_use]
    pub fn between(
        (before, after): (&PolicySnapshot, &PolicySnapshot),
        changed: Uuid,
        actors: &[Actor],
        paths: &[RecordPath],
        circumstances: &Circumstances,
        bounds: DiffBounds,
    ) -> Self {
        let mut diff = Self::default();
        let (mut touched_actors, mut touched_paths) = (vec![false; actors.len()], vec![false; paths.len()]);
        let pairs = (0..paths.len()).flat_map(|path| (0..actors.len()).map(move |actor| (path, actor)));
        for (looked_at, (path, actor)) in pairs.enumerate() {
            if looked_at >= bounds.pairs || diff.changes.len() >= bounds.changes {
                diff.cut_off = true;
                break;
            }
            let (who, what) = (&actors[actor], &paths[path]);
            if !before.touches(changed, who, what) && !after.touches(changed, who, what) {
                continue;
            }
            touched_actors[actor] = true;
            touched_paths[path] = true;
            let mut change = Change {
                actor,
                path,
                opens: Vec::new(),
                closes: Vec::new(),
            };
            for capability in Capability::ALL {
                let allowed = |snapshot: &PolicySnapshot| {
                    let decision = snapshot.decide(who, capability, what, circumstances);
                    decision.is_allowed()
                };
                match (allowed(before), allowed(after)) {
                    (false, true) => change.opens.push(capability),
                    (true, false) => change.closes.push(capability),
                    _ => {}
                }
            }
            if !change.opens.is_empty() || !change.closes.is_empty() {
                diff.changes.push(change);
            }
        }
        let count = |touched: &[bool]| touched.iter().filter(|touched| **touched).count();
        diff.actors = count(&touched_actors);
        diff.paths = count(&touched_paths);
        diff
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
