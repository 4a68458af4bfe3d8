//! Search, comparison and counts.

use std::time::Duration;

use aether_vault::domain::path::PathPrefix;
use aether_vault::domain::record::{Expect, Metadata};
use aether_vault::service::error::Reason;
use aether_vault::service::records::SearchOptions;

use super::{deny, everything, v};
use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record};

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
