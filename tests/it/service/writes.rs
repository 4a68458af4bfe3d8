//! Writing records: versions, check-and-set, and the audit entry in the same commit.

use aether_vault::domain::record::{Expect, Version, VersionState};
use aether_vault::service::error::Reason;
use aether_vault::service::records::{ListItem, ListOptions};

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

fn v(number: i64) -> Version {
    Version::new(number).unwrap()
}

#[tokio::test]
async fn a_record_is_written_read_and_written_again() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let smtp = path("shared/smtp");

    let first = records
        .write(&admin, &smtp, &record(&[("user", "a")]), Expect::Any)
        .await
        .unwrap();
    let second = records
        .write(&admin, &smtp, &record(&[("user", "b")]), Expect::Current(v(1)))
        .await
        .unwrap();
    assert_eq!((first.version, second.version), (v(1), v(2)));

    let read = records.read(&admin, &smtp, None).await.unwrap();
    assert_eq!((read.version, text(&read.data, "user").as_str()), (v(2), "b"));
    let old = records.read(&admin, &smtp, Some(v(1))).await.unwrap();
    assert_eq!((old.version, text(&old.data, "user").as_str()), (v(1), "a"));
}

#[tokio::test]
async fn check_and_set_refuses_and_writes_nothing() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let smtp = path("shared/smtp");
    let data = record(&[("user", "a")]);

    let error = records
        .write(&admin, &smtp, &data, Expect::Current(v(1)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.reason(), error.message()),
        (
            Reason::CheckAndSetFailed,
            "the record does not exist; write with 'cas' 0 to make it"
        )
    );
    records.write(&admin, &smtp, &data, Expect::Absent).await.unwrap();
    for expect in [Expect::Absent, Expect::Current(v(2))] {
        let error = records.write(&admin, &smtp, &data, expect).await.unwrap_err();
        assert_eq!(error.reason(), Reason::CheckAndSetFailed, "{expect:?}");
    }
    assert_eq!(database.count("SELECT count(*) FROM secret_versions").await, 1);
    assert_eq!(
        database
            .count("SELECT count(*) FROM changes WHERE kind = 'record'")
            .await,
        1
    );
}

#[tokio::test]
async fn of_parallel_writes_with_the_same_cas_one_wins() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let other = process.replica(&database).await;
    let admin = process.admin().await;
    let smtp = path("shared/smtp");
    process
        .vault
        .records()
        .write(&admin, &smtp, &record(&[("n", "0")]), Expect::Absent)
        .await
        .unwrap();

    let writes = (0..20).map(|n| {
        let vault = if n % 2 == 0 {
            process.vault.clone()
        } else {
            other.vault.clone()
        };
        let (admin, smtp) = (admin.clone(), smtp.clone());
        tokio::spawn(async move {
            let data = record(&[("n", &n.to_string())]);
            vault
                .records()
                .write(&admin, &smtp, &data, Expect::Current(v(1)))
                .await
                .is_ok()
        })
    });
    let outcomes = futures::future::join_all(writes).await;
    assert_eq!(
        outcomes
            .into_iter()
            .filter(|outcome| *outcome.as_ref().unwrap())
            .count(),
        1
    );
    assert_eq!(database.count("SELECT current_version FROM secrets").await, 2);
}

#[tokio::test]
async fn parallel_writes_without_cas_all_make_a_version() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let writes = (0..4).map(|n| {
        let (vault, admin) = (process.vault.clone(), admin.clone());
        tokio::spawn(async move {
            let data = record(&[("n", &n.to_string())]);
            vault
                .records()
                .write(&admin, &path("shared/smtp"), &data, Expect::Any)
                .await
        })
    });
    for outcome in futures::future::join_all(writes).await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(database.count("SELECT current_version FROM secrets").await, 4);
    assert_eq!(
        database
            .count("SELECT count(*) FROM audit_entries WHERE action = 'record.write'")
            .await,
        4
    );
}

#[tokio::test]
async fn old_versions_beyond_those_kept_are_dropped() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    for n in 0..12 {
        records
            .write(
                &admin,
                &path("shared/a"),
                &record(&[("n", &n.to_string())]),
                Expect::Any,
            )
            .await
            .unwrap();
    }
    let versions = records.versions(&admin, &path("shared/a")).await.unwrap();
    assert_eq!(
        versions.iter().map(|info| info.version.number()).collect::<Vec<_>>(),
        (3..=12).collect::<Vec<_>>()
    );
    let error = records.read(&admin, &path("shared/a"), Some(v(2))).await.err().unwrap();
    assert_eq!(error.reason(), Reason::VersionGone);
}

#[tokio::test]
async fn versions_are_deleted_brought_back_and_destroyed() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    records
        .write(&admin, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    records
        .write(&admin, &a, &record(&[("n", "2")]), Expect::Any)
        .await
        .unwrap();

    records.delete(&admin, &a, None).await.unwrap();
    assert_eq!(
        records.read(&admin, &a, None).await.err().unwrap().reason(),
        Reason::VersionGone
    );
    assert!(records.read(&admin, &a, Some(v(1))).await.is_ok());
    records.undelete(&admin, &a, &[v(2)]).await.unwrap();
    assert_eq!(text(&records.read(&admin, &a, None).await.unwrap().data, "n"), "2");
    assert_eq!(
        records.undelete(&admin, &a, &[v(2)]).await.unwrap_err().reason(),
        Reason::VersionGone
    );

    records.destroy(&admin, &a, &[v(1)]).await.unwrap();
    assert_eq!(
        records.undelete(&admin, &a, &[v(1)]).await.unwrap_err().reason(),
        Reason::VersionGone
    );
    assert_eq!(
        database
            .count("SELECT count(*) FROM secret_versions WHERE ciphertext IS NULL")
            .await,
        1
    );
    let states = records.versions(&admin, &a).await.unwrap();
    assert_eq!(
        states.iter().map(|info| info.state).collect::<Vec<_>>(),
        [VersionState::Destroyed, VersionState::Live]
    );
}

#[tokio::test]
async fn a_list_shows_folders_and_records_page_by_page() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    for name in [
        "shared/a/x",
        "shared/a/y/z",
        "shared/a0",
        "shared/b",
        "shared/a~",
        "other/c",
    ] {
        records
            .write(&admin, &path(name), &record(&[("n", "1")]), Expect::Any)
            .await
            .unwrap();
    }
    let prefix = aether_vault::domain::path::PathPrefix::parse("shared").unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let options = ListOptions {
            recursive: false,
            limit: 1,
            after,
        };
        let page = records.list(&admin, &prefix, &options).await.unwrap();
        seen.extend(page.items.into_iter().map(|item| match item {
            ListItem::Folder(path) | ListItem::Record { path, .. } => path,
        }));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(seen, ["shared/a/", "shared/a0", "shared/a~", "shared/b"]);
    let options = ListOptions {
        recursive: true,
        limit: 100,
        after: None,
    };
    assert_eq!(records.list(&admin, &prefix, &options).await.unwrap().items.len(), 5);
}

#[tokio::test]
async fn r30_values_with_sql_in_them_are_values() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let hostile = "'; DROP TABLE secrets; -- $1 \\' %s";
    records
        .write(&admin, &path("shared/a"), &record(&[("k", hostile)]), Expect::Any)
        .await
        .unwrap();
    let read = records.read(&admin, &path("shared/a"), None).await.unwrap();
    assert_eq!(text(&read.data, "k"), hostile);
}
