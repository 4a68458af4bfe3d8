//! Tests of the engine: tables for what people rely on, properties against an evaluator that looks at every rule.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::actor::{ApiKeyIdentity, GroupName, NamespaceName, UserIdentity};
use crate::domain::policy::{KeyScope, ScopeDocument, canonical_name};

pub(in crate::domain::policy) const NOW: Timestamp = Timestamp::UNIX_EPOCH;

pub(in crate::domain::policy) fn identity(name: &str, role: Role, groups: &[&str]) -> UserIdentity {
    let group = |name: &&str| GroupName {
        name: (*name).into(),
        since: None,
    };
    UserIdentity {
        id: Uuid::from_u128(7),
        name: name.into(),
        name_since: None,
        role,
        groups: groups.iter().map(group).collect(),
    }
}

pub(in crate::domain::policy) fn user(name: &str, role: Role, groups: &[&str]) -> Actor {
    Actor::User(identity(name, role, groups))
}

/// A key of `owner` with one scope over `capabilities`.
pub(in crate::domain::policy) fn api_key(
    id: u128,
    owner: UserIdentity,
    paths: &[&str],
    capabilities: &[Capability],
) -> Actor {
    let scope = ScopeDocument {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        capabilities: capabilities.to_vec(),
    };
    Actor::ApiKey(ApiKeyIdentity {
        id: Uuid::from_u128(id),
        name: "deploy".into(),
        owner,
        scopes: KeyScope::compile(&[scope]).unwrap(),
        administers: false,
    })
}

pub(in crate::domain::policy) fn now() -> Circumstances {
    Circumstances::at(NOW)
}

fn named(name: &str) -> NamespaceName {
    NamespaceName {
        name: name.into(),
        uid: format!("uid-{name}"),
        labels: BTreeMap::from([("team".into(), name.into())]),
    }
}

pub(in crate::domain::policy) fn namespace(cluster: &str, name: &str) -> Actor {
    Actor::Namespace {
        cluster: cluster.into(),
        namespace: named(name),
    }
}

pub(in crate::domain::policy) fn account(cluster: &str, ns: &str, name: &str) -> Actor {
    Actor::ServiceAccount {
        cluster: cluster.into(),
        namespace: named(ns),
        name: name.into(),
        uid: name.into(),
    }
}

pub(in crate::domain::policy) fn path(text: &str) -> RecordPath {
    RecordPath::parse(text).unwrap()
}

pub(in crate::domain::policy) fn policy(name: &str, scope: &str, document: &str) -> StoredPolicy {
    StoredPolicy {
        id: Uuid::from_u128(name.bytes().fold(0, |id, b| id << 8 | u128::from(b))),
        name: name.into(),
        cluster: None,
        scope: PathPrefix::parse(scope).unwrap(),
        written_at: NOW,
        document: serde_json::from_str(document).unwrap(),
    }
}

/// A policy of one rule for one subject.
pub(in crate::domain::policy) fn simple(
    name: &str,
    subject: &str,
    effect: &str,
    pattern: &str,
    capability: &str,
) -> StoredPolicy {
    let document = format!(
        r#"{{"subjects": [{subject}], "rules": [{{"effect": "{effect}", "paths": ["{pattern}"], "capabilities": ["{capability}"]}}]}}"#
    );
    policy(name, "", &document)
}

pub(in crate::domain::policy) const EVERYONE: &str = r#"{"kind": "Everyone"}"#;

fn decide(policies: Vec<StoredPolicy>, actor: &Actor, capability: Capability, at: &str) -> Decision {
    PolicySnapshot::compile(1, policies).decide(actor, capability, &path(at), &now())
}

#[test]
fn nothing_is_allowed_by_default_except_built_in_rights() {
    let own = format!("users/{}/mail", Uuid::from_u128(7));
    let actors = [
        user("root", Role::Admin, &[]),
        user("eve", Role::Auditor, &[]),
        user("ann", Role::User, &[]),
        namespace("k8s", "shop"),
        account("k8s", "shop", "web"),
        Actor::System,
    ];
    for (at, allowed) in [
        ("shared/smtp", [true, false, false, false, false, false]),
        (own.as_str(), [true, false, true, false, false, false]),
        (
            "users/00000000-0000-0000-0000-000000000008/x",
            [true, false, false, false, false, false],
        ),
        ("k8s/shop/db", [true, false, false, true, false, false]),
        ("k8s/shop", [true, false, false, false, false, false]),
        ("k8s/shop-eu/db", [true, false, false, false, false, false]),
        ("k8s-eu/shop/db", [true, false, false, false, false, false]),
    ] {
        for (actor, allowed) in actors.iter().zip(allowed) {
            for capability in Capability::ALL {
                let decision = decide(vec![], actor, capability, at);
                assert_eq!(decision.is_allowed(), allowed, "{} at {at}", actor.display());
                assert_eq!(matches!(decision.because, Because::BuiltIn(_)), allowed);
            }
        }
    }
}

#[test]
fn r16_a_deny_binds_built_in_rights_for_every_capability() {
    let own = format!("users/{}/mail", Uuid::from_u128(7));
    for capability in Capability::ALL {
        let deny = || vec![simple("p", EVERYONE, "deny", "**", capability.as_str())];
        for (actor, at) in [
            (user("root", Role::Admin, &[]), "shared/smtp"),
            (user("ann", Role::User, &[]), own.as_str()),
            (namespace("k8s", "shop"), "k8s/shop/db"),
        ] {
            let decision = decide(deny(), &actor, capability, at);
            assert_eq!(decision.because.to_string(), "policy 'p', rules[0]");
            assert!(!decision.is_allowed());
            let other = Capability::ALL.into_iter().find(|other| *other != capability).unwrap();
            assert!(
                decide(deny(), &actor, other, at).is_allowed(),
                "a deny of {capability:?} says nothing of {other:?}"
            );
        }
    }
}

#[test]
fn the_process_itself_is_never_allowed() {
    let allow = vec![simple("p", EVERYONE, "allow", "**", "read")];
    assert_eq!(
        decide(allow, &Actor::System, Capability::Read, "shared/x").because,
        Because::NoRule
    );
}

#[test]
fn an_expired_policy_counts_neither_way() {
    let until = |effect: &str| {
        let mut policy = simple("p", EVERYONE, effect, "shared/**", "read");
        policy.document.expires_at = Some(Timestamp::from_second(10).unwrap());
        PolicySnapshot::compile(1, vec![policy])
    };
    let (ann, root) = (user("ann", Role::User, &[]), user("root", Role::Admin, &[]));
    for (second, counts) in [(9, true), (10, false), (11, false)] {
        let now = Circumstances::at(Timestamp::from_second(second).unwrap());
        assert_eq!(
            until("allow")
                .decide(&ann, Capability::Read, &path("shared/x"), &now)
                .is_allowed(),
            counts
        );
        assert_eq!(
            until("deny")
                .decide(&root, Capability::Read, &path("shared/x"), &now)
                .is_allowed(),
            !counts
        );
    }
}

#[test]
fn r40_a_policy_of_one_cluster_is_nothing_to_another_s_namespaces() {
    let mut policy = simple(
        "p",
        r#"{"kind": "Namespace", "name": "shop"}"#,
        "allow",
        "shared/**",
        "sync",
    );
    policy.cluster = Some("k8s".into());
    let snapshot = PolicySnapshot::compile(1, vec![policy]);
    let at = path("shared/ca");
    assert!(
        snapshot
            .decide(&namespace("k8s", "shop"), Capability::Sync, &at, &now())
            .is_allowed()
    );
    assert!(
        !snapshot
            .decide(&namespace("k8s-eu", "shop"), Capability::Sync, &at, &now())
            .is_allowed()
    );
}

#[test]
fn r40_a_policy_means_who_bore_the_name_when_it_was_written() {
    let second = |second| Timestamp::from_second(second).unwrap();
    let mut heir = identity("ann", Role::User, &["ops"]);
    heir.name_since = Some(second(10));
    heir.groups[0].since = Some(second(10));
    let key = api_key(1, heir.clone(), &["**"], &[Capability::Read]);
    for subject in [
        r#"{"kind": "User", "name": "ann"}"#,
        r#"{"kind": "Group", "name": "ops"}"#,
    ] {
        for (written, means_heir) in [(9, false), (10, false), (11, true)] {
            for effect in ["allow", "deny"] {
                let mut policies = vec![simple("p", subject, effect, "shared/x", "read")];
                policies[0].written_at = second(written);
                if effect == "deny" {
                    policies.push(simple("q", EVERYONE, "allow", "shared/x", "read"));
                }
                let snapshot = PolicySnapshot::compile(1, policies);
                let allowed = |actor: &Actor| {
                    let decision = snapshot.decide(actor, Capability::Read, &path("shared/x"), &now());
                    decision.is_allowed()
                };
                let expected = (effect == "allow") == means_heir;
                assert_eq!(
                    allowed(&Actor::User(heir.clone())),
                    expected,
                    "{subject} {effect} {written}"
                );
                assert_eq!(allowed(&key), expected, "the heir's key: {subject} {effect} {written}");
                let first = user("ann", Role::User, &["ops"]);
                assert_eq!(allowed(&first), effect == "allow", "the first bearer");
            }
        }
    }
}

#[test]
fn r40_a_key_made_again_under_the_same_name_is_another() {
    let subject = format!(r#"{{"kind": "ApiKey", "id": "{}"}}"#, Uuid::from_u128(1));
    let key = |id| api_key(id, identity("ann", Role::User, &[]), &["**"], &[Capability::Read]);
    let granted = || vec![simple("p", &subject, "allow", "shared/x", "read")];
    assert!(decide(granted(), &key(1), Capability::Read, "shared/x").is_allowed());
    assert!(!decide(granted(), &key(2), Capability::Read, "shared/x").is_allowed());
}

#[test]
fn an_api_key_has_its_owners_rights_within_its_scopes_and_every_deny_binds_it() {
    let root = || identity("root", Role::Admin, &["ops"]);
    let key = || api_key(1, root(), &["shared/app/**", "users/{user.id}/**"], &[Capability::Read]);
    let because = |policies, at: &str, capability| decide(policies, &key(), capability, at).because;
    let own = format!("users/{}/mail", Uuid::from_u128(7));
    let administrator = Because::BuiltIn("administrator");
    assert_eq!(because(vec![], "shared/app/db", Capability::Read), administrator);
    assert_eq!(because(vec![], &own, Capability::Read), administrator);
    assert_eq!(because(vec![], "shared/app/db", Capability::List), Because::OutOfScope);
    assert_eq!(
        because(vec![], "shared/other/db", Capability::Read),
        Because::OutOfScope
    );
    let own_rule = format!(r#"{{"kind": "ApiKey", "id": "{}"}}"#, Uuid::from_u128(1));
    let beyond = vec![simple("p", &own_rule, "allow", "**", "read")];
    assert_eq!(
        because(beyond, "shared/other/db", Capability::Read),
        Because::OutOfScope,
        "a rule for the key does not widen it"
    );
    for subject in [
        own_rule.as_str(),
        r#"{"kind": "User", "name": "root"}"#,
        r#"{"kind": "Group", "name": "ops"}"#,
        r#"{"kind": "Role", "name": "admin"}"#,
        EVERYONE,
    ] {
        let denied = vec![simple("p", subject, "deny", "shared/**", "read")];
        assert!(
            !decide(denied, &key(), Capability::Read, "shared/app/db").is_allowed(),
            "{subject}"
        );
    }
    let nobody = api_key(1, identity("ann", Role::User, &[]), &["**"], &[Capability::Read]);
    assert_eq!(
        decide(vec![], &nobody, Capability::Read, "shared/x").because,
        Because::NoRule
    );
}

/// A policy of one rule with conditions.
fn conditional(name: &str, effect: &str, field: &str, conditions: &str) -> StoredPolicy {
    let text = format!(
        r#"{{"subjects": [{EVERYONE}], "rules": [{{"effect": "{effect}", "paths": ["shared/x"], "capabilities": ["read"], "{field}": {conditions}}}]}}"#
    );
    policy(name, "", &text)
}

#[test]
fn what_cannot_be_told_of_a_condition_counts_against_access() {
    let (inside, outside) = ("10.1.2.3".parse().ok(), "192.0.2.1".parse().ok());
    let networks = r#"{"networks": ["10.0.0.0/8"]}"#;
    for (effect, field, client, allowed) in [
        ("allow", "conditions", inside, true),
        ("allow", "conditions", outside, false),
        ("allow", "conditions", None, false),
        ("allow", "unless", inside, false),
        ("allow", "unless", outside, true),
        ("allow", "unless", None, false),
        ("deny", "conditions", inside, false),
        ("deny", "conditions", outside, true),
        ("deny", "conditions", None, false),
        ("deny", "unless", inside, true),
        ("deny", "unless", outside, false),
        ("deny", "unless", None, false),
    ] {
        let actor = if effect == "allow" {
            user("ann", Role::User, &[])
        } else {
            user("root", Role::Admin, &[])
        };
        let circumstances = Circumstances { client, ..now() };
        let snapshot = PolicySnapshot::compile(1, vec![conditional("p", effect, field, networks)]);
        let decision = snapshot.decide(&actor, Capability::Read, &path("shared/x"), &circumstances);
        assert_eq!(decision.is_allowed(), allowed, "{effect} {field} {client:?}");
        assert!(!decision.step_up);
    }
}

#[test]
fn conditions_that_cannot_be_read_count_against_access() {
    for (effect, field) in [
        ("allow", "conditions"),
        ("allow", "unless"),
        ("deny", "conditions"),
        ("deny", "unless"),
    ] {
        for unreadable in [
            "{}",
            r#"{"networks": ["10.0.0.1/8"]}"#,
            r#"{"timeWindow": {"from": "x", "to": "y"}}"#,
        ] {
            let snapshot = PolicySnapshot::compile(1, vec![conditional("p", effect, field, unreadable)]);
            assert_eq!(snapshot.broken().len(), 1);
            let actor = user("ann", if effect == "allow" { Role::User } else { Role::Admin }, &[]);
            let decision = snapshot.decide(&actor, Capability::Read, &path("shared/x"), &now());
            assert!(!decision.is_allowed(), "{effect} {field} {unreadable}");
        }
    }
}

#[test]
fn a_refusal_that_a_second_factor_would_lift_says_so() {
    let fresh = Circumstances {
        second_factor_at: Some(NOW),
        ..now()
    };
    let (ann, root) = (user("ann", Role::User, &[]), user("root", Role::Admin, &[]));
    let key = api_key(1, identity("root", Role::Admin, &[]), &["**"], &[Capability::Read]);
    let within = r#"{"secondFactorWithin": "5m"}"#;
    let opened = || conditional("p", "allow", "conditions", within);
    let guarded = || conditional("g", "deny", "unless", within);
    let denied = || simple("d", EVERYONE, "deny", "shared/x", "read");
    for (policies, actor, allowed, allowed_fresh, step_up) in [
        (vec![opened()], &ann, false, true, true),
        (vec![guarded()], &root, false, true, true),
        (vec![guarded()], &ann, false, false, false),
        (vec![guarded(), opened()], &ann, false, true, true),
        (vec![opened(), denied()], &ann, false, false, false),
        (vec![guarded()], &key, false, true, false),
    ] {
        let snapshot = PolicySnapshot::compile(1, policies);
        let at = path("shared/x");
        let decision = snapshot.decide(actor, Capability::Read, &at, &now());
        assert_eq!((decision.is_allowed(), decision.step_up), (allowed, step_up));
        assert_eq!(
            snapshot.decide(actor, Capability::Read, &at, &fresh).is_allowed(),
            allowed_fresh
        );
    }
}

#[test]
fn r19_no_name_is_magic() {
    let names = [
        "root",
        "sys",
        "system",
        "admin",
        "default",
        "auth",
        "cubbyhole",
        "identity",
        "internal",
        "public",
        "shared",
        "kube-system",
        "aether-vault",
        "secret",
        "policies",
        "K8S",
        "Users",
        "USERS",
        "null",
        "self",
        "me",
        "_",
        "~",
    ];
    for name in names {
        for text in [
            format!("{name}/x"),
            format!("{name}/shop/x"),
            format!("{name}/{}/x", Uuid::from_u128(7)),
        ] {
            let Ok(at) = RecordPath::parse(&text) else { continue };
            for actor in [
                user("ann", Role::User, &["admin", "root"]),
                user("admin", Role::User, &[]),
                user("system", Role::Auditor, &[]),
                account("k8s", "kube-system", "default"),
                namespace("k8s", "shop"),
                namespace("k8s", "kube-system"),
                api_key(1, identity("root", Role::User, &[]), &["**"], &Capability::ALL),
            ] {
                let decision = PolicySnapshot::compile(1, vec![]).decide(&actor, Capability::Read, &at, &now());
                assert!(!decision.is_allowed(), "{} at {at}", actor.display());
            }
        }
    }
}

#[test]
fn the_explanation_is_the_same_whatever_the_order() {
    let policies = [("b", "allow"), ("a", "allow"), ("d", "deny"), ("c", "deny")];
    for turn in 0..4 {
        let mut turned = policies;
        turned.rotate_left(turn);
        let load = |effect: &str| {
            let chosen = turned.iter().filter(|(_, e)| *e == effect || effect == "deny");
            chosen
                .map(|(name, effect)| simple(name, EVERYONE, effect, "shared/*", "read"))
                .collect()
        };
        let ann = user("ann", Role::User, &[]);
        assert_eq!(
            decide(load("allow"), &ann, Capability::Read, "shared/x")
                .because
                .to_string(),
            "policy 'a', rules[0]"
        );
        assert_eq!(
            decide(load("deny"), &ann, Capability::Read, "shared/x")
                .because
                .to_string(),
            "policy 'c', rules[0]"
        );
    }
}

#[test]
fn a_broken_policy_can_only_take_rights_away() {
    let document = |subjects: &str, allow: &str, deny: &str, capabilities: &str| {
        let text = format!(
            r#"{{"subjects": {subjects}, "rules": [
                {{"effect": "allow", "paths": ["k8s/shop/**"], "capabilities": ["read"]}},
                {{"effect": "allow", "paths": {allow}, "capabilities": ["read"]}},
                {{"effect": "deny", "paths": {deny}, "capabilities": {capabilities}}}]}}"#
        );
        policy("p", "k8s/shop", &text)
    };
    let (root, web) = (user("root", Role::Admin, &[]), account("k8s", "shop", "web"));
    let everyone = "[{\"kind\": \"Everyone\"}]";
    for (broken, denies_all) in [
        (
            document(everyone, r#"["a//b"]"#, r#"["k8s/shop/no"]"#, r#"["read"]"#),
            false,
        ),
        (
            document(everyone, r#"["a/b"]"#, r#"["k8s/shop/../x"]"#, r#"["read"]"#),
            true,
        ),
        (document(everyone, r#"["a/b"]"#, "[]", r#"["read"]"#), true),
        (document(everyone, r#"["a/b"]"#, r#"["**"]"#, "[]"), true),
        (document("[]", r#"["a/b"]"#, r#"["**"]"#, r#"["read"]"#), true),
        (
            document(
                r#"[{"kind": "Role", "name": "nobody"}]"#,
                r#"["a/b"]"#,
                r#"["**"]"#,
                r#"["read"]"#,
            ),
            true,
        ),
    ] {
        let snapshot = PolicySnapshot::compile(1, vec![broken]);
        assert_eq!(snapshot.broken().len(), 1);
        let allowed = |actor, at: &str| snapshot.decide(actor, Capability::Read, &path(at), &now()).is_allowed();
        assert!(!allowed(&web, "k8s/shop/db"), "its allows are dropped");
        assert!(!allowed(&root, "k8s/shop/no"), "its denies stay");
        assert_eq!(allowed(&root, "k8s/shop/db"), !denies_all, "{:?}", snapshot.broken());
        assert!(allowed(&root, "k8s/mail/db"), "its scope still holds");
    }
}

#[test]
fn ten_thousand_rules_are_decided_in_microseconds() {
    let mut policies = Vec::new();
    for n in 0..2_500 {
        policies.push(simple(
            &format!("a{n}"),
            EVERYONE,
            "allow",
            &format!("shared/team-{n}/**"),
            "read",
        ));
        policies.push(simple(
            &format!("b{n}"),
            &format!(r#"{{"kind": "Namespace", "name": "ns-{n}"}}"#),
            "allow",
            "shared/**",
            "read",
        ));
        policies.push(policy(
            &format!("c{n}"),
            &format!("k8s/ns-{n}"),
            r#"{"subjects": [{"kind": "Everyone"}], "rules": [{"effect": "deny", "paths": ["**/root"], "capabilities": ["read"]}]}"#,
        ));
        policies.push(simple(
            &format!("d{n}"),
            &format!(r#"{{"kind": "Group", "name": "g{n}"}}"#),
            "allow",
            "**/ca",
            "read",
        ));
    }
    let snapshot = PolicySnapshot::compile(1, policies);
    assert_eq!(snapshot.rule_count(), 10_000);
    let mut slowest = Duration::ZERO;
    for (actor, at, allowed) in [
        (user("ann", Role::User, &["g7", "g900"]), "other/x/ca", true),
        (user("ann", Role::User, &["g7"]), "shared/team-2499/a/b", true),
        (namespace("k8s", "ns-77"), "shared/team/smtp", true),
        (namespace("k8s", "ns-77"), "k8s/ns-77/root", false),
        (account("k8s", "ns-77", "web"), "k8s/ns-77/db", false),
    ] {
        let at = path(at);
        let began = Instant::now();
        for _ in 0..1_000 {
            assert_eq!(
                snapshot.decide(&actor, Capability::Read, &at, &now()).is_allowed(),
                allowed,
                "{at}"
            );
        }
        slowest = slowest.max(began.elapsed() / 1_000);
    }
    println!("slowest decision over 10,000 rules: {slowest:?}");
}

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
