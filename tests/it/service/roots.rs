//! R40, in bulk: roots of namespaces that were deleted, or made again.

use aether_vault::domain::record::Expect;
use aether_vault::service::LocalDoor;
use aether_vault::service::door::SeenNamespace;
use jiff::Timestamp;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record};

async fn seen(database: &TestDatabase, door: &LocalDoor, namespaces: &[(&str, &str)]) {
    // As the controller's next look finds it.
    database.execute("DELETE FROM cluster_namespaces").await;
    let seen: Vec<_> = namespaces
        .iter()
        .map(|(name, uid)| SeenNamespace {
            name: (*name).to_owned(),
            uid: (*uid).to_owned(),
            created_at: Timestamp::from_second(1_700_000_000).unwrap(),
        })
        .collect();
    #[expect(clippy::disallowed_methods, reason = "the database goes by the system's clock")]
    door.note_namespaces(&seen, Timestamp::now()).await.unwrap();
}

#[tokio::test]
async fn r40_roots_are_adopted_or_purged_in_bulk_and_only_if_they_are_orphaned() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let door = LocalDoor::register(process.vault.clone(), "k8s", "cluster-1", "")
        .await
        .unwrap();
    for name in ["stays", "remade", "gone"] {
        let at = path(&format!("k8s/{name}/db"));
        process
            .vault
            .records()
            .write(&admin, &at, &record(&[("k", "v")]), Expect::Any)
            .await
            .unwrap();
    }
    database
        .execute("UPDATE roots SET namespace_uid = 'first-' || split_part(path, '/', 2) WHERE kind = 'namespace'")
        .await;
    let orphaned = || async {
        let roots = process.vault.orphaned_roots("k8s").await.unwrap();
        roots
            .into_iter()
            .map(|root| (root.path, root.successor, root.records))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        orphaned().await,
        [],
        "while no controller looks, nothing is known to be gone"
    );

    seen(
        &database,
        &door,
        &[("stays", "first-stays"), ("remade", "second-remade"), ("other", "x")],
    )
    .await;
    assert_eq!(
        orphaned().await,
        [
            ("k8s/gone".to_owned(), None, 1),
            ("k8s/remade".to_owned(), Some("second-remade".to_owned()), 1),
        ]
    );
    let roots = process.vault.orphaned_roots("k8s").await.unwrap();
    assert_eq!(process.vault.purge_root(&roots[0]).await.unwrap(), 1);
    process.vault.purge_root(&roots[0]).await.unwrap_err();
    process.vault.adopt_root("k8s/remade", "second-remade").await.unwrap();
    assert_eq!(orphaned().await, []);
    // What the namespace had is gone for good, and the next of its name begins anew; nobody else lost anything.
    for (name, left) in [("gone", 0), ("remade", 1), ("stays", 1)] {
        let count = format!("SELECT count(*) FROM secrets WHERE path = 'k8s/{name}/db'");
        assert_eq!(database.count(&count).await, left, "{name}");
    }
    assert_eq!(
        database
            .count("SELECT count(*) FROM roots WHERE path = 'k8s/gone' AND namespace_uid IS NULL")
            .await,
        1
    );
    assert_eq!(
        database
            .count("SELECT count(*) FROM audit_entries WHERE action = 'root.purge'")
            .await,
        1
    );
    process
        .vault
        .records()
        .read(&admin, &path("k8s/gone/db"), None)
        .await
        .err()
        .expect("a cached record does not survive");
}
