//! Everything that matched, for whoever asks why.

use std::sync::Arc;

use uuid::Uuid;

use super::capability::Capability;
use super::condition::Circumstances;
use super::document::Effect;
use super::engine::{PolicySnapshot, RuleId};
use super::pattern::Variables;
use crate::domain::actor::Actor;
use crate::domain::path::RecordPath;

/// A rule that concerns the actor, the capability and the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The policy's id.
    pub policy_id: Uuid,
    /// The policy's name.
    pub policy: Arc<str>,
    /// The rule's index in the policy, from 0.
    pub rule: usize,
    /// Allow or deny.
    pub effect: Effect,
    /// Why it does not count, if it does not.
    pub not_counted: Option<NotCounted>,
}

/// Why a rule that matches does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCounted {
    /// The policy has ended.
    Expired,
    /// It was written for whoever bore the name before.
    EarlierBearer,
    /// The circumstances are not those that it asks for.
    Circumstances,
}

impl NotCounted {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "Expired",
            Self::EarlierBearer => "EarlierBearer",
            Self::Circumstances => "Circumstances",
        }
    }
}

impl PolicySnapshot {
    /// Every rule that matches, counted or not, in the order of policies and rules.
    #[must_use]
    pub fn matching(
        &self,
        actor: &Actor,
        capability: Capability,
        path: &RecordPath,
        circumstances: &Circumstances,
    ) -> Vec<Match> {
        let (variables, subjects) = (Variables::of(actor), self.subjects().of(actor));
        let segments: Vec<&str> = path.segments().collect();
        let mut found: Vec<(RuleId, Match)> = Vec::new();
        self.walk(&subjects, &segments, |borne, pattern, id| {
            let Some((rule, policy)) = self.rule(id) else { return };
            if !rule.capabilities.holds(capability)
                || !policy.scope.covers(path)
                || !pattern.matches_segments(&segments, &variables)
            {
                return;
            }
            let not_counted = if !policy.is_in_force(circumstances) {
                Some(NotCounted::Expired)
            } else if !policy.means(borne) {
                Some(NotCounted::EarlierBearer)
            } else if !rule.counts(circumstances) {
                Some(NotCounted::Circumstances)
            } else {
                None
            };
            let matched = Match {
                policy_id: policy.id,
                policy: Arc::clone(&policy.name),
                rule: rule.index,
                effect: rule.effect,
                not_counted,
            };
            found.push((id, matched));
        });
        // A rule can be met by several subjects and patterns: as counted, if by any.
        found.sort_by_key(|(id, matched)| (*id, matched.not_counted.is_some()));
        found.dedup_by_key(|(id, _)| *id);
        found.into_iter().map(|(_, matched)| matched).collect()
    }

    /// Whether any rule of a policy concerns the actor and the path.
    pub(super) fn touches(&self, policy_id: Uuid, actor: &Actor, path: &RecordPath) -> bool {
        let (variables, subjects) = (Variables::of(actor), self.subjects().of(actor));
        let segments: Vec<&str> = path.segments().collect();
        let mut touched = false;
        self.walk(&subjects, &segments, |_, pattern, id| {
            touched = touched
                || self
                    .rule(id)
                    .is_some_and(|(_, policy)| policy.id == policy_id && policy.scope.covers(path))
                    && pattern.matches_segments(&segments, &variables);
        });
        touched
    }
}
