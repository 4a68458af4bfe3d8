//! Reads: from the cache, confirmed by their audit commit, never answered without it.

use std::time::Duration;

use aether_vault::domain::record::Expect;
use aether_vault::service::auth::RequestInfo;
use aether_vault::service::error::Reason;
use secrecy::ExposeSecret as _;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

#[tokio::test]
async fn a_cached_read_sees_a_write_of_another_process_at_once() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let a = path("shared/a");
    // Neither process hears of the other's changes: only the confirmation is left.
    database
        .execute("ALTER TABLE changes RENAME TO changes_away; CREATE TABLE changes (LIKE changes_away INCLUDING ALL); ")
        .await;
    database.execute("GRANT SELECT, INSERT ON changes TO PUBLIC").await;
    one.vault
        .records()
        .write(&admin, &a, &record(&[("n", "0")]), Expect::Any)
        .await
        .unwrap();
    for n in 1..20 {
        // Two caches it, one writes, two reads again.
        two.vault.records().read(&admin, &a, None).await.unwrap();
        one.vault
            .records()
            .write(&admin, &a, &record(&[("n", &n.to_string())]), Expect::Any)
            .await
            .unwrap();
        database.execute("DELETE FROM changes").await;
        let read = two.vault.records().read(&admin, &a, None).await.unwrap();
        assert_eq!(text(&read.data, "n"), n.to_string());
    }
}

#[tokio::test]
async fn r26_a_read_is_audited_before_it_is_answered() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    records
        .write(&admin, &path("shared/a"), &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    records.read(&admin, &path("shared/a"), None).await.unwrap();
    assert_eq!(
        records
            .read(&admin, &path("shared/b"), None)
            .await
            .err()
            .unwrap()
            .reason(),
        Reason::PathNotFound
    );
    let entries = database.audit().await;
    assert_eq!(
        entries[entries.len() - 3..],
        [
            "record.write allow shared/a",
            "record.read allow shared/a",
            "record.read fail PathNotFound shared/b"
        ]
    );
}

#[tokio::test]
async fn r26_a_read_whose_entry_cannot_be_committed_is_refused_and_the_service_recovers() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    records
        .write(&admin, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    records.read(&admin, &a, None).await.unwrap();
    let today = "SELECT count(*) FROM audit_entries";
    let before = database.count(today).await;

    // No partition takes today's entries.
    database.execute("ALTER TABLE audit_entries RENAME TO audit_away").await;
    let error = records.read(&admin, &a, None).await.err().unwrap();
    assert_eq!(error.reason(), Reason::StoreUnavailable);
    assert!(
        records
            .write(&admin, &a, &record(&[("n", "2")]), Expect::Any)
            .await
            .is_err()
    );
    database.execute("ALTER TABLE audit_away RENAME TO audit_entries").await;

    assert_eq!(
        text(&records.read(&admin, &a, None).await.unwrap().data, "n"),
        "1",
        "the refused write wrote nothing"
    );
    assert_eq!(database.count(today).await, before + 1);
}

#[tokio::test]
async fn a_revoked_session_is_refused_at_the_very_next_read_on_every_process() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let token = one.admin_token().await;
    let auth = |vault: &TestVault| {
        let (vault, token) = (vault.vault.clone(), token.clone());
        async move {
            vault
                .auth()
                .authenticate(token.expose_secret(), RequestInfo::default())
                .await
        }
    };
    let (first, second) = (auth(&one).await.unwrap(), auth(&two).await.unwrap());
    let a = path("shared/a");
    one.vault
        .records()
        .write(&first, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    two.vault.records().read(&second, &a, None).await.unwrap();

    one.vault.auth().logout(&first).await.unwrap();
    let error = two.vault.records().read(&second, &a, None).await.err().unwrap();
    assert_eq!(error.reason(), Reason::SessionEnded);
    let error = two
        .vault
        .records()
        .write(&second, &a, &record(&[("n", "2")]), Expect::Any)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::SessionEnded);
    assert_eq!(database.count("SELECT current_version FROM secrets").await, 1);
}

#[tokio::test]
async fn parallel_reads_share_their_commits() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let a = path("shared/a");
    process
        .vault
        .records()
        .write(&admin, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    let reads = (0..200).map(|_| {
        let (vault, admin, a) = (process.vault.clone(), admin.clone(), a.clone());
        async move { vault.records().read(&admin, &a, None).await.map(|_| ()) }
    });
    for outcome in futures::future::join_all(reads).await {
        outcome.unwrap();
    }
    let families = process.registry.gather();
    let batches = families
        .iter()
        .find(|family| family.name() == "aether_vault_audit_batch_rows")
        .unwrap();
    let histogram = batches.get_metric()[0].get_histogram();
    assert!(histogram.get_sample_sum() >= 200.0);
    assert!(
        histogram.get_sample_count() <= 20,
        "{} commits for 200 reads",
        histogram.get_sample_count()
    );
    assert_eq!(
        database
            .count("SELECT count(*) FROM audit_entries WHERE action = 'record.read'")
            .await,
        200
    );
}

#[tokio::test]
async fn an_expired_token_is_told_apart_from_a_foreign_one() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let token = process.admin_token().await;
    let auth = process.vault.auth();
    assert!(
        auth.authenticate(token.expose_secret(), RequestInfo::default())
            .await
            .is_ok()
    );
    for foreign in ["", "x", "a.b.c", &format!("{}x", token.expose_secret())] {
        let error = auth.authenticate(foreign, RequestInfo::default()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::TokenInvalid, "{foreign:?}");
    }
    process.clock.advance(Duration::from_secs(601));
    let error = auth
        .authenticate(token.expose_secret(), RequestInfo::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.reason(), error.message()),
        (
            Reason::TokenExpired,
            "the access token is past its time; refresh it, or log in again"
        )
    );
}
