//! Rules that hold under conditions.

use super::*;

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
