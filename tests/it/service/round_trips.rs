//! How often Postgres is asked: counted on the wire.

use aether_vault::domain::audit::{Action, AuditEntry, Outcome};
use aether_vault::domain::record::{Expect, Metadata, Retention};
use aether_vault::service::LocalDoor;
use aether_vault::service::door::VaultDoor as _;
use aether_vault::store::Kept;
use aether_vault::store::audit::{Confirm, commit_batch};

use super::feed::arrives;
use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record};
use crate::support::wire::Wire;

/// A vault whose statements can be counted.
async fn watched() -> (TestDatabase, Wire, TestVault) {
    let mut database = TestDatabase::new().await;
    let wire = Wire::to(&database.runtime_dsn).await;
    database.runtime_dsn = wire.dsn(&database.runtime_dsn);
    let process = TestVault::open(&database).await;
    (database, wire, process)
}

fn is_audit(sql: &str) -> bool {
    sql.contains("INSERT INTO audit_entries")
}

#[tokio::test]
async fn reads_and_writes_take_one_round_trip() {
    let (_database, wire, process) = watched().await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    let door = LocalDoor::register(process.vault.clone(), "k8s", "uid-1", "")
        .await
        .unwrap();
    door.changes().await.unwrap();
    // The first write makes the root and its keys.
    records
        .write(&admin, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    arrives(&door, "shared/a").await;
    let metadata = Metadata {
        retention: Retention {
            max_versions: Some(2),
            delete_version_after: Some(3600),
            cas_required: false,
        },
        ..Metadata::default()
    };
    records.describe(&admin, &a, &metadata).await.unwrap();
    // The news of it takes the record out of the cache.
    arrives(&door, "shared/a").await;
    records.read(&admin, &a, None).await.unwrap();

    // Whatever upkeep did at the start has been done by now, or belongs to it.
    wire.take();
    for n in 0..5 {
        records
            .write(&admin, &a, &record(&[("n", &n.to_string())]), Expect::Any)
            .await
            .unwrap();
        let sent = mine(&wire);
        assert_eq!(sent.len(), 1, "a write: {sent:#?}");
        assert!(sent[0].contains("UPDATE secrets") && is_audit(&sent[0]), "{}", sent[0]);

        records.read(&admin, &a, None).await.unwrap();
        let sent = mine(&wire);
        assert_eq!(sent.len(), 1, "a cached read is its confirmation: {sent:#?}");
        assert!(is_audit(&sent[0]), "{}", sent[0]);
    }
    records
        .write(&admin, &path("shared/b"), &record(&[("n", "1")]), Expect::Absent)
        .await
        .unwrap();
    let sent = mine(&wire);
    // It looks by itself whether the record is there.
    assert_eq!(sent.len(), 1, "a new record: {sent:#?}");
    assert!(
        sent[0].contains("INSERT INTO secrets") && is_audit(&sent[0]),
        "{}",
        sent[0]
    );
}

#[tokio::test]
async fn a_batch_of_reads_takes_one_round_trip_to_fetch_and_one_to_confirm() {
    let (database, wire, process) = watched().await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let paths: Vec<_> = (0..100).map(|n| path(&format!("shared/r{n}"))).collect();
    for at in &paths {
        records
            .write(&admin, at, &record(&[("n", "1")]), Expect::Any)
            .await
            .unwrap();
    }
    let other = process.replica(&database).await;
    let asked: Vec<_> = paths.iter().map(|path| (path.clone(), None)).collect();
    // The keys of the root, and whatever else a process does first.
    other
        .vault
        .records()
        .read(
            &admin,
            &path("shared/r0"),
            Some(aether_vault::domain::record::Version::FIRST),
        )
        .await
        .unwrap();
    wire.take();
    for fetches in [1, 0] {
        let answers = other.vault.records().read_many(&admin, &asked).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
        let sent = mine(&wire);
        assert_eq!(sent.iter().filter(|sql| is_audit(sql)).count(), 1, "{sent:#?}");
        assert_eq!(sent.len(), 1 + fetches, "{sent:#?}");
    }
    assert_eq!(database.count(READS).await, 201);
}

/// While batches are being committed the next ones fill: 1,000 reads at once are four statements of at most 256 rows, not a thousand.
#[tokio::test]
async fn a_thousand_reads_at_once_share_their_commits() {
    let (database, wire, process) = watched().await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    records
        .write(&admin, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    records.read(&admin, &a, None).await.unwrap();
    wire.take();
    let before = database.count(READS).await;

    let mut reads: Vec<_> = (0..1000).map(|_| Box::pin(records.read(&admin, &a, None))).collect();
    // All are asked for before the runtime gets to run anything else, and so before anything is committed.
    let waiting = tokio::task::unconstrained(async {
        for read in &mut reads {
            assert!(
                futures::poll!(read).is_pending(),
                "a read answers before its entry is committed"
            );
        }
    });
    waiting.await;
    let answers = futures::future::join_all(reads).await;
    assert!(answers.iter().all(Result::is_ok));
    let sent = mine(&wire);
    assert_eq!(sent.len(), 1000_usize.div_ceil(256), "{sent:#?}");
    assert_eq!(database.count(READS).await - before, 1000);
}

const READS: &str = "SELECT count(*) FROM audit_entries WHERE action = 'record.read' AND decision = 'allow'";

/// What the operation sent: what jobs and other background work of the process sent aside.
fn mine(wire: &Wire) -> Vec<String> {
    let touched = [
        "FROM secrets",
        "JOIN secrets",
        "UPDATE secrets",
        "INTO secrets",
        "INSERT INTO audit_entries",
    ];
    let background = ["width_bucket", "SKIP LOCKED"];
    let mut sent = wire.take();
    sent.retain(|sql| {
        touched.iter().any(|text| sql.contains(text)) && !background.iter().any(|text| sql.contains(text))
    });
    sent
}

/// Postgres would plan a statement that takes arrays anew for each batch.
#[tokio::test]
async fn the_statement_of_a_batch_is_planned_once() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    let entry = AuditEntry {
        request_id: uuid::Uuid::nil(),
        actor_kind: "system",
        actor_id: String::new(),
        actor_name: String::new(),
        door: "cli",
        action: Action::RecordRead,
        resource: "shared/a".to_owned(),
        version: None,
        outcome: Outcome::Allow,
        reason: "",
        policy: None,
        rule: None,
        client: None,
        user_agent: None,
        origin_uid: None,
        origin_generation: None,
    };
    let plans = async |kept: &mut Kept| -> (i64, i64) {
        for _ in 0..10 {
            let connection = kept.get().await.unwrap();
            let confirmed = commit_batch(connection, &[(&entry, Confirm::default())]).await.unwrap();
            assert_eq!(confirmed, [true]);
        }
        let sql = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%INSERT INTO audit_entries%'";
        sqlx::query_as(sql).fetch_one(kept.get().await.unwrap()).await.unwrap()
    };
    assert_eq!(plans(&mut Kept::planning_once(&database.runtime)).await, (10, 0));
    let (generic, custom) = plans(&mut Kept::of(&database.runtime)).await;
    assert!(
        custom > 0,
        "Postgres does so by itself: {generic} generic, {custom} custom"
    );

    // A connection that died is another one once it is forgotten.
    let mut kept = Kept::of(&database.runtime);
    let pid = async |kept: &mut Kept| -> i32 {
        sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(kept.get().await.unwrap())
            .await
            .unwrap()
    };
    let first = pid(&mut kept).await;
    assert_eq!(pid(&mut kept).await, first);
    database.execute(&format!("SELECT pg_terminate_backend({first})")).await;
    let connection = kept.get().await.unwrap();
    assert!(sqlx::query("SELECT 1").execute(connection).await.is_err());
    kept.forget();
    assert_ne!(pid(&mut kept).await, first);
}
