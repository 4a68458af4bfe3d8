//! Keys: the root key is proven at start, and a lineage is made once.

use std::sync::Arc;

use aether_vault::crypto::provider::generate_file;
use aether_vault::domain::record::Expect;
use aether_vault::service::error::Reason;

use crate::support::cluster::eventually;
use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

#[tokio::test]
async fn a_wrong_root_key_refuses_to_start_and_changes_nothing() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    process
        .vault
        .records()
        .write(&admin, &path("shared/a"), &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    let keys = database.count("SELECT count(*) FROM keks").await;

    let wrong = tempfile::tempdir().unwrap();
    generate_file(&wrong.path().join("root.key")).unwrap();
    let error = TestVault::open_in(&database, Arc::new(wrong)).await.err().unwrap();
    assert_eq!(error.reason(), Reason::KeyUnavailable);
    assert!(error.message().contains("root key"), "{}", error.message());
    assert_eq!(database.count("SELECT count(*) FROM keks").await, keys);
    assert_eq!(database.count("SELECT count(*) FROM key_sentinel").await, 1);
}

/// Nothing else is left that only the right key opens.
#[tokio::test]
async fn the_sentinel_alone_refuses_a_wrong_root_key() {
    let database = TestDatabase::new().await;
    drop(TestVault::open(&database).await);
    database.execute("DELETE FROM signing_keys; DELETE FROM keks").await;
    let wrong = tempfile::tempdir().unwrap();
    generate_file(&wrong.path().join("root.key")).unwrap();
    let error = TestVault::open_in(&database, Arc::new(wrong)).await.err().unwrap();
    assert_eq!(error.reason(), Reason::KeyUnavailable);
    assert_eq!(database.count("SELECT count(*) FROM keks").await, 0);
}

#[tokio::test]
async fn keys_without_a_sentinel_refuse_to_start() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    database.execute("DELETE FROM key_sentinel").await;
    let error = TestVault::open_in(&database, process.folder.clone())
        .await
        .err()
        .unwrap();
    assert_eq!(error.reason(), Reason::KeyUnavailable);
    assert_eq!(database.count("SELECT count(*) FROM key_sentinel").await, 0);
}

#[tokio::test]
async fn processes_that_write_to_a_new_root_at_once_agree_on_its_key() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let writes = (0..10).map(|n| {
        let vault = if n % 2 == 0 {
            one.vault.clone()
        } else {
            two.vault.clone()
        };
        let admin = admin.clone();
        async move {
            let name = format!("fresh/r{n}");
            vault
                .records()
                .write(&admin, &path(&name), &record(&[("n", &name)]), Expect::Absent)
                .await
        }
    });
    for outcome in futures::future::join_all(writes).await {
        outcome.unwrap();
    }
    let lineage = "SELECT count(*) FROM keks JOIN roots r ON r.id = root_id WHERE r.path = 'fresh'";
    assert_eq!(database.count(lineage).await, 1);
    for n in 0..10 {
        let name = format!("fresh/r{n}");
        let read = two.vault.records().read(&admin, &path(&name), None).await.unwrap();
        assert_eq!(text(&read.data, "n"), name);
    }
}

#[tokio::test]
async fn uses_of_a_key_are_reserved_in_bulk() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    for n in 0..50 {
        process
            .vault
            .records()
            .write(
                &admin,
                &path("shared/a"),
                &record(&[("n", &n.to_string())]),
                Expect::Any,
            )
            .await
            .unwrap();
    }
    let reserved = database
        .count("SELECT uses_reserved FROM keks JOIN roots r ON r.id = root_id WHERE r.path = 'shared'")
        .await;
    // The news that the root was made lets a process forget its keys, and what it had reserved of them: once more, not once a write.
    assert!(reserved % 65_536 == 0 && reserved <= 3 * 65_536, "{reserved}");
}

#[tokio::test]
async fn a_signing_key_that_was_not_sealed_by_the_vault_verifies_nothing() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    // Somebody who can write to the database brings a key of their own.
    database
        .execute(
            "INSERT INTO signing_keys (kid, id, wrapped_dek, ciphertext)
             SELECT 'forged', gen_random_uuid(), wrapped_dek, ciphertext FROM signing_keys",
        )
        .await;
    let error = TestVault::open_in(&database, process.folder.clone())
        .await
        .err()
        .unwrap();
    assert_eq!(error.reason(), Reason::KeyUnavailable);
}

/// What an alert on old keys looks at.
#[tokio::test]
async fn the_age_of_the_keys_in_use_is_told() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    for name in ["shared/a", "other/b"] {
        let (at, value) = (path(name), record(&[("n", "1")]));
        let records = process.vault.records();
        records.write(&admin, &at, &value, Expect::Any).await.unwrap();
    }
    database
        .execute("UPDATE keks SET created_at = now() - interval '500 days' WHERE purpose = 'data' AND root_id = (SELECT root_id FROM secrets WHERE path = 'shared/a')")
        .await;
    database
        .execute("UPDATE sealing_keys SET created_at = now() - interval '40 days'")
        .await;
    // The next process to look is the other one.
    database.execute("DELETE FROM jobs").await;
    let other = process.replica(&database).await;
    eventually("another process looks at the keys", async || {
        match other.metric("aether_vault_key_age_seconds") {
            0.0 => Err("no age yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    let days = |key: &str| {
        let families = other.registry.gather();
        let family = families.iter().find(|f| f.name() == "aether_vault_key_age_seconds");
        let metrics = family.unwrap().get_metric();
        let found = metrics.iter().find(|metric| metric.get_label()[0].value() == key);
        (found.unwrap().get_gauge().get_value() / 86_400.0).floor()
    };
    assert_eq!(
        [days("record"), days("sealing"), days("signing"), days("audit")],
        [500.0, 40.0, 0.0, 0.0]
    );
}
