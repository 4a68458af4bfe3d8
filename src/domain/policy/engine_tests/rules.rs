//! Tables for what people rely on.

use super::*;

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
fn ten_thousand_rules_are_decided_right() {
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
    for (actor, at, allowed) in [
        (user("ann", Role::User, &["g7", "g900"]), "other/x/ca", true),
        (user("ann", Role::User, &["g7"]), "shared/team-2499/a/b", true),
        (namespace("k8s", "ns-77"), "shared/team/smtp", true),
        (namespace("k8s", "ns-77"), "k8s/ns-77/root", false),
        (account("k8s", "ns-77", "web"), "k8s/ns-77/db", false),
    ] {
        let decision = snapshot.decide(&actor, Capability::Read, &path(at), &now());
        assert_eq!(decision.is_allowed(), allowed, "{at}");
    }
}
