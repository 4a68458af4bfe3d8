//! Ends of versions and records, and settings that bind writers.

use std::time::Duration;

use aether_vault::domain::record::{Expect, Metadata, MetadataPatch, Patch, Retention};
use aether_vault::service::error::Reason;
use serde_json::json;

use super::v;
use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

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
