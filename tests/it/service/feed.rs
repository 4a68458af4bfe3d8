//! The change feed brings one process's changes to another, also past transactions that stay open.

use std::time::Duration;

use aether_vault::domain::record::Expect;
use aether_vault::service::LocalDoor;
use aether_vault::service::door::{Changes, VaultDoor as _};
use aether_vault::store::changes;
use sqlx::Connection as _;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record};

/// Waits for a path to arrive; fails after a time that only a defect takes.
pub(super) async fn arrives(door: &LocalDoor, name: &str) -> Changes {
    let wait = async {
        loop {
            let changes = door.changes().await.unwrap();
            if changes.paths.contains(&path(name)) {
                return changes;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .expect("the change never arrived")
}

#[tokio::test]
async fn a_change_arrives_in_another_process() {
    let database = TestDatabase::new().await;
    let api = TestVault::open(&database).await;
    let controller = api.replica(&database).await;
    let admin = api.admin().await;
    let door = LocalDoor::register(controller.vault.clone(), "k8s", "uid-1", "")
        .await
        .unwrap();
    assert!(
        door.changes().await.unwrap().everything,
        "the first answer is to compare everything"
    );
    api.vault
        .records()
        .write(&admin, &path("shared/a"), &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    arrives(&door, "shared/a").await;
}

#[tokio::test]
async fn a_transaction_open_in_another_database_delays_nothing_and_nothing_is_told_twice() {
    let database = TestDatabase::new().await;
    let elsewhere = TestDatabase::empty().await;
    let mut connection = elsewhere.superuser.acquire().await.unwrap();
    let mut open = connection.begin().await.unwrap();
    sqlx::query("SELECT pg_current_xact_id()")
        .execute(&mut *open)
        .await
        .unwrap();

    let mut resume = changes::now(&database.runtime).await.unwrap();
    for n in 0..5 {
        let subject = format!("shared/{n}");
        sqlx::query("INSERT INTO changes (kind, subject) VALUES ('record', $1)")
            .bind(&subject)
            .execute(&database.runtime)
            .await
            .unwrap();
        let pass = changes::since(&mut database.runtime.acquire().await.unwrap(), &resume)
            .await
            .unwrap();
        assert_eq!(
            pass.changes
                .iter()
                .map(|change| change.subject.clone())
                .collect::<Vec<_>>(),
            [subject]
        );
        resume = pass.resume;
    }
    open.rollback().await.unwrap();
    assert!(
        changes::since(&mut database.runtime.acquire().await.unwrap(), &resume)
            .await
            .unwrap()
            .changes
            .is_empty()
    );
}

#[tokio::test]
async fn a_row_whose_transaction_commits_late_is_not_skipped() {
    let database = TestDatabase::new().await;
    let insert = "INSERT INTO changes (kind, subject) VALUES ('record', $1)";
    let mut slow = database.superuser.begin().await.unwrap();
    sqlx::query(insert)
        .bind("shared/slow")
        .execute(&mut *slow)
        .await
        .unwrap();
    let start = changes::now(&database.runtime).await.unwrap();
    sqlx::query(insert)
        .bind("shared/fast")
        .execute(&database.runtime)
        .await
        .unwrap();

    let first = changes::since(&mut database.runtime.acquire().await.unwrap(), &start)
        .await
        .unwrap();
    assert_eq!(first.changes.len(), 1);
    slow.commit().await.unwrap();
    let second = changes::since(&mut database.runtime.acquire().await.unwrap(), &first.resume)
        .await
        .unwrap();
    assert_eq!(
        second
            .changes
            .iter()
            .map(|change| change.subject.as_str())
            .collect::<Vec<_>>(),
        ["shared/slow"]
    );
}
