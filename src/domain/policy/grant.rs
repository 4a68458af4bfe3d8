//! Nobody grants what they do not hold (R20, CVE-2024-9180).

use std::collections::HashSet;

use uuid::Uuid;

use super::capability::{Capability, CapabilitySet};
use super::condition::Circumstances;
use super::cover::Shape;
use super::document::{Effect, PolicyDocument};
use super::engine::{PolicySnapshot, RuleId};
use super::pattern::{Pattern, Variables};
use super::subjects::Borne;
use super::validate::Problem;
use crate::domain::actor::{Actor, Role};
use crate::domain::root::USERS;

/// Something that the grantor may do, or may not, over all paths of a shape.
struct Holding {
    capabilities: CapabilitySet,
    shape: Shape,
    /// What denies, for the message.
    policy: String,
}

impl PolicySnapshot {
    /// Whether `grantor` holds everything that the allows of `document` would give to anybody.
    ///
    /// What is denied to the grantor, though only in part, cannot be granted. Two denies do not count: those of the policy that the
    /// document replaces, and those that deny everyone always, which deny it to whom it is granted as well. Rights that depend on
    /// circumstances or that end are not held well enough to be handed on.
    ///
    /// # Errors
    /// What cannot be granted, with its place in the document.
    pub fn may_grant(
        &self,
        grantor: &Actor,
        document: &PolicyDocument,
        replaced: Option<Uuid>,
        circumstances: &Circumstances,
    ) -> Result<(), Vec<Problem>> {
        let (denied, allowed) = self.holdings(grantor, replaced, circumstances);
        let mut problems = Vec::new();
        let allows = document
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.effect == Effect::Allow);
        for (index, rule) in allows {
            for (path, text) in rule.paths.iter().enumerate() {
                // What is no pattern grants nothing; validation has refused it.
                let Ok(pattern) = Pattern::parse(text) else { continue };
                let shape = Shape::for_anybody(&pattern);
                for capability in &rule.capabilities {
                    let missing = match denied.iter().find(|deny| deny.meets(*capability, &shape)) {
                        Some(deny) => Some(format!(
                            "policy '{}' denies it to you on a part of these paths",
                            deny.policy
                        )),
                        None if holds(grantor, *capability, &shape, &allowed) => None,
                        None => Some(
                            "you do not hold it on all of these paths, without conditions and without end".to_owned(),
                        ),
                    };
                    if let Some(missing) = missing {
                        problems.push(Problem {
                            at: format!("rules[{index}].paths[{path}]"),
                            message: format!("you cannot grant '{}': {missing}", capability.as_str()),
                        });
                    }
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// What is denied to an actor now, and what policies allow it always.
    fn holdings(
        &self,
        actor: &Actor,
        replaced: Option<Uuid>,
        circumstances: &Circumstances,
    ) -> (Vec<Holding>, Vec<Holding>) {
        let (mut denied, mut allowed) = (Vec::new(), Vec::new());
        let (variables, subjects) = (Variables::of(actor), self.subjects().of(actor));
        let for_everyone = self.denied_to_everyone();
        self.walk_all(&subjects, &mut |borne: &Borne, pattern: &Pattern, id| {
            let Some((rule, policy)) = self.rule(id) else { return };
            if !policy.is_in_force(circumstances) || !policy.means(borne) || Some(policy.id) == replaced {
                return;
            }
            let Some(shape) = Shape::own(pattern, &variables) else {
                return;
            };
            let holding = Holding {
                capabilities: rule.capabilities,
                shape,
                policy: policy.name.to_string(),
            };
            match rule.effect {
                Effect::Deny => {
                    let moot = for_everyone.contains(&id) && !pattern.has_variables();
                    if rule.counts(circumstances) && !moot {
                        denied.push(holding);
                    }
                }
                // Outside its scope an allow allows nothing.
                Effect::Allow => {
                    if rule.is_unconditional() && policy.expires_at.is_none() && pattern.stays_below(&policy.scope) {
                        allowed.push(holding);
                    }
                }
            }
        });
        (denied, allowed)
    }

    /// The rules that deny everyone, always.
    fn denied_to_everyone(&self) -> HashSet<RuleId> {
        let mut rules = HashSet::new();
        let everyone: Vec<Borne> = self.subjects().everyone().iter().map(Borne::always).collect();
        self.walk_all(&everyone, &mut |_: &Borne, _: &Pattern, id| {
            let always = self.rule(id).is_some_and(|(rule, policy)| {
                rule.effect == Effect::Deny && rule.is_unconditional() && policy.expires_at.is_none()
            });
            if always {
                rules.insert(id);
            }
        });
        rules
    }
}

impl Holding {
    fn meets(&self, capability: Capability, shape: &Shape) -> bool {
        self.capabilities.holds(capability) && self.shape.meets(shape)
    }

    fn covers(&self, capability: Capability, shape: &Shape) -> bool {
        self.capabilities.holds(capability) && self.shape.covers(shape)
    }
}

/// Whether the actor holds the capability on all of `shape`, by a built-in right or by one rule, and within one scope if it is a key.
fn holds(actor: &Actor, capability: Capability, shape: &Shape, allowed: &[Holding]) -> bool {
    let built_in = match actor {
        Actor::Namespace { cluster, namespace } => below(&format!("{cluster}/{}", namespace.name), shape),
        _ => actor.user().is_some_and(|user| match user.role {
            Role::Admin => true,
            Role::User => below(&format!("{USERS}/{}", user.id), shape),
            Role::Auditor => false,
        }),
    };
    let scoped = match actor {
        Actor::ApiKey(key) => {
            let owner = Variables::of(actor);
            key.scopes
                .iter()
                .any(|scope| scope.covers_shape(capability, shape, &owner))
        }
        _ => true,
    };
    scoped && (built_in || allowed.iter().any(|allow| allow.covers(capability, shape)))
}

fn below(root: &str, shape: &Shape) -> bool {
    Pattern::parse(&format!("{root}/**")).is_ok_and(|pattern| Shape::for_anybody(&pattern).covers(shape))
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
