//! The authorisation table: every kind of actor, every capability, every class of path, as a committed snapshot. A change of it is to be
//! looked at: `tests/it/snapshots`, written anew with `INSTA_UPDATE=always`.

use std::fmt::Write as _;

use aether_vault::domain::actor::{Actor, ApiKeyIdentity, GroupName, NamespaceName, Role, UserIdentity};
use aether_vault::domain::path::{PathPrefix, RecordPath};
use aether_vault::domain::policy::{Capability, Circumstances, KeyScope, PolicySnapshot, ScopeDocument, StoredPolicy};
use jiff::Timestamp;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn identity(id: u128, name: &str, role: Role, groups: &[&str]) -> UserIdentity {
    let group = |name: &&str| GroupName {
        name: (*name).to_owned(),
        since: None,
    };
    UserIdentity {
        id: Uuid::from_u128(id),
        name: name.to_owned(),
        name_since: None,
        role,
        groups: groups.iter().map(group).collect(),
    }
}

fn key(id: u128, owner: UserIdentity, administers: bool) -> Actor {
    let scope = ScopeDocument {
        paths: vec!["shared/app/**".to_owned(), "users/{user.id}/**".to_owned()],
        capabilities: vec![Capability::List, Capability::Read, Capability::Update],
    };
    Actor::ApiKey(ApiKeyIdentity {
        id: Uuid::from_u128(id),
        name: "deploy".to_owned(),
        owner,
        scopes: KeyScope::compile(&[scope]).unwrap(),
        administers,
    })
}

fn namespace(cluster: &str, name: &str) -> Actor {
    Actor::Namespace {
        cluster: cluster.to_owned(),
        namespace: named(name),
    }
}

fn named(name: &str) -> NamespaceName {
    NamespaceName {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        labels: [("team".to_owned(), name.to_owned())].into(),
    }
}

fn account(cluster: &str, ns: &str, name: &str) -> Actor {
    Actor::ServiceAccount {
        cluster: cluster.to_owned(),
        namespace: named(ns),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
    }
}

fn actors() -> Vec<(&'static str, Actor)> {
    let ann = || identity(1, "ann", Role::User, &["ops"]);
    let root = || identity(9, "root", Role::Admin, &[]);
    vec![
        ("administrator", Actor::User(root())),
        ("auditor", Actor::User(identity(8, "eve", Role::Auditor, &[]))),
        ("user ann, in ops", Actor::User(ann())),
        (
            "user bob, in no group",
            Actor::User(identity(2, "bob", Role::User, &[])),
        ),
        ("an administrator's key", key(11, root(), false)),
        ("their administering key", key(12, root(), true)),
        ("ann's key", key(13, ann(), false)),
        ("namespace shop", namespace("k8s", "shop")),
        ("namespace mail", namespace("k8s", "mail")),
        ("shop of another cluster", namespace("k8s-eu", "shop")),
        ("service account shop/web", account("k8s", "shop", "web")),
        ("service account mail/web", account("k8s", "mail", "web")),
        ("the process", Actor::System),
    ]
}

fn paths() -> Vec<(&'static str, String)> {
    vec![
        ("own or ann's root", format!("users/{}/mail", Uuid::from_u128(1))),
        ("another user's root", format!("users/{}/mail", Uuid::from_u128(3))),
        ("namespace shop", "k8s/shop/db".to_owned()),
        ("another namespace", "k8s/other/db".to_owned()),
        ("another cluster", "k8s-eu/shop/db".to_owned()),
        ("shared, granted to ops", "shared/app/db".to_owned()),
        ("shared, denied in part", "shared/app/root".to_owned()),
        ("shared, with second factor", "shared/vip/db".to_owned()),
        ("shared, not granted", "shared/else/db".to_owned()),
        ("a name like a system's", "sys/policy/root".to_owned()),
    ]
}

fn policies() -> Vec<StoredPolicy> {
    let policy = |id: u128, scope: &str, document: &str| StoredPolicy {
        id: Uuid::from_u128(id),
        name: format!("policy-{id}"),
        cluster: (!scope.is_empty()).then(|| "k8s".to_owned()),
        scope: PathPrefix::parse(scope).unwrap(),
        written_at: NOW,
        document: serde_json::from_str(document).unwrap(),
    };
    vec![
        policy(
            1,
            "",
            r#"{"subjects": [{"kind": "Group", "name": "ops"}], "rules": [
                {"effect": "allow", "paths": ["shared/app/**"], "capabilities": ["list", "read", "create", "update"]},
                {"effect": "allow", "paths": ["shared/vip/**"], "capabilities": ["read"], "conditions": {"secondFactorWithin": "15m"}}]}"#,
        ),
        policy(
            2,
            "",
            r#"{"subjects": [{"kind": "Everyone"}], "rules": [{"effect": "deny", "paths": ["**/root"], "capabilities": ["read", "destroy"]}]}"#,
        ),
        policy(
            3,
            "k8s/shop",
            r#"{"subjects": [{"kind": "ServiceAccount", "namespace": "shop", "name": "web"}, {"kind": "User", "name": "bob"}], "rules": [
                {"effect": "allow", "paths": ["**"], "capabilities": ["read"]}]}"#,
        ),
        policy(
            4,
            "",
            r#"{"subjects": [{"kind": "Namespace", "matchLabels": {"team": "mail"}}], "rules": [
                {"effect": "allow", "paths": ["shared/app/*"], "capabilities": ["sync"]}]}"#,
        ),
    ]
}

/// A letter for what is allowed, `+` after it for what a second factor would allow, `-` for what is not.
fn cell(snapshot: &PolicySnapshot, actor: &Actor, path: &RecordPath) -> String {
    let letter = |capability: Capability| {
        let decision = snapshot.decide(actor, capability, path, &Circumstances::at(NOW));
        match (decision.is_allowed(), decision.step_up) {
            (true, _) => capability.as_str().chars().next().unwrap().to_ascii_uppercase(),
            (false, true) => '+',
            (false, false) => '-',
        }
    };
    Capability::ALL.into_iter().map(letter).collect()
}

#[test]
fn r16_r19_the_authorization_table_is_this() {
    let mut table = String::new();
    let names: Vec<_> = Capability::ALL.iter().map(|capability| capability.as_str()).collect();
    writeln!(
        table,
        "In this order: {}. '+' asks for a second factor.",
        names.join(" ")
    )
    .unwrap();
    for (title, set) in [("Without any policy", Vec::new()), ("With policies", policies())] {
        let snapshot = PolicySnapshot::compile(1, set);
        assert!(snapshot.broken().is_empty());
        writeln!(table, "\n{title}").unwrap();
        for (class, path) in paths() {
            writeln!(table, "\n  {class}: {path}").unwrap();
            let path = RecordPath::parse(&path).unwrap();
            for (who, actor) in actors() {
                writeln!(table, "    {who:<26} {}", cell(&snapshot, &actor, &path)).unwrap();
            }
        }
    }
    insta::assert_snapshot!("authorization", table);
}
