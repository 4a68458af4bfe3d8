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
use super::condition::{Circumstances, Condition, Conditions, Truth};
use super::document::{Effect, PolicyDocument, Rule, Subject};
use super::pattern::{Pattern, Variables};
use super::subjects::{Borne, SubjectId, SubjectIndex};
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
    /// When it was last written: the names in it mean who bore them then (R40).
    pub written_at: Timestamp,
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
    /// Whether a second factor given now would turn the refusal into a permission.
    pub step_up: bool,
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
    /// The API key's scopes do not hold it, whatever its owner may do.
    OutOfScope,
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
            Self::OutOfScope => f.write_str("the API key's scopes do not hold it"),
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
    /// Whether any rule asks for a second factor.
    asks_second_factor: bool,
}

/// The rule's place in the order of policies and rules, which is also the order of explanations.
pub(super) type RuleId = u32;

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) id: Uuid,
    pub(super) name: Arc<str>,
    pub(super) scope: PathPrefix,
    pub(super) expires_at: Option<Timestamp>,
    written_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct CompiledRule {
    policy: usize,
    pub(super) index: usize,
    pub(super) effect: Effect,
    pub(super) capabilities: CapabilitySet,
    conditions: Option<Condition>,
    unless: Option<Condition>,
}

impl CompiledRule {
    /// Whether it counts under the circumstances. What cannot be told counts against access.
    pub(super) fn counts(&self, circumstances: &Circumstances) -> bool {
        let truth = |condition: &Option<Condition>| condition.as_ref().map(|c| c.truth(circumstances));
        let (conditions, unless) = (truth(&self.conditions), truth(&self.unless));
        match self.effect {
            Effect::Allow => {
                conditions.is_none_or(|truth| truth == Truth::Holds) && unless.is_none_or(|truth| truth == Truth::Fails)
            }
            Effect::Deny => conditions != Some(Truth::Fails) && unless != Some(Truth::Holds),
        }
    }

    /// Whether it counts under any circumstances.
    pub(super) fn is_unconditional(&self) -> bool {
        self.conditions.is_none() && self.unless.is_none()
    }
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
            asks_second_factor: false,
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
    /// A policy whose end is at or before now does not count, neither its allows nor its denies: a prohibition that must not end by
    /// itself has no `expiresAt`. An API key needs its owner's right or its own and a scope that holds it; whatever is denied to either
    /// is denied. [`Actor::System`] is never allowed.
    #[must_use]
    pub fn decide(
        &self,
        actor: &Actor,
        capability: Capability,
        path: &RecordPath,
        circumstances: &Circumstances,
    ) -> Decision {
        let mut decision = self.decide_as_it_stands(actor, capability, path, circumstances);
        // Only a person can give a second factor.
        if !decision.is_allowed() && self.asks_second_factor && matches!(actor, Actor::User(_)) {
            decision.step_up = self
                .decide_as_it_stands(actor, capability, path, &circumstances.stepped_up())
                .is_allowed();
        }
        decision
    }

    fn decide_as_it_stands(
        &self,
        actor: &Actor,
        capability: Capability,
        path: &RecordPath,
        circumstances: &Circumstances,
    ) -> Decision {
        let found = self.search(actor, capability, path, circumstances);
        let (effect, because) = match (found.deny, built_in(actor, path), found.allow) {
            (Some(rule), _, _) => (Effect::Deny, self.because(rule)),
            _ if !in_scope(actor, capability, path) => (Effect::Deny, Because::OutOfScope),
            (None, Some(right), _) => (Effect::Allow, Because::BuiltIn(right)),
            (None, None, Some(rule)) => (Effect::Allow, self.because(rule)),
            (None, None, None) => (Effect::Deny, Because::NoRule),
        };
        Decision {
            effect,
            because,
            step_up: false,
        }
    }

    fn search(&self, actor: &Actor, capability: Capability, path: &RecordPath, circumstances: &Circumstances) -> Found {
        let mut found = Found::default();
        let subjects = self.subjects.of(actor);
        if subjects.is_empty() {
            return found;
        }
        let variables = Variables::of(actor);
        let segments: Vec<&str> = path.segments().collect();
        self.walk(&subjects, &segments, |borne, pattern, id| {
            let Some((rule, policy)) = self.rule(id) else { return };
            let first = match rule.effect {
                Effect::Deny => &mut found.deny,
                Effect::Allow => &mut found.allow,
            };
            if first.is_none_or(|first| id < first)
                && rule.capabilities.holds(capability)
                && policy.is_in_force(circumstances)
                && policy.means(borne)
                && policy.scope.covers(path)
                && pattern.matches_segments(&segments, &variables)
                && rule.counts(circumstances)
            {
                *first = Some(id);
            }
        });
        found
    }

    /// Visits every pattern that concerns one of `subjects` and begins as the path does.
    pub(super) fn walk<'a>(
        &'a self,
        subjects: &[Borne],
        segments: &[&str],
        mut visit: impl FnMut(&Borne, &'a Pattern, RuleId),
    ) {
        let mut rest = segments.iter();
        let mut next = Some(&self.tree);
        while let Some(node) = next {
            self.visit(node, subjects, &mut visit);
            next = rest.next().and_then(|segment| node.children.get(*segment));
        }
    }

    /// Visits every pattern that concerns one of `subjects`.
    pub(super) fn walk_all<'a>(&'a self, subjects: &[Borne], visit: &mut impl FnMut(&Borne, &'a Pattern, RuleId)) {
        let mut nodes = vec![&self.tree];
        while let Some(node) = nodes.pop() {
            self.visit(node, subjects, visit);
            nodes.extend(node.children.values());
        }
    }

    fn visit<'a>(&'a self, node: &Node, subjects: &[Borne], visit: &mut impl FnMut(&Borne, &'a Pattern, RuleId)) {
        for borne in subjects {
            for entry in node.entries.get(&borne.id).into_iter().flatten() {
                if let Some((pattern, id)) = usize::try_from(*entry).ok().and_then(|entry| self.patterns.get(entry)) {
                    visit(borne, pattern, *id);
                }
            }
        }
    }

    /// Which subjects of this snapshot an actor is.
    pub(super) fn subjects(&self) -> &SubjectIndex {
        &self.subjects
    }

    pub(super) fn rule(&self, id: RuleId) -> Option<(&CompiledRule, &Policy)> {
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
            written_at: stored.written_at,
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
        let compile = |written: &Option<Conditions>| {
            let compile = |written| Condition::compile(written).unwrap_or_else(|_| Condition::unreadable());
            written.as_ref().map(compile)
        };
        let (conditions, unless) = (compile(&rule.conditions), compile(&rule.unless));
        self.asks_second_factor |= [&conditions, &unless]
            .into_iter()
            .flatten()
            .any(Condition::asks_second_factor);
        self.rules.push(CompiledRule {
            policy: self.policies.len(),
            index,
            effect: rule.effect,
            capabilities,
            conditions,
            unless,
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

impl Policy {
    pub(super) fn is_in_force(&self, circumstances: &Circumstances) -> bool {
        self.expires_at.is_none_or(|end| circumstances.now < end)
    }

    /// Whether the names in it mean this bearer.
    pub(super) fn means(&self, borne: &Borne) -> bool {
        borne.is_meant(self.written_at)
    }
}

/// Whether `actor` may do this as far as the scopes go that it has as an API key.
fn in_scope(actor: &Actor, capability: Capability, path: &RecordPath) -> bool {
    let Actor::ApiKey(key) = actor else { return true };
    let owner = Variables::of(actor);
    key.scopes.iter().any(|scope| scope.covers(capability, path, &owner))
}

/// The right that `actor` has at `path` without any policy (design section 6).
fn built_in(actor: &Actor, path: &RecordPath) -> Option<&'static str> {
    let mut segments = path.segments();
    let (first, second, below) = (segments.next()?, segments.next()?, segments.next().is_some());
    if let Some(user) = actor.user() {
        return match user.role {
            Role::Admin => Some("administrator"),
            Role::User => {
                let id = user.id.as_hyphenated();
                let own = below && first == USERS && second == id.encode_lower(&mut Uuid::encode_buffer());
                own.then_some("own user root")
            }
            Role::Auditor => None,
        };
    }
    match actor {
        Actor::Namespace { cluster, namespace } => {
            (below && first == cluster && second == namespace.name).then_some("own namespace root")
        }
        Actor::User(_) | Actor::ApiKey(_) | Actor::ServiceAccount { .. } | Actor::System => None,
    }
}

#[cfg(test)]
#[path = "engine_tests/mod.rs"]
pub(super) mod tests;
