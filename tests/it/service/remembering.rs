//! What the controller remembers of its Secrets: rows that wait are written together, and none suffers for another.

use aether_vault::service::LocalDoor;
use aether_vault::service::door::{SyncRow, VaultDoor as _};
use futures::future::join_all;

use crate::support::database::TestDatabase;
use crate::support::vault::TestVault;
use crate::support::wire::Wire;

/// Rows of one statement at most.
const TOGETHER: usize = 256;

/// The row of VaultSecret `shop/db`.
pub(super) fn row(uid: &str, generation: i64) -> SyncRow {
    SyncRow {
        uid: uid.to_owned(),
        namespace: "shop".to_owned(),
        name: "db".to_owned(),
        generation,
        crd_uid: "crd".to_owned(),
        delete_with_owner: true,
        secret_name: "db".to_owned(),
        secret_uid: "s".to_owned(),
        secret_resource_version: generation.to_string(),
        content_hash: Vec::new(),
        content_changed_at: None,
        restarts: false,
        soft_delete: None,
        data_hash: vec![1, 2, 3],
        records: Vec::new(),
    }
}

async fn door(process: &TestVault) -> LocalDoor {
    LocalDoor::register(process.vault.clone(), "k8s", "uid-1", "")
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_applied_only_moves_forward() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let door = door(&process).await;
    assert!(door.remember(&row("vs-1", 2)).await.unwrap());
    assert!(!door.remember(&row("vs-1", 1)).await.unwrap());
    assert_eq!(door.syncs().await.unwrap().rows, [row("vs-1", 2)]);
    assert!(door.syncs().await.unwrap().deletions_confirmed_at.is_none());
    process.vault.confirm_deletions("k8s").await.unwrap();
    assert!(door.syncs().await.unwrap().deletions_confirmed_at.is_some());
    door.forget(&row("vs-1", 2), true).await.unwrap();
    door.forget(&row("vs-1", 2), true).await.unwrap();
    assert!(door.syncs().await.unwrap().rows.is_empty());
    let forgotten = "SELECT count(*) FROM audit_entries WHERE action = 'sync.forget' AND origin_uid = 'vs-1'";
    assert_eq!(database.count(forgotten).await, 1);
}

/// The first goes alone; the others wait for it, and then go together.
#[tokio::test]
async fn rows_that_wait_go_together() {
    let mut database = TestDatabase::new().await;
    let wire = Wire::to(&database.runtime_dsn).await;
    database.runtime_dsn = wire.dsn(&database.runtime_dsn);
    let process = TestVault::open(&database).await;
    let door = door(&process).await;
    assert!(door.remember(&row("vs-0", 2)).await.unwrap());
    wire.take();

    let rows: Vec<SyncRow> = (0..600).map(|n| row(&format!("vs-{n}"), 1)).collect();
    // All are asked for before the runtime gets to run anything else.
    let mut asked: Vec<_> = rows.iter().map(|row| door.remember(row)).collect();
    tokio::task::unconstrained(async {
        for one in &mut asked {
            assert!(futures::poll!(one).is_pending());
        }
    })
    .await;
    let answers = join_all(asked).await;
    let remembered: Vec<bool> = answers.into_iter().map(Result::unwrap).collect();
    // Each hears of its own row: of the first one a newer generation is remembered.
    assert!(!remembered[0] && remembered[1..].iter().all(|remembered| *remembered));
    let mut sent = wire.take();
    sent.retain(|sql| sql.contains("INTO syncs"));
    assert_eq!(sent.len(), 1 + 599_usize.div_ceil(TOGETHER), "{sent:#?}");
    assert_eq!(database.count("SELECT count(*) FROM syncs").await, 600);
}

#[tokio::test]
async fn one_resource_is_remembered_in_the_order_it_was_asked_for() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let door = door(&process).await;
    let rows: Vec<SyncRow> = (1..=20).map(|generation| row("vs-1", generation)).collect();
    let answers = join_all(rows.iter().map(|row| door.remember(row))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap()));
    assert_eq!(door.syncs().await.unwrap().rows, [row("vs-1", 20)]);
}

#[tokio::test]
async fn a_row_that_is_refused_takes_no_other_with_it() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let door = door(&process).await;
    let mut rows: Vec<SyncRow> = (0..20).map(|n| row(&format!("vs-{n}"), 1)).collect();
    // No text of Postgres holds this character.
    rows[7].name = "d\0b".to_owned();
    let answers = join_all(rows.iter().map(|row| door.remember(row))).await;
    let failed: Vec<usize> = (0..answers.len()).filter(|at| answers[*at].is_err()).collect();
    assert_eq!(failed, [7]);
    assert_eq!(database.count("SELECT count(*) FROM syncs").await, 19);
}

/// Whoever writes for all may be called off in the middle: the others do not wait for ever.
#[tokio::test]
async fn whoever_writes_for_all_may_be_called_off() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let door = door(&process).await;
    let mut held = database.superuser.begin().await.unwrap();
    sqlx::query("LOCK TABLE syncs IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .unwrap();
    let rows: Vec<SyncRow> = (0..3).map(|n| row(&format!("vs-{n}"), 1)).collect();
    let mut alone = Box::pin(door.remember(&rows[0]));
    assert!(futures::poll!(&mut alone).is_pending());
    let mut for_all = Box::pin(door.remember(&rows[1]));
    let mut other = Box::pin(door.remember(&rows[2]));
    assert!(futures::poll!(&mut for_all).is_pending() && futures::poll!(&mut other).is_pending());
    drop(alone);
    // It finds nobody writing, and begins.
    assert!(futures::poll!(&mut for_all).is_pending());
    drop(for_all);
    held.rollback().await.unwrap();
    assert!(other.await.unwrap());
    assert!(door.syncs().await.unwrap().rows.contains(&rows[2]));
}
