//! Tests of the escalation check.

use proptest::prelude::*;

use super::*;
use crate::domain::actor::UserIdentity;
use crate::domain::policy::engine::tests::properties::{any_actor, any_path, any_policies};
use crate::domain::policy::engine::tests::{EVERYONE, api_key, identity, namespace, now, policy, simple, user};
use crate::domain::policy::{StoredPolicy, validate};
use crate::domain::root::RootPath;

fn document(pattern: &str, capability: &str) -> PolicyDocument {
    simple(
        "new",
        r#"{"kind": "User", "name": "bob"}"#,
        "allow",
        pattern,
        capability,
    )
    .document
}

fn may(policies: Vec<StoredPolicy>, grantor: &Actor, pattern: &str, capability: &str) -> bool {
    PolicySnapshot::compile(1, policies)
        .may_grant(grantor, &document(pattern, capability), None, &now())
        .is_ok()
}

fn root() -> Actor {
    user("root", Role::Admin, &["ops"])
}

fn ann() -> UserIdentity {
    identity("ann", Role::User, &[])
}

#[test]
fn r20_an_administrator_grants_all_but_what_is_denied_to_them() {
    let denied = |subject: &str| vec![simple("d", subject, "deny", "shared/pki/**", "read")];
    assert!(may(vec![], &root(), "**", "destroy"));
    for subject in [
        r#"{"kind": "User", "name": "root"}"#,
        r#"{"kind": "Role", "name": "admin"}"#,
        r#"{"kind": "Group", "name": "ops"}"#,
    ] {
        assert!(!may(denied(subject), &root(), "shared/pki/root", "read"), "{subject}");
        assert!(
            !may(denied(subject), &root(), "shared/**", "read"),
            "in part: {subject}"
        );
        assert!(
            !may(denied(subject), &root(), "shared/{user.name}/x", "read"),
            "for somebody: {subject}"
        );
        assert!(may(denied(subject), &root(), "shared/pki/root", "list"), "{subject}");
        assert!(may(denied(subject), &root(), "shared/smtp/*", "read"), "{subject}");
    }
    assert!(
        may(denied(EVERYONE), &root(), "shared/**", "read"),
        "it is denied to bob as well"
    );
    let own = vec![simple("d", EVERYONE, "deny", "shared/{user.name}/**", "read")];
    assert!(
        !may(own, &root(), "shared/root/x", "read"),
        "bob may well be allowed what is root's"
    );
}

#[test]
fn r20_what_a_document_replaces_does_not_bind_it() {
    let old = simple("d", r#"{"kind": "Role", "name": "admin"}"#, "deny", "shared/**", "read");
    let id = old.id;
    let snapshot = PolicySnapshot::compile(1, vec![old]);
    let wanted = document("shared/x", "read");
    assert!(snapshot.may_grant(&root(), &wanted, Some(id), &now()).is_ok());
    let problems = snapshot.may_grant(&root(), &wanted, None, &now()).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "rules[0].paths[0]: you cannot grant 'read': policy 'd' denies it to you on a part of these paths"
    );
}

#[test]
fn r20_others_grant_what_they_hold_always_and_a_key_within_its_scopes() {
    let granted = |text: &str| vec![policy("a", "", text)];
    let holding = |more: &str, end: &str| {
        granted(&format!(
            r#"{{"subjects": [{EVERYONE}], "rules": [{{"effect": "allow", "paths": ["shared/app/**"], "capabilities": ["read"]{more}}}]{end}}}"#
        ))
    };
    let ann_ = Actor::User(ann());
    let own = format!("users/{}/x", ann().id);
    assert!(may(vec![], &ann_, &own, "read") && !may(vec![], &ann_, "users/**", "read"));
    assert!(!may(vec![], &ann_, "shared/app/x", "read"));
    assert!(may(holding("", ""), &ann_, "shared/app/*/x", "read"));
    assert!(!may(holding("", ""), &ann_, "shared/**", "read"));
    assert!(!may(holding("", ""), &ann_, "shared/app/x", "list"));
    let fleeting = r#", "conditions": {"expiresAt": "2030-01-01T00:00:00Z"}"#;
    assert!(!may(holding(fleeting, ""), &ann_, "shared/app/x", "read"));
    assert!(!may(
        holding("", r#", "expiresAt": "2030-01-01T00:00:00Z""#),
        &ann_,
        "shared/app/x",
        "read"
    ));
    let confined = StoredPolicy {
        scope: crate::domain::path::PathPrefix::parse("shared/app/a").unwrap(),
        ..holding("", "").remove(0)
    };
    assert!(!may(vec![confined], &ann_, "shared/app/b", "read"));
    let shop = namespace("k8s", "shop");
    assert!(may(vec![], &shop, "k8s/shop/**", "sync") && !may(vec![], &shop, "k8s/**", "sync"));
    let key = api_key(
        1,
        identity("root", Role::Admin, &[]),
        &["shared/app/**"],
        &[Capability::Read],
    );
    assert!(may(vec![], &key, "shared/app/*", "read"));
    assert!(!may(vec![], &key, "shared/app/*", "list") && !may(vec![], &key, "shared/*", "read"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn r20_what_a_granted_document_opens_the_grantor_holds(
        policies in any_policies(), new in any_policies(), grantor in any_actor(), actor in any_actor(), at in any_path()
    ) {
        // Nothing is where a root is: no record, and no built-in right.
        let clusters = ["k", "l"].map(str::to_owned).into();
        prop_assume!(RootPath::of(&at, &clusters).is_ok());
        let before = PolicySnapshot::compile(1, policies.clone());
        for mut policy in new {
            // A document that is written by REST reaches everything.
            policy.scope = crate::domain::path::PathPrefix::all();
            policy.cluster = None;
            policy.id = Uuid::from_u128(u128::MAX);
            prop_assert!(validate(&policy.document).is_ok());
            if before.may_grant(&grantor, &policy.document, None, &now()).is_err() {
                continue;
            }
            let after = PolicySnapshot::compile(2, policies.iter().cloned().chain([policy]).collect());
            for capability in [Capability::Read, Capability::List] {
                let opened = !before.decide(&actor, capability, &at, &now()).is_allowed()
                    && after.decide(&actor, capability, &at, &now()).is_allowed();
                prop_assert!(!opened || before.decide(&grantor, capability, &at, &now()).is_allowed());
            }
        }
    }
}
