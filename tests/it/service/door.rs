//! The controller's door: it acts as the namespace that asks, and as nobody else.

use std::collections::BTreeMap;

use aether_vault::domain::actor::NamespaceName;
use aether_vault::domain::generate::GenerateSpec;
use aether_vault::domain::path::PathPrefix;
use aether_vault::domain::policy::{Capability, Effect, PolicyDocument, Rule, Subject};
use aether_vault::domain::record::{Expect, KeyName, VersionState};
use aether_vault::domain::source::GenerateSource;
use aether_vault::service::LocalDoor;
use aether_vault::service::context::ResourceOrigin;
use aether_vault::service::door::{Asker, Feed, FeedContent, Inspection, PolicyResource, RecordRef, VaultDoor as _};
use aether_vault::service::error::Reason;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

fn asker(namespace: &str, uid: &str) -> Asker {
    let namespace = NamespaceName {
        name: namespace.to_owned(),
        uid: uid.to_owned(),
        labels: BTreeMap::new(),
    };
    Asker {
        namespace,
        resource: ResourceOrigin {
            uid: "vs-1".to_owned(),
            generation: 1,
        },
    }
}

fn feed(name: &str, content: FeedContent) -> Feed {
    Feed {
        path: path(&format!("k8s/shop/{name}")),
        name: name.to_owned(),
        content,
        rotate_now: None,
        absent: false,
    }
}

fn current(name: &str) -> RecordRef {
    RecordRef {
        path: path(name),
        version: None,
    }
}

fn policy(name: &str, effect: Effect, pattern: &str, scope: PathPrefix) -> PolicyResource {
    PolicyResource {
        uid: format!("uid-{name}"),
        generation: 1,
        namespace: "aether-vault-system".to_owned(),
        name: name.to_owned(),
        crd_uid: "crd-1".to_owned(),
        scope,
        document: PolicyDocument {
            subjects: vec![Subject::Namespace {
                name: Some("shop".to_owned()),
                match_labels: BTreeMap::new(),
            }],
            rules: vec![Rule {
                effect,
                paths: vec![pattern.to_owned()],
                capabilities: vec![Capability::Sync],
                conditions: None,
                unless: None,
            }],
            expires_at: None,
        },
    }
}

async fn register(process: &TestVault, prefix: &str) -> LocalDoor {
    LocalDoor::register(process.vault.clone(), prefix, "cluster-1", "")
        .await
        .unwrap()
}

async fn refusal(door: &LocalDoor, asker: &Asker, name: &str) -> (Reason, String) {
    let error = door
        .read(asker, &[current(name)])
        .await
        .unwrap()
        .remove(0)
        .err()
        .expect("it was read");
    (error.reason(), error.message().to_owned())
}

#[tokio::test]
async fn a_namespace_reaches_its_own_root_and_what_policies_grant() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let other = process.replica(&database).await;
    let admin = process.admin().await;
    let door = register(&process, "k8s").await;
    for name in ["k8s/shop/db", "k8s/other/db", "shared/pki/ca"] {
        process
            .vault
            .records()
            .write(&admin, &path(name), &record(&[("k", name)]), Expect::Any)
            .await
            .unwrap();
    }
    let elsewhere = register(&other, "k8s").await;
    let shop = asker("shop", "shop-uid");

    let own = door
        .read(&shop, &[current("k8s/shop/db")])
        .await
        .unwrap()
        .remove(0)
        .ok()
        .unwrap();
    assert_eq!(text(&own.data, "k"), "k8s/shop/db");
    assert_eq!(refusal(&door, &shop, "k8s/other/db").await.0, Reason::PolicyDenied);
    assert_eq!(refusal(&door, &shop, "shared/pki/ca").await.0, Reason::PolicyDenied);

    // Granted in one process, in force in the other at its very next read; and so is the end of it.
    let allow = policy("allow-ca", Effect::Allow, "shared/pki/**", PathPrefix::all());
    assert!(door.apply_policy(&allow).await.unwrap());
    assert!(
        !door.apply_policy(&allow).await.unwrap(),
        "the same again changes nothing"
    );
    assert!(
        elsewhere
            .read(&shop, &[current("shared/pki/ca")])
            .await
            .unwrap()
            .remove(0)
            .is_ok()
    );
    let deny = policy("deny-ca", Effect::Deny, "shared/**", PathPrefix::all());
    door.apply_policy(&deny).await.unwrap();
    assert_eq!(
        refusal(&elsewhere, &shop, "shared/pki/ca").await.0,
        Reason::PolicyDenied
    );
    assert_eq!(
        door.retain_policies("crd-1", &["uid-allow-ca".to_owned()])
            .await
            .unwrap(),
        1
    );
    assert!(
        elsewhere
            .read(&shop, &[current("shared/pki/ca")])
            .await
            .unwrap()
            .remove(0)
            .is_ok()
    );
    assert_eq!(door.retain_policies("another-crd", &[]).await.unwrap(), 0);
    assert_eq!(door.retain_policies("crd-1", &[]).await.unwrap(), 1);
    assert_eq!(
        refusal(&elsewhere, &shop, "shared/pki/ca").await.0,
        Reason::PolicyDenied
    );
}

#[tokio::test]
async fn a_policy_reaches_no_further_than_its_scope() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    process
        .vault
        .records()
        .write(&admin, &path("shared/a"), &record(&[("k", "v")]), Expect::Any)
        .await
        .unwrap();
    register(&process, "k8s").await;
    // The second cluster is no platform: even everything means its own prefix.
    let door = LocalDoor::register(process.vault.clone(), "k8s-eu", "cluster-2", "")
        .await
        .unwrap();
    door.apply_policy(&policy("all", Effect::Allow, "**", PathPrefix::all()))
        .await
        .unwrap();
    assert_eq!(
        refusal(&door, &asker("shop", "uid"), "shared/a").await.0,
        Reason::PolicyDenied
    );
    assert_eq!(
        database
            .count("SELECT count(*) FROM policies WHERE scope = 'k8s-eu/'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_stored_policy_that_cannot_be_read_closes_its_scope_and_nothing_else() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let door = register(&process, "k8s").await;
    let records = process.vault.records();
    for name in ["k8s/shop/db", "shared/a"] {
        records
            .write(&admin, &path(name), &record(&[("k", "v")]), Expect::Any)
            .await
            .unwrap();
    }
    let scope = PathPrefix::parse("k8s/shop").unwrap();
    door.apply_policy(&policy("newer", Effect::Allow, "k8s/shop/**", scope))
        .await
        .unwrap();
    database
        .execute("UPDATE policies SET document = '{\"ofANewerRelease\": 1}'; UPDATE policy_epoch SET epoch = epoch + 1")
        .await;
    let error = records.read(&admin, &path("k8s/shop/db"), None).await.err().unwrap();
    assert_eq!(error.reason(), Reason::PolicyDenied);
    assert!(records.read(&admin, &path("shared/a"), None).await.is_ok());
}

#[tokio::test]
async fn r35_a_path_that_may_not_be_read_answers_alike_whether_or_not_it_exists() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    process
        .vault
        .records()
        .write(&admin, &path("shared/there"), &record(&[("k", "v")]), Expect::Any)
        .await
        .unwrap();
    let door = register(&process, "k8s").await;
    let shop = asker("shop", "uid");
    assert_eq!(
        refusal(&door, &shop, "shared/there").await,
        refusal(&door, &shop, "shared/nowhere").await
    );
    let asks = [(shop, vec![current("shared/there"), current("shared/nowhere")])];
    let inspected = door.inspect(&asks).await.unwrap().remove(0).unwrap();
    assert_eq!(inspected[0], inspected[1]);
}

#[tokio::test]
async fn r40_a_namespace_made_again_reaches_nothing_until_its_root_is_adopted() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let door = register(&process, "k8s").await;
    process
        .vault
        .records()
        .write(&admin, &path("k8s/shop/db"), &record(&[("k", "v")]), Expect::Any)
        .await
        .unwrap();
    let refs = [current("k8s/shop/db")];
    assert!(
        door.read(&asker("shop", "first"), &refs)
            .await
            .unwrap()
            .remove(0)
            .is_ok()
    );
    let again = asker("shop", "second");
    let error = door.read(&again, &refs).await.err().unwrap();
    assert_eq!(error.reason(), Reason::RootOrphaned);
    assert!(
        error
            .message()
            .contains("aether-vault roots adopt k8s/shop --uid second"),
        "{}",
        error.message()
    );
    assert_eq!(
        door.inspect(&[(again.clone(), refs.to_vec())])
            .await
            .unwrap()
            .remove(0)
            .unwrap_err()
            .reason(),
        Reason::RootOrphaned
    );

    process.vault.adopt_root("k8s/shop", "second").await.unwrap();
    let adopted = async {
        while door.read(&again, &refs).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), adopted)
        .await
        .unwrap();
    assert_eq!(
        door.read(&asker("shop", "first"), &refs).await.err().unwrap().reason(),
        Reason::RootOrphaned
    );
}

#[tokio::test]
async fn a_prefix_belongs_to_one_cluster() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    register(&process, "k8s").await;
    register(&process, "k8s").await;
    let error = LocalDoor::register(process.vault.clone(), "k8s", "cluster-2", "")
        .await
        .err()
        .unwrap();
    assert_eq!(error.reason(), Reason::ClusterMismatch);
    let error = LocalDoor::register(process.vault.clone(), "k8s", "cluster-1", "blue")
        .await
        .err()
        .unwrap();
    // What the one controller looks after would look gone to the other.
    assert_eq!(error.reason(), Reason::ClusterMismatch);
    assert!(
        error.message().contains("the controller without a class") && error.message().contains("of class 'blue'"),
        "{error}"
    );
    let error = LocalDoor::register(process.vault.clone(), "users", "cluster-2", "")
        .await
        .err()
        .unwrap();
    assert_eq!(error.reason(), Reason::InvalidRequest);
}

#[tokio::test]
async fn a_prefix_under_which_somebody_wrote_before_is_refused() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    process
        .vault
        .records()
        .write(&admin, &path("k8s/shop/db"), &record(&[("k", "v")]), Expect::Any)
        .await
        .unwrap();
    let error = LocalDoor::register(process.vault.clone(), "k8s", "cluster-1", "")
        .await
        .err()
        .unwrap();
    assert_eq!(error.reason(), Reason::ClusterMismatch);
    assert!(
        process
            .vault
            .records()
            .read(&admin, &path("k8s/shop/db"), None)
            .await
            .is_ok(),
        "and stays readable"
    );
}

#[tokio::test]
async fn values_are_generated_once_and_never_touched_again() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let door = register(&process, "k8s").await;
    let shop = asker("shop", "uid");
    let db = path("k8s/shop/db");
    let keys = |names: &[&str]| -> BTreeMap<KeyName, GenerateSpec> {
        names
            .iter()
            .map(|name| (KeyName::parse(*name).unwrap(), GenerateSpec::Uuid {}))
            .collect()
    };
    let wanted = |names: &[&str]| {
        let source = GenerateSource {
            keys: keys(names),
            rotation: None,
        };
        feed("db", FeedContent::Generate(source))
    };
    let generate = async |names: &[&str]| door.feed(&shop, &wanted(names)).await;
    let (first, written) = generate(&["a"]).await.unwrap();
    assert!(written && first.version.number() == 1);
    // Whoever believes that there is no record learns better.
    let believed = Feed {
        absent: true,
        ..wanted(&["a"])
    };
    assert_eq!(door.feed(&shop, &believed).await.unwrap(), (first.clone(), false));
    let (again, written) = generate(&["a"]).await.unwrap();
    assert_eq!((again, written), (first, false));
    let a = text(
        &process.vault.records().read(&admin, &db, None).await.unwrap().data,
        "a",
    );

    let (more, written) = generate(&["a", "b"]).await.unwrap();
    assert!(written && more.version.number() == 2);
    let read = process.vault.records().read(&admin, &db, None).await.unwrap();
    assert_eq!((text(&read.data, "a"), read.data.len()), (a, 2));

    process.vault.records().delete(&admin, &db, None).await.unwrap();
    let error = generate(&["a", "b", "c"]).await.unwrap_err();
    assert_eq!(
        error.reason(),
        Reason::VersionGone,
        "a deleted record is not made again"
    );
    // Nor is one that was deleted as a whole, and whoever looks sees that it was deleted, not that it never was.
    process.vault.records().remove(&admin, &db, None).await.unwrap();
    let error = generate(&["a", "b", "c"]).await.unwrap_err();
    assert_eq!(error.reason(), Reason::VersionGone);
    let refs = vec![RecordRef {
        path: db.clone(),
        version: None,
    }];
    let inspected = door.inspect(&[(shop.clone(), refs)]).await.unwrap().remove(0).unwrap();
    assert!(
        matches!(&inspected[0], Inspection::Present(head) if head.state == VersionState::Deleted),
        "{inspected:?}"
    );
    assert_eq!(database.count("SELECT count(*) FROM secret_versions").await, 2);
}
