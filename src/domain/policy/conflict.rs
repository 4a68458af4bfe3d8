//! Where denies of other policies overrule what a policy allows.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::capability::Capability;
use super::condition::Circumstances;
use super::document::Effect;
use super::engine::{Because, PolicySnapshot, StoredPolicy};
use crate::domain::actor::Actor;
use crate::domain::path::RecordPath;

/// A policy whose denies overrule allows of the one that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The name of the policy that denies.
    pub policy: Arc<str>,
    /// How many rights are overruled: a capability of an actor at a path is one.
    pub rights: usize,
    /// The first of them: the actor's place in the list that was given, the path's, and the capability.
    pub first: (usize, usize, Capability),
}

/// What `policy` would allow and denies of others forbid, by the name of the policy that decides. `all` are the policies in force, with it.
/// At most `pairs` of actor and path are looked at.
#[must_use]
pub fn conflicts(
    policy: &StoredPolicy,
    all: &PolicySnapshot,
    actors: &[Actor],
    paths: &[RecordPath],
    circumstances: &Circumstances,
    pairs: usize,
) -> Vec<Conflict> {
    let id = policy.id;
    let alone = PolicySnapshot::compile(0, vec![policy.clone()]);
    let mut found: BTreeMap<Arc<str>, Conflict> = BTreeMap::new();
    let all_pairs = (0..paths.len()).flat_map(|path| (0..actors.len()).map(move |actor| (path, actor)));
    for (path, actor) in all_pairs.take(pairs) {
        let (who, what) = (&actors[actor], &paths[path]);
        if !alone.touches(id, who, what) {
            continue;
        }
        for capability in Capability::ALL {
            if !allows(&alone, who, capability, what, circumstances) {
                continue;
            }
            let decision = all.decide(who, capability, what, circumstances);
            let Some(by) = overruling(decision.is_allowed(), decision.because, id) else {
                continue;
            };
            let conflict = found.entry(Arc::clone(&by)).or_insert_with(|| Conflict {
                policy: by,
                rights: 0,
                first: (actor, path, capability),
            });
            conflict.rights += 1;
        }
    }
    found.into_values().collect()
}

/// Whether the policy itself allows it, whatever rights the actor has without any.
fn allows(
    alone: &PolicySnapshot,
    actor: &Actor,
    capability: Capability,
    path: &RecordPath,
    circumstances: &Circumstances,
) -> bool {
    let rules = alone.matching(actor, capability, path, circumstances);
    let counts = |effect: Effect| {
        let mut rules = rules.iter();
        rules.any(|rule| rule.effect == effect && rule.not_counted.is_none())
    };
    counts(Effect::Allow) && !counts(Effect::Deny)
}

/// The policy of another id whose rule forbids.
fn overruling(allowed: bool, because: Because, id: Uuid) -> Option<Arc<str>> {
    match because {
        Because::Rule { policy_id, policy, .. } if !allowed && policy_id != id => Some(policy),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::actor::Role;
    use crate::domain::policy::engine::tests::properties::{any_actor, any_path, any_policies};
    use crate::domain::policy::engine::tests::{EVERYONE, now, path, simple, user};

    fn found(policy: &StoredPolicy, others: &[StoredPolicy], actors: &[Actor], paths: &[RecordPath]) -> Vec<Conflict> {
        let mut all = others.to_vec();
        all.push(policy.clone());
        conflicts(policy, &PolicySnapshot::compile(1, all), actors, paths, &now(), 1000)
    }

    #[test]
    fn a_deny_of_another_policy_is_named_with_what_it_overrules() {
        let allow = simple("team", EVERYONE, "allow", "shared/**", "read");
        let guard = simple(
            "guard",
            r#"{"kind": "Group", "name": "ops"}"#,
            "deny",
            "shared/a",
            "read",
        );
        let elsewhere = simple("other", EVERYONE, "deny", "shared/b", "list");
        let actors = [user("ann", Role::User, &["ops"]), user("bob", Role::User, &[])];
        let paths = [path("shared/b"), path("shared/a")];
        let told = found(&allow, &[guard, elsewhere], &actors, &paths);
        let conflict = Conflict {
            policy: "guard".into(),
            rights: 1,
            first: (0, 1, Capability::Read),
        };
        assert_eq!(told, [conflict]);
    }

    #[test]
    fn a_policy_is_not_at_odds_with_itself_nor_with_what_others_allow() {
        let document = r#"{"subjects": [{"kind": "Everyone"}], "rules": [
            {"effect": "allow", "paths": ["shared/**"], "capabilities": ["read"]},
            {"effect": "deny", "paths": ["shared/a"], "capabilities": ["read"]}]}"#;
        let own = StoredPolicy {
            document: serde_json::from_str(document).unwrap(),
            ..simple("own", EVERYONE, "allow", "x/y", "read")
        };
        let other = simple("other", EVERYONE, "allow", "shared/**", "read");
        let actors = [user("ann", Role::User, &[])];
        assert_eq!(
            found(&own, &[other], &actors, &[path("shared/a"), path("shared/b")]),
            []
        );
    }

    proptest! {
        #[test]
        fn conflicts_are_exactly_the_allows_that_denies_of_others_forbid(
            policies in any_policies(), new in any_policies(), actors in proptest::collection::vec(any_actor(), 1..4),
            paths in proptest::collection::vec(any_path(), 1..4),
        ) {
            for mut policy in new {
                policy.id = Uuid::from_u128(u128::MAX);
                let told: usize = found(&policy, &policies, &actors, &paths).iter().map(|conflict| conflict.rights).sum();
                let mut with = policies.clone();
                with.push(policy.clone());
                let with = PolicySnapshot::compile(1, with);
                let mut expected = 0;
                for (who, what) in actors.iter().flat_map(|who| paths.iter().map(move |what| (who, what))) {
                    for capability in Capability::ALL {
                        let rules = with.matching(who, capability, what, &now());
                        let any = |own: bool, effect: Effect| rules.iter().any(|rule| {
                            (rule.policy_id == policy.id) == own && rule.effect == effect && rule.not_counted.is_none()
                        });
                        expected += usize::from(any(true, Effect::Allow) && !any(true, Effect::Deny) && any(false, Effect::Deny));
                    }
                }
                prop_assert_eq!(told, expected);
            }
        }
    }
}
