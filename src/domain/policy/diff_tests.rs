//! Tests of the comparison.

use proptest::prelude::*;

use super::*;
use crate::domain::actor::Role;
use crate::domain::policy::StoredPolicy;
use crate::domain::policy::engine::tests::properties::{any_actor, any_path, any_policies};
use crate::domain::policy::engine::tests::{EVERYONE, now, path, simple, user};

const WHOLE: DiffBounds = DiffBounds {
    pairs: 1000,
    changes: 1000,
};

fn snapshot(policies: &[StoredPolicy]) -> PolicySnapshot {
    PolicySnapshot::compile(1, policies.to_vec())
}

#[test]
fn a_deny_closes_an_allow_opens_and_the_rest_is_not_told() {
    let (allow, deny) = (
        simple("p", r#"{"kind": "Group", "name": "ops"}"#, "allow", "shared/*", "read"),
        simple("p", EVERYONE, "deny", "shared/a", "list"),
    );
    let actors = [
        user("ann", Role::User, &["ops"]),
        user("bob", Role::User, &[]),
        user("root", Role::Admin, &[]),
    ];
    let paths = [path("shared/a"), path("other/b")];
    let told = |before: &[StoredPolicy], after: &[StoredPolicy]| {
        let (before, after) = (snapshot(before), snapshot(after));
        Diff::between((&before, &after), allow.id, &actors, &paths, &now(), WHOLE)
    };
    let opened = told(&[], std::slice::from_ref(&allow));
    let change = |actor, opens: &[Capability], closes: &[Capability]| Change {
        actor,
        path: 0,
        opens: opens.to_vec(),
        closes: closes.to_vec(),
    };
    assert_eq!(opened.changes, [change(0, &[Capability::Read], &[])]);
    assert_eq!((opened.actors, opened.paths, opened.cut_off), (1, 1, false));
    let changed = told(std::slice::from_ref(&allow), std::slice::from_ref(&deny));
    assert_eq!(
        changed.changes,
        [change(0, &[], &[Capability::Read]), change(2, &[], &[Capability::List])]
    );
}

#[test]
fn a_comparison_says_when_it_was_cut_off() {
    let allow = simple("p", EVERYONE, "allow", "shared/**", "read");
    let actors = [user("ann", Role::User, &[]), user("bob", Role::User, &[])];
    let paths = [path("shared/a"), path("shared/b")];
    let (before, after) = (snapshot(&[]), snapshot(std::slice::from_ref(&allow)));
    for (pairs, changes, told, cut_off) in [(4, 9, 4, false), (3, 9, 3, true), (9, 1, 1, true), (0, 0, 0, true)] {
        let bounds = DiffBounds { pairs, changes };
        let diff = Diff::between((&before, &after), allow.id, &actors, &paths, &now(), bounds);
        assert_eq!((diff.changes.len(), diff.cut_off), (told, cut_off), "{pairs} {changes}");
    }
}

proptest! {
    #[test]
    fn the_comparison_tells_exactly_the_decisions_that_differ(
        policies in any_policies(), new in any_policies(), actors in proptest::collection::vec(any_actor(), 1..4),
        paths in proptest::collection::vec(any_path(), 1..4),
    ) {
        let id = Uuid::from_u128(u128::MAX);
        for mut policy in new {
            policy.id = id;
            let mut with = policies.clone();
            with.push(policy);
            let (before, after) = (snapshot(&policies), snapshot(&with));
            let diff = Diff::between((&before, &after), id, &actors, &paths, &now(), WHOLE);
            for (actor, who) in actors.iter().enumerate() {
                for (path, what) in paths.iter().enumerate() {
                    let told = diff.changes.iter().find(|change| (change.actor, change.path) == (actor, path));
                    for capability in Capability::ALL {
                        let allowed = |s: &PolicySnapshot| s.decide(who, capability, what, &now()).is_allowed();
                        let opens = told.is_some_and(|change| change.opens.contains(&capability));
                        let closes = told.is_some_and(|change| change.closes.contains(&capability));
                        prop_assert_eq!(opens, !allowed(&before) && allowed(&after));
                        prop_assert_eq!(closes, allowed(&before) && !allowed(&after));
                    }
                }
            }
        }
    }
}
