//! How often Postgres is asked: counted on the wire.

use aether_vault::domain::record::{Expect, Metadata, Retention};
use aether_vault::service::LocalDoor;
use aether_vault::service::door::VaultDoor as _;

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
    // Whether the record is there, and the statement that makes it.
    assert_eq!(sent.len(), 2, "a new record: {sent:#?}");
    assert!(
        sent[1].contains("INSERT INTO secrets") && is_audit(&sent[1]),
        "{}",
        sent[1]
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
