//! The engine against an evaluator that looks at every rule.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::policy::canonical_name;

/// The rules of section 6, one by one over every rule.
fn naive(policies: &[StoredPolicy], actor: &Actor, capability: Capability, at: &RecordPath) -> bool {
    let matching = |effect| {
        policies.iter().any(|policy| {
            policy.scope.covers(at)
                && policy
                    .document
                    .subjects
                    .iter()
                    .any(|subject| is(subject, policy.cluster.as_deref(), actor))
                && policy.document.rules.iter().any(|rule| {
                    let hit = |text: &String| Pattern::parse(text).unwrap().matches(at, &Variables::of(actor));
                    rule.effect == effect && rule.capabilities.contains(&capability) && rule.paths.iter().any(hit)
                })
        })
    };
    let scoped = match actor {
        Actor::ApiKey(key) => key
            .scopes
            .iter()
            .any(|scope| scope.covers(capability, at, &Variables::of(actor))),
        _ => true,
    };
    !matching(Effect::Deny) && scoped && (built_in(actor, at).is_some() || matching(Effect::Allow))
}

fn is(subject: &Subject, from: Option<&str>, actor: &Actor) -> bool {
    let same = |name: &str, other: &str| canonical_name(name) == canonical_name(other);
    let here = |cluster: &str| from.is_none_or(|from| from == cluster);
    match (subject, actor) {
        (Subject::Everyone {}, _) => true,
        (Subject::User { name }, Actor::User(user)) => same(name, &user.name),
        (Subject::Group { name }, Actor::User(user)) => user.groups.iter().any(|own| same(name, &own.name)),
        (Subject::Role { name }, Actor::User(user)) => same(name, user.role.as_str()),
        (Subject::ApiKey { id }, Actor::ApiKey(key)) => *id == key.id,
        (_, Actor::ApiKey(key)) => is(subject, from, &Actor::User(key.owner.clone())),
        (
            Subject::ServiceAccount { namespace, name },
            Actor::ServiceAccount {
                cluster,
                namespace: ns,
                name: own,
                ..
            },
        ) => here(cluster) && *namespace == ns.name && (name == "*" || name == own),
        (Subject::Namespace { name, match_labels }, Actor::Namespace { cluster, namespace }) => {
            here(cluster)
                && name.as_ref().is_none_or(|name| name == "*" || *name == namespace.name)
                && match_labels
                    .iter()
                    .all(|(key, value)| namespace.labels.get(key) == Some(value))
        }
        _ => false,
    }
}

pub(in crate::domain::policy) fn any_actor() -> impl Strategy<Value = Actor> {
    select(vec![
        user("ann", Role::User, &["a", "B"]),
        user("ＢＯＢ", Role::Admin, &[]),
        user("eve", Role::Auditor, &["a"]),
        namespace("k", "a"),
        namespace("k", "b"),
        namespace("l", "a"),
        account("k", "a", "a"),
        account("l", "b", "a"),
        api_key(1, identity("ann", Role::User, &["a"]), &["k/**"], &[Capability::Read]),
        api_key(
            2,
            identity("bob", Role::Admin, &[]),
            &["**/a", "l/b/*"],
            &[Capability::Read, Capability::List],
        ),
    ])
}

fn any_subject() -> impl Strategy<Value = Subject> {
    let name = || select(vec!["a".to_owned(), "b".to_owned()]);
    let or_all = || select(vec!["a".to_owned(), "b".to_owned(), "*".to_owned()]);
    let labels = |value: Option<String>| {
        value
            .map(|value| ("team".to_owned(), value))
            .into_iter()
            .collect::<BTreeMap<_, _>>()
    };
    prop_oneof![
        Just(Subject::Everyone {}),
        select(vec!["Ann", "bob", " EVE"]).prop_map(|name| Subject::User { name: name.into() }),
        name().prop_map(|name| Subject::Group { name }),
        (1_u128..3).prop_map(|id| Subject::ApiKey {
            id: Uuid::from_u128(id)
        }),
        select(vec!["Admin", "user", "auditor"]).prop_map(|name| Subject::Role { name: name.into() }),
        (name(), or_all()).prop_map(|(namespace, name)| Subject::ServiceAccount { namespace, name }),
        (or_all(), proptest::option::of(name())).prop_map(move |(name, label)| Subject::Namespace {
            name: Some(name),
            match_labels: labels(label)
        }),
        name().prop_map(move |label| Subject::Namespace {
            name: None,
            match_labels: labels(Some(label))
        }),
    ]
}

fn any_pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("**".to_owned()),
        "[kl]/(a|b|\\*|\\{namespace\\})/(a|b|\\*\\*)",
        "(k|l|\\*\\*)(/(a|b|\\*|\\*\\*|\\{serviceaccount\\})){1,3}",
    ]
}

pub(in crate::domain::policy) fn any_policies() -> impl Strategy<Value = Vec<StoredPolicy>> {
    let capabilities = proptest::collection::vec(select(vec![Capability::Read, Capability::List]), 1..3);
    let rule = (
        any::<bool>(),
        proptest::collection::vec(any_pattern(), 1..3),
        capabilities,
    )
        .prop_map(|(deny, paths, capabilities)| Rule {
            effect: if deny { Effect::Deny } else { Effect::Allow },
            paths,
            capabilities,
            conditions: None,
            unless: None,
        });
    let document = (
        proptest::collection::vec(any_subject(), 1..3),
        proptest::collection::vec(rule, 1..3),
    );
    let from = select(vec![None, Some("k".to_owned()), Some("l".to_owned())]);
    let one = (document, select(vec!["", "k", "k/a", "k/a/b", "l"]), from, 0_u128..1000);
    let one = one.prop_map(|((subjects, rules), scope, cluster, id)| StoredPolicy {
        id: Uuid::from_u128(id),
        name: format!("p{}", id % 3),
        cluster,
        scope: PathPrefix::parse(scope).unwrap(),
        written_at: NOW,
        document: PolicyDocument {
            subjects,
            rules,
            expires_at: None,
        },
    });
    proptest::collection::vec(one, 0..5)
}

pub(in crate::domain::policy) fn any_path() -> impl Strategy<Value = RecordPath> {
    "[kl](/[ab]){1,4}".prop_map(|text| path(&text))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn r16_deny_wins_and_the_default_is_deny_in_any_order(
        policies in any_policies(), turn in 0_usize..5, actor in any_actor(), at in any_path()
    ) {
        let expected = naive(&policies, &actor, Capability::Read, &at);
        let first = decide(policies.clone(), &actor, Capability::Read, at.as_str());
        prop_assert_eq!(first.is_allowed(), expected);
        let mut turned = policies;
        turned.reverse();
        let middle = turn.min(turned.len());
        turned.rotate_left(middle);
        for policy in &mut turned {
            policy.document.subjects.reverse();
        }
        prop_assert_eq!(decide(turned, &actor, Capability::Read, at.as_str()).effect, first.effect);
    }

    #[test]
    fn a_further_deny_never_opens_and_a_further_allow_never_closes(
        policies in any_policies(), more in any_policies(), actor in any_actor(), at in any_path()
    ) {
        let before = decide(policies.clone(), &actor, Capability::Read, at.as_str()).is_allowed();
        let with = |effect: Effect| {
            let mut all = policies.clone();
            all.extend(more.iter().cloned().map(|mut policy| {
                policy.document.rules.iter_mut().for_each(|rule| rule.effect = effect);
                policy
            }));
            decide(all, &actor, Capability::Read, at.as_str()).is_allowed()
        };
        prop_assert!(before || !with(Effect::Deny));
        prop_assert!(!before || with(Effect::Allow));
    }

    #[test]
    fn a_policy_changes_nothing_outside_its_scope(
        policies in any_policies(), more in any_policies(), actor in any_actor(), at in any_path()
    ) {
        let outside = more.into_iter().filter(|policy| !policy.scope.covers(&at));
        let all = policies.iter().cloned().chain(outside).collect();
        let before = decide(policies.clone(), &actor, Capability::Read, at.as_str());
        prop_assert_eq!(decide(all, &actor, Capability::Read, at.as_str()).effect, before.effect);
    }
}
