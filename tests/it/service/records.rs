//! Records beside their values: ends of versions and records, metadata, search, batches, and who feeds them.

use std::time::Duration;

use aether_vault::domain::actor::NamespaceName;
use aether_vault::domain::path::PathPrefix;
use aether_vault::domain::record::{Expect, Metadata, MetadataPatch, Patch, Retention, Version};
use aether_vault::service::LocalDoor;
use aether_vault::service::context::ResourceOrigin;
use aether_vault::service::door::{Asker, Feed, FeedContent, VaultDoor as _};
use aether_vault::service::error::Reason;
use aether_vault::service::records::SearchOptions;
use serde_json::json;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

fn v(number: i64) -> Version {
    Version::new(number).unwrap()
}

fn everything() -> SearchOptions {
    SearchOptions {
        prefix: PathPrefix::all(),
        name: None,
        owner: None,
        tags: Vec::new(),
        custom: Vec::new(),
        expires_within: None,
        deleted: false,
        limit: 100,
        after: None,
    }
}

/// Puts a policy in force that denies everybody, administrators too.
async fn deny(process: &TestVault, admin: &aether_vault::service::context::OpContext, paths: &str, capability: &str) {
    let document = serde_json::from_value(json!({
        "subjects": [{"kind": "Everyone"}],
        "rules": [{"effect": "deny", "paths": [paths], "capabilities": [capability]}],
    }))
    .unwrap();
    process
        .vault
        .policies()
        .put(admin, "denied", &document, Expect::Any)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_cached_version_is_gone_when_the_database_says_its_time_has_come() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    records
        .write(&admin, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    let metadata = Metadata {
        retention: Retention {
            delete_version_after: Some(1),
            ..Retention::default()
        },
        ..Metadata::default()
    };
    records.describe(&admin, &a, &metadata).await.unwrap();
    records
        .write(&admin, &a, &record(&[("n", "2")]), Expect::Any)
        .await
        .unwrap();
    let reads = "SELECT count(*) FROM audit_entries WHERE action = 'record.read' AND decision = 'allow'";
    let before = database.count(reads).await;
    // The process's own clock says nothing: it stands an hour behind.
    process.clock.rewind(Duration::from_secs(300));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let error = records.read(&admin, &a, None).await.err().unwrap();
    assert_eq!(error.reason(), Reason::VersionGone);
    let many = records.read_many(&admin, &[(a.clone(), None)]).await.unwrap();
    assert_eq!(many[0].as_ref().err().unwrap().reason(), Reason::VersionGone);
    assert_eq!(database.count(reads).await, before, "no entry says that it was read");
    assert_eq!(
        text(&records.read(&admin, &a, Some(v(1))).await.unwrap().data, "n"),
        "1"
    );
}

#[tokio::test]
async fn what_is_overdue_is_destroyed_and_what_was_deleted_long_ago_is_removed() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    for name in ["shared/a", "shared/b", "shared/c"] {
        records
            .write(&admin, &path(name), &record(&[("n", "1")]), Expect::Any)
            .await
            .unwrap();
    }
    records.remove(&admin, &path("shared/b"), None).await.unwrap();
    records.remove(&admin, &path("shared/c"), None).await.unwrap();
    database
        .execute(
            "UPDATE secrets SET deleted_at = now() - interval '31 days' WHERE path = 'shared/b';
             UPDATE secret_versions SET delete_at = now() - interval '31 days'
             WHERE secret_id = (SELECT id FROM secrets WHERE path = 'shared/a')",
        )
        .await;
    // A process that finds the job free does it at once.
    database.execute("DELETE FROM jobs").await;
    let _other = process.replica(&database).await;
    for _ in 0..100 {
        if database.count("SELECT count(*) FROM secrets").await == 2
            && database
                .count("SELECT count(*) FROM secret_versions WHERE state = 'destroyed'")
                .await
                == 1
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        database
            .count("SELECT count(*) FROM secrets WHERE path <> 'shared/b'")
            .await,
        2
    );
    let audit = database.audit().await;
    for entry in ["record.purge allow shared/b", "record.destroy allow shared/a"] {
        assert!(audit.iter().any(|found| found == entry), "{entry}: {audit:#?}");
    }
    let error = records.undelete(&admin, &path("shared/a"), &[v(1)]).await.unwrap_err();
    assert_eq!(error.reason(), Reason::VersionGone);
    records.restore(&admin, &path("shared/c")).await.unwrap();
    assert!(records.read(&admin, &path("shared/c"), None).await.is_ok());
}

#[tokio::test]
async fn settings_of_a_record_bind_writers_that_have_it_in_memory() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let a = path("shared/a");
    one.vault
        .records()
        .write(&admin, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    two.vault.records().read(&admin, &a, None).await.unwrap();
    let patch = MetadataPatch {
        cas_required: Some(Some(true)),
        ..MetadataPatch::default()
    };
    one.vault.records().patch_metadata(&admin, &a, &patch).await.unwrap();
    // Whether or not the change has reached the other process, its write is refused.
    let error = two
        .vault
        .records()
        .write(&admin, &a, &record(&[("n", "2")]), Expect::Any)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::CasRequired);
}

#[tokio::test]
async fn a_patch_keeps_what_others_wrote_in_between() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let a = path("shared/a");
    one.vault
        .records()
        .write(&admin, &a, &record(&[("start", "0")]), Expect::Any)
        .await
        .unwrap();
    let patches = (0..4).map(|n| {
        let (vault, admin, a) = (
            if n % 2 == 0 { &one } else { &two }.vault.clone(),
            admin.clone(),
            a.clone(),
        );
        tokio::spawn(async move {
            let data = [(format!("k{n}"), json!("x"))].into_iter().collect();
            let patch = Patch::from_json(data, std::collections::BTreeMap::new()).unwrap();
            vault.records().patch(&admin, &a, &patch, Expect::Any).await.map(|_| ())
        })
    });
    for outcome in futures::future::join_all(patches).await {
        outcome.unwrap().unwrap();
    }
    let read = one.vault.records().read(&admin, &a, None).await.unwrap();
    assert_eq!((read.version, read.data.len()), (v(5), 5));
}

#[tokio::test]
async fn r16_a_search_finds_only_what_may_be_listed() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    for (name, owner, tag) in [
        ("shared/app/db", "ann", "prod"),
        ("shared/app/secret", "ann", "prod"),
        ("shared/application", "bob", "prod"),
        ("other/DB", "ann", "test"),
    ] {
        records
            .write(&admin, &path(name), &record(&[("n", "1")]), Expect::Any)
            .await
            .unwrap();
        let metadata = Metadata {
            owner: owner.to_owned(),
            tags: [tag.to_owned(), "all".to_owned()].into(),
            custom: [("tier".to_owned(), name.len().to_string())].into(),
            ..Metadata::default()
        };
        records.describe(&admin, &path(name), &metadata).await.unwrap();
    }
    let found = async |change: fn(&mut SearchOptions)| {
        let mut options = everything();
        change(&mut options);
        let page = process.vault.records().search(&admin, &options).await.unwrap();
        page.items
            .iter()
            .map(|row| row.path.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(|_| ()).await.len(), 4);
    assert_eq!(
        found(|o| o.prefix = PathPrefix::parse("shared/app").unwrap()).await,
        ["shared/app/db", "shared/app/secret"]
    );
    assert_eq!(
        found(|o| o.name = Some("db".into())).await,
        ["other/DB", "shared/app/db"]
    );
    assert_eq!(
        found(|o| o.name = Some("%".into())).await,
        Vec::<String>::new(),
        "no pattern"
    );
    assert_eq!(found(|o| o.owner = Some("bob".into())).await, ["shared/application"]);
    assert_eq!(
        found(|o| o.tags = vec!["all".into(), "test".into()]).await,
        ["other/DB"]
    );
    assert_eq!(
        found(|o| o.custom = vec![("tier".into(), "13".into())]).await,
        ["shared/app/db"]
    );

    deny(&process, &admin, "shared/app/secret", "list").await;
    for change in [
        (|_| ()) as fn(&mut SearchOptions),
        |o| o.name = Some("secret".into()),
        |o| o.tags = vec!["prod".into()],
        |o| o.custom = vec![("tier".into(), "17".into())],
    ] {
        assert!(!found(change).await.contains(&"shared/app/secret".to_owned()));
    }
    let error = records.metadata(&admin, &path("shared/app/secret")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::PolicyDenied);
    // Page by page, over what is hidden.
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let options = SearchOptions {
            limit: 1,
            after,
            ..everything()
        };
        let page = records.search(&admin, &options).await.unwrap();
        seen.extend(page.items.into_iter().map(|row| row.path.as_str().to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["other/DB", "shared/app/db", "shared/application"]);
}

#[tokio::test]
async fn whoever_may_write_and_not_read_learns_nothing_by_comparing() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    for n in ["1", "2"] {
        records
            .write(&admin, &a, &record(&[("n", n)]), Expect::Any)
            .await
            .unwrap();
    }
    deny(&process, &admin, "shared/a", "read").await;
    for values in [false, true] {
        let error = records.compare(&admin, &a, v(1), None, values).await.err().unwrap();
        assert_eq!(error.reason(), Reason::PolicyDenied);
    }
    for error in [
        records
            .copy(&admin, &a, None, &path("shared/b"), Expect::Any)
            .await
            .err(),
        records.rename(&admin, &a, &path("shared/b")).await.err(),
        records.wrap(&admin, &a, None, None, 60).await.err(),
    ] {
        assert_eq!(error.unwrap().reason(), Reason::PolicyDenied);
    }
    // Going back to an earlier version shows nothing.
    records.rollback(&admin, &a, v(1), Expect::Any).await.unwrap();
}

#[tokio::test]
async fn records_are_counted_by_how_soon_they_end_and_by_their_age() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    for (name, at) in [
        ("shared/past", "2001-01-01T00:00:00Z"),
        ("shared/later", "2101-01-01T00:00:00Z"),
    ] {
        records
            .write(&admin, &path(name), &record(&[("n", "1")]), Expect::Any)
            .await
            .unwrap();
        let metadata = Metadata {
            expires_at: Some(at.parse().unwrap()),
            ..Metadata::default()
        };
        records.describe(&admin, &path(name), &metadata).await.unwrap();
    }
    let soon = SearchOptions {
        expires_within: Some(86_400),
        ..everything()
    };
    let page = records.search(&admin, &soon).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert!(
        records
            .read(&admin, &path("shared/past"), None)
            .await
            .unwrap()
            .expires_at
            .is_some(),
        "reads go on"
    );
    let old = "UPDATE secret_versions SET created_at = created_at - interval '31 days' WHERE secret_id = (SELECT id FROM secrets WHERE path = 'shared/past')";
    database.execute(old).await;
    database.execute("DELETE FROM jobs").await;
    let other = process.replica(&database).await;
    for _ in 0..100 {
        if other.metric("aether_vault_records_by_age") >= 2.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let families = other.registry.gather();
    let counts = |name: &str| -> Vec<String> {
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let filled = family
            .get_metric()
            .iter()
            .filter(|metric| metric.get_gauge().get_value() > 0.0);
        filled.map(|metric| metric.get_label()[0].value().to_owned()).collect()
    };
    assert_eq!(counts("aether_vault_records_expiring"), ["expired", "later"]);
    assert_eq!(counts("aether_vault_records_by_age"), ["1d", "90d"]);
}

#[tokio::test]
async fn a_batch_authorises_and_audits_each_record_on_its_own() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    for name in ["shared/a", "shared/b"] {
        records
            .write(&admin, &path(name), &record(&[("n", name)]), Expect::Any)
            .await
            .unwrap();
    }
    deny(&process, &admin, "shared/b", "read").await;
    let asked = [
        ("shared/a", None),
        ("shared/b", None),
        ("shared/c", None),
        ("shared/a", Some(v(9))),
    ]
    .map(|(name, version)| (path(name), version));
    let answers = records.read_many(&admin, &asked).await.unwrap();
    let shown: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(read) => text(&read.data, "n"),
            Err(error) => error.reason().as_str().to_owned(),
        })
        .collect();
    assert_eq!(shown, ["shared/a", "PolicyDenied", "PathNotFound", "VersionGone"]);
    let audit = database.audit().await;
    assert_eq!(
        audit[audit.len() - 4..],
        [
            "record.read allow shared/a",
            "record.read deny PolicyDenied shared/b",
            "record.read fail PathNotFound shared/c",
            "record.read fail VersionGone shared/a",
        ]
    );
}

#[tokio::test]
async fn a_batch_sees_writes_of_another_process() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let paths = ["shared/a", "shared/b"].map(|name| (path(name), None));
    for n in 0..10 {
        for (at, _) in &paths {
            one.vault
                .records()
                .write(&admin, at, &record(&[("n", &n.to_string())]), Expect::Any)
                .await
                .unwrap();
        }
        let answers = two.vault.records().read_many(&admin, &paths).await.unwrap();
        for answer in answers {
            assert_eq!(text(&answer.ok().unwrap().data, "n"), n.to_string());
        }
    }
}

#[tokio::test]
async fn only_the_resource_that_feeds_a_record_writes_it() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let door = LocalDoor::register(process.vault.clone(), "k8s", "cluster-1", "")
        .await
        .unwrap();
    let shop = Asker {
        namespace: NamespaceName {
            name: "shop".to_owned(),
            uid: "uid-shop".to_owned(),
            labels: std::collections::BTreeMap::new(),
        },
        resource: ResourceOrigin {
            uid: "vs-1".to_owned(),
            generation: 1,
        },
    };
    let records = process.vault.records();
    let a = path("k8s/shop/a");
    let (owner, other) = ("VaultSecret k8s/shop/a", "VaultSecret k8s/shop/b");
    let feed = |name: &str, n: &str| Feed {
        path: a.clone(),
        name: name.to_owned(),
        content: FeedContent::Import {
            data: record(&[("n", n)]),
            follow: true,
        },
        rotate_now: None,
        absent: false,
    };
    door.feed(&shop, &feed("a", "1")).await.unwrap();
    door.feed(&shop, &feed("a", "2")).await.unwrap();
    let patch = || {
        Patch::from_json(
            [("n".to_owned(), json!("3"))].into_iter().collect(),
            std::collections::BTreeMap::new(),
        )
        .unwrap()
    };
    let data = record(&[("n", "3")]);
    let refusals = [
        records.write(&admin, &a, &data, Expect::Any).await.err(),
        door.feed(&shop, &feed("b", "3")).await.err(),
        records.patch(&admin, &a, &patch(), Expect::Any).await.err(),
        records.rollback(&admin, &a, v(1), Expect::Any).await.err(),
        records.delete(&admin, &a, None).await.err(),
        records.destroy(&admin, &a, &[v(1)]).await.err(),
        records.remove(&admin, &a, None).await.err(),
        records.remove(&admin, &a, Some(other)).await.err(),
        records.purge(&admin, &a).await.err(),
        records.rename(&admin, &a, &path("k8s/shop/c")).await.err(),
    ];
    for (n, refusal) in refusals.into_iter().enumerate() {
        let error = refusal.unwrap_or_else(|| panic!("{n} was let through"));
        assert_eq!(
            (error.reason(), error.message()),
            (
                Reason::ManagedByResource,
                "VaultSecret k8s/shop/a feeds this record; change it there"
            ),
            "{n}"
        );
    }
    assert_eq!(
        records.metadata(&admin, &a).await.unwrap().row.managed_by.as_deref(),
        Some(owner)
    );
    assert!(!door.release(&shop, &a, "b").await.unwrap());
    assert!(door.release(&shop, &a, "a").await.unwrap());
    records.write(&admin, &a, &data, Expect::Any).await.unwrap();
    door.feed(&shop, &feed("b", "4")).await.unwrap();
    records.remove(&admin, &a, Some(other)).await.unwrap();
    assert_eq!(
        records.read(&admin, &a, None).await.err().unwrap().reason(),
        Reason::VersionGone
    );
}
