//! Deciding: an immutable snapshot of all policies, swapped in whole when one changes.
//!
//! Patterns stand in a tree by the literal segments that they begin with, and at each node by subject. A decision walks the path down
//! the tree and looks only at patterns that share its beginning and concern its actor, so it takes about a microsecond whether there
//! are ten rules or ten thousand.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::capability::{Capability, CapabilitySet};
use super::document::{Effect, PolicyDocument, Rule, Subject};
use super::pattern::{Pattern, Variables};
use super::subjects::{SubjectId, SubjectIndex};
use super::validate::{check_subject, validate};
use crate::domain::actor::{Actor, Role};
use crate::domain::path::{PathPrefix, RecordPath};
use crate::domain::root::USERS;

/// A policy as the store hands it over.
#[derive(Debug, Clone)]
pub struct StoredPolicy {
    /// Its id.
    pub id: Uuid,
    /// The name to show in explanations: `shop/allow-ca` for a resource.
    pub name: String,
    /// The cluster that it came from; its `Namespace` and `ServiceAccount` subjects match actors of that cluster only.
    pub cluster: Option<String>,
    /// The paths that it can concern at all; outside, neither its allows nor its denies count.
    pub scope: PathPrefix,
    /// Subjects and rules.
    pub document: PolicyDocument,
}

/// What was decided, and what decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Allow or deny.
    pub effect: Effect,
    /// What decided.
    pub because: Because,
}

impl Decision {
    /// Whether the actor may go on.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.effect == Effect::Allow
    }
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// Nothing allows it: the default is deny.
    NoRule,
    /// A right that needs no policy.
    BuiltIn(&'static str),
    /// A rule. Of several that match, the first by the policy's name, id and the order of its rules.
    Rule {
        /// The policy's id.
        policy_id: Uuid,
        /// The policy's name.
        policy: Arc<str>,
        /// The rule's index in the policy, from 0.
        rule: usize,
    },
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no policy allows it"),
            Self::BuiltIn(right) => write!(f, "built-in right: {right}"),
            Self::Rule { policy, rule, .. } => write!(f, "policy '{policy}', rules[{rule}]"),
        }
    }
}

/// Every policy in force, compiled.
#[derive(Debug)]
pub struct PolicySnapshot {
    epoch: i64,
    policies: Vec<Policy>,
    rules: Vec<CompiledRule>,
    patterns: Vec<(Pattern, RuleId)>,
    subjects: SubjectIndex,
    tree: Node,
    broken: Vec<(Uuid, String)>,
}

/// The rule's place in the order of policies and rules, which is also the order of explanations.
type RuleId = u32;

#[derive(Debug)]
struct Policy {
    id: Uuid,
    name: Arc<str>,
    scope: PathPrefix,
    expires_at: Option<Timestamp>,
}

#[derive(Debug)]
struct CompiledRule {
    policy: usize,
    index: usize,
    effect: Effect,
    capabilities: CapabilitySet,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    /// Indices into `patterns`.
    entries: HashMap<SubjectId, Vec<u32>>,
}

impl PolicySnapshot {
    /// Compiles all policies of an epoch.
    ///
    /// A document is validated before it is stored. One that is broken nevertheless fails closed, so that damage can only take rights
    /// away: its allows are dropped, its denies stay, and whatever of a deny cannot be read is taken as widely as possible (a bad
    /// pattern as `**`, a bad subject as everyone, no capabilities as all), still within the policy's scope. See [`Self::broken`].
    #[must_use]
    pub fn compile(epoch: i64, mut policies: Vec<StoredPolicy>) -> Self {
        policies.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let mut snapshot = Self {
            epoch,
            policies: Vec::with_capacity(policies.len()),
            rules: Vec::new(),
            patterns: Vec::new(),
            subjects: SubjectIndex::default(),
            tree: Node::default(),
            broken: Vec::new(),
        };
        for policy in policies {
            snapshot.add(policy);
        }
        snapshot
    }

    /// The epoch that it was compiled for. Audit commits confirm that it is still the current one.
    #[must_use]
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Policies that did not compile, with the reason: for the log, a metric and the policy's condition.
    #[must_use]
    pub fn broken(&self) -> &[(Uuid, String)] {
        &self.broken
    }

    /// How many rules there are.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Decides. Default deny; any matching deny wins, over built-in rights and administrators too (R16).
    ///
    /// A policy whose end is at or before `now` does not count, neither its allows nor its denies: a prohibition that must not end by
    /// itself has no `expiresAt`. [`Actor::System`] is never allowed.
    #[must_use]
    pub fn decide(&self, actor: &Actor, capability: Capability, path: &RecordPath, now: Timestamp) -> Decision {
        let found = self.search(actor, capability, path, now);
        match (found.deny, built_in(actor, path), found.allow) {
            (Some(rule), _, _) => Decision {
                effect: Effect::Deny,
                because: self.because(rule),
            },
            (None, Some(right), _) => Decision {
                effect: Effect::Allow,
                because: Because::BuiltIn(right),
            },
            (None, None, Some(rule)) => Decision {
                effect: Effect::Allow,
                because: self.because(rule),
            },
            (None, None, None) => Decision {
                effect: Effect::Deny,
                because: Because::NoRule,
            },
        }
    }

    fn search(&self, actor: &Actor, capability: Capability, path: &RecordPath, now: Timestamp) -> Found {
        let mut found = Found::default();
        let subjects = self.subjects.of(actor);
        if subjects.is_empty() {
            return found;
        }
        let variables = Variables::of(actor);
        let segments: Vec<&str> = path.segments().collect();
        let mut rest = segments.iter();
        let mut next = Some(&self.tree);
        while let Some(node) = next {
            for entry in subjects
                .iter()
                .filter_map(|subject| node.entries.get(subject))
                .flatten()
            {
                let Some((pattern, id)) = usize::try_from(*entry).ok().and_then(|entry| self.patterns.get(entry))
                else {
                    continue;
                };
                let Some((rule, policy)) = self.rule(*id) else {
                    continue;
                };
                let first = match rule.effect {
                    Effect::Deny => &mut found.deny,
                    Effect::Allow => &mut found.allow,
                };
                if first.is_none_or(|first| *id < first)
                    && rule.capabilities.holds(capability)
                    && policy.expires_at.is_none_or(|end| now < end)
                    && policy.scope.covers(path)
                    && pattern.matches_segments(&segments, &variables)
                {
                    *first = Some(*id);
                }
            }
            next = rest.next().and_then(|segment| node.children.get(*segment));
        }
        found
    }

    fn rule(&self, id: RuleId) -> Option<(&CompiledRule, &Policy)> {
        let rule = self.rules.get(usize::try_from(id).ok()?)?;
        Some((rule, self.policies.get(rule.policy)?))
    }

    fn because(&self, id: RuleId) -> Because {
        self.rule(id).map_or(Because::NoRule, |(rule, policy)| Because::Rule {
            policy_id: policy.id,
            policy: Arc::clone(&policy.name),
            rule: rule.index,
        })
    }

    fn add(&mut self, stored: StoredPolicy) {
        let broken = validate(&stored.document).err();
        let subjects = self.subject_ids(&stored);
        for (index, rule) in stored.document.rules.iter().enumerate() {
            if broken.is_some() && rule.effect == Effect::Allow {
                continue;
            }
            self.add_rule(rule, index, &stored.scope, &subjects);
        }
        if let Some(problems) = broken {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            self.broken.push((stored.id, problems.join("; ")));
        }
        self.policies.push(Policy {
            id: stored.id,
            name: stored.name.into(),
            scope: stored.scope,
            expires_at: stored.document.expires_at,
        });
    }

    /// What a subject that does not pass is taken as matters to denies alone: a document with one has lost its allows.
    fn subject_ids(&mut self, stored: &StoredPolicy) -> Vec<SubjectId> {
        let cluster = stored.cluster.as_deref();
        let subjects = &stored.document.subjects;
        let mut ids: Vec<_> = subjects
            .iter()
            .map(|subject| {
                if check_subject(subject).is_ok() {
                    subject
                } else {
                    &Subject::Everyone {}
                }
            })
            .map(|subject| self.subjects.intern(subject, cluster))
            .collect();
        if ids.is_empty() {
            ids.push(self.subjects.intern(&Subject::Everyone {}, cluster));
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn add_rule(&mut self, rule: &Rule, index: usize, scope: &PathPrefix, subjects: &[SubjectId]) {
        // Each number stands for at least a few bytes of a document, so the memory would run out long before the numbers.
        let id = RuleId::try_from(self.rules.len()).unwrap_or(RuleId::MAX);
        let mut capabilities: CapabilitySet = rule.capabilities.iter().copied().collect();
        if rule.capabilities.is_empty() {
            capabilities = Capability::ALL.into_iter().collect();
        }
        self.rules.push(CompiledRule {
            policy: self.policies.len(),
            index,
            effect: rule.effect,
            capabilities,
        });
        let mut patterns: Vec<_> = rule
            .paths
            .iter()
            .map(|text| Pattern::parse(text).unwrap_or_else(|_| Pattern::everything()))
            .collect();
        if patterns.is_empty() {
            patterns.push(Pattern::everything());
        }
        for pattern in patterns {
            let Some(node) = self.tree.place(scope, &pattern) else {
                continue;
            };
            let entry = u32::try_from(self.patterns.len()).unwrap_or(u32::MAX);
            for subject in subjects {
                node.entries.entry(*subject).or_default().push(entry);
            }
            self.patterns.push((pattern, id));
        }
    }
}

#[derive(Debug, Default)]
struct Found {
    deny: Option<RuleId>,
    allow: Option<RuleId>,
}

impl Node {
    /// The node where a pattern stands: below its own literal beginning or its scope, whichever is longer. `None` if the two part
    /// ways, so that nothing within the scope can match.
    fn place(&mut self, scope: &PathPrefix, pattern: &Pattern) -> Option<&mut Self> {
        let mut node = self;
        let mut scope = scope.as_str().split_terminator('/');
        let mut head = pattern.literal_head();
        loop {
            let segment = match (scope.next(), head.next()) {
                (Some(scope), Some(head)) if scope != head => return None,
                (Some(segment), _) | (None, Some(segment)) => segment,
                (None, None) => return Some(node),
            };
            node = node.children.entry(segment.into()).or_default();
        }
    }
}

/// The right that `actor` has at `path` without any policy (design section 6).
fn built_in(actor: &Actor, path: &RecordPath) -> Option<&'static str> {
    let mut segments = path.segments();
    let (first, second, below) = (segments.next()?, segments.next()?, segments.next().is_some());
    match actor {
        Actor::User { role: Role::Admin, .. } => Some("administrator"),
        Actor::User {
            role: Role::User, id, ..
        } => {
            let own = below && first == USERS && second == id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer());
            own.then_some("own user root")
        }
        Actor::Namespace { cluster, namespace } => {
            (below && first == cluster && second == namespace.name).then_some("own namespace root")
        }
        Actor::User {
            role: Role::Auditor, ..
        }
        | Actor::ServiceAccount { .. }
        | Actor::System => None,
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
