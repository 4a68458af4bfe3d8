//! How long a decision takes with 10,000 rules. The aim is 10 µs in the median: `cargo bench --bench policy`.

#![expect(
    clippy::expect_used,
    reason = "a benchmark whose own input is wrong has nothing to measure"
)]

use std::hint::black_box;

use aether_vault::domain::actor::{Actor, GroupName, NamespaceName, Role, UserIdentity};
use aether_vault::domain::path::{PathPrefix, RecordPath};
use aether_vault::domain::policy::{Capability, Circumstances, PolicySnapshot, StoredPolicy};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use uuid::Uuid;

/// A policy of one rule.
fn policy(number: u128, scope: &str, subject: &str, effect: &str, path: &str) -> StoredPolicy {
    let document = format!(
        r#"{{"subjects": [{subject}], "rules": [{{"effect": "{effect}", "paths": ["{path}"], "capabilities": ["read", "list"]}}]}}"#
    );
    StoredPolicy {
        id: Uuid::from_u128(number),
        name: format!("policy-{number}"),
        cluster: None,
        scope: PathPrefix::parse(scope).expect("a prefix"),
        written_at: Timestamp::UNIX_EPOCH,
        document: serde_json::from_str(&document).expect("a document"),
    }
}

/// 2,500 each of: folders that are open to everyone, namespaces with a grant, denies confined to a namespace, groups with a wildcard.
fn ten_thousand_rules() -> PolicySnapshot {
    let policies = (0..2_500).flat_map(|n| {
        let everyone = r#"{"kind": "Everyone"}"#;
        [
            policy(4 * n, "", everyone, "allow", &format!("shared/team-{n}/**")),
            policy(
                4 * n + 1,
                "",
                &format!(r#"{{"kind": "Namespace", "name": "ns-{n}"}}"#),
                "allow",
                "shared/**",
            ),
            policy(4 * n + 2, &format!("k8s/ns-{n}"), everyone, "deny", "**/root"),
            policy(
                4 * n + 3,
                "",
                &format!(r#"{{"kind": "Group", "name": "group-{n}"}}"#),
                "allow",
                "**/ca",
            ),
        ]
    });
    let snapshot = PolicySnapshot::compile(1, policies.collect());
    assert_eq!(snapshot.rule_count(), 10_000);
    assert!(snapshot.broken().is_empty());
    snapshot
}

fn user(groups: &[&str]) -> Actor {
    let group = |name: &&str| GroupName {
        name: (*name).to_owned(),
        since: None,
    };
    Actor::User(UserIdentity {
        id: Uuid::from_u128(7),
        name: "ann".to_owned(),
        name_since: None,
        role: Role::User,
        groups: groups.iter().map(group).collect(),
    })
}

fn namespace(name: &str) -> Actor {
    Actor::Namespace {
        cluster: "k8s".to_owned(),
        namespace: NamespaceName {
            name: name.to_owned(),
            uid: "uid".to_owned(),
            labels: [("team".to_owned(), "shop".to_owned())].into(),
        },
    }
}

fn decide(criterion: &mut Criterion) {
    let snapshot = ten_thousand_rules();
    let circumstances = Circumstances::at(Timestamp::UNIX_EPOCH);
    let mut group = criterion.benchmark_group("decide among 10,000 rules");
    for (name, actor, path, allowed) in [
        ("an open folder", user(&["group-7"]), "shared/team-2499/a/b", true),
        (
            "by group and wildcard",
            user(&["group-7", "group-900"]),
            "other/x/y/ca",
            true,
        ),
        ("nothing allows it", user(&["group-7"]), "other/x", false),
        ("a namespace's grant", namespace("ns-77"), "shared/team/smtp", true),
        ("a namespace's own record", namespace("ns-77"), "k8s/ns-77/db", true),
        ("a confined deny", namespace("ns-77"), "k8s/ns-77/root", false),
    ] {
        let path = RecordPath::parse(path).expect("a path");
        let decision = snapshot.decide(&actor, Capability::Read, &path, &circumstances);
        assert_eq!(decision.is_allowed(), allowed, "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| snapshot.decide(black_box(&actor), Capability::Read, black_box(&path), &circumstances));
        });
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
