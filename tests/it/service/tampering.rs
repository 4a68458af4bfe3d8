//! Rows moved or changed behind the vault's back do not open (R38).

use aether_vault::domain::record::Expect;
use aether_vault::service::error::Reason;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

#[tokio::test]
async fn r38_a_ciphertext_opens_only_where_it_was_written() {
    for (what, sql) in [
        (
            "values swapped between two records",
            "UPDATE secret_versions v SET wrapped_dek = o.wrapped_dek, ciphertext = o.ciphertext
             FROM secret_versions o WHERE o.secret_id <> v.secret_id",
        ),
        (
            "ciphertext alone swapped",
            "UPDATE secret_versions v SET ciphertext = o.ciphertext FROM secret_versions o WHERE o.secret_id <> v.secret_id",
        ),
        (
            "a record moved to another root",
            "UPDATE secrets SET path = 'other/a', root_id = (SELECT id FROM roots WHERE path = 'other') WHERE path = 'shared/a'",
        ),
        (
            "a record moved to another path of its root",
            "UPDATE secrets SET path = 'shared/z' WHERE path = 'shared/a'",
        ),
        (
            "the path's root replaced, while the row names the one before",
            "UPDATE roots SET path = 'before' WHERE path = 'shared';
             INSERT INTO roots (id, kind, path) VALUES (gen_random_uuid(), 'shared', 'shared')",
        ),
        (
            "a version renumbered",
            "UPDATE secret_versions SET version = 2; UPDATE secrets SET current_version = 2",
        ),
        (
            "a bit flipped",
            "UPDATE secret_versions SET ciphertext = set_bit(ciphertext, 200, 1 - get_bit(ciphertext, 200))",
        ),
        (
            "a ciphertext cut short",
            "UPDATE secret_versions SET ciphertext = substr(ciphertext, 1, 20)",
        ),
    ] {
        let database = TestDatabase::new().await;
        let process = TestVault::open(&database).await;
        let admin = process.admin().await;
        let records = process.vault.records();
        for name in ["shared/a", "other/b"] {
            records
                .write(&admin, &path(name), &record(&[("n", name)]), Expect::Any)
                .await
                .unwrap();
        }
        database.execute(sql).await;
        // A process that has nothing in memory.
        let fresh = process.replica(&database).await;
        for name in ["shared/a", "shared/z", "other/a"] {
            match fresh.vault.records().read(&admin, &path(name), None).await {
                Ok(_) => panic!("{what}: {name} opened"),
                Err(error) => assert!(
                    matches!(error.reason(), Reason::KeyUnavailable | Reason::PathNotFound),
                    "{what}: {name}: {error:?}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn the_serving_role_cannot_change_or_remove_audit_entries() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    for sql in [
        "UPDATE audit_entries SET actor_name = 'x'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "UPDATE audit_blocks SET root = hash",
        "DELETE FROM audit_blocks",
        "UPDATE audit_leaves SET hashes = hashes",
        "DELETE FROM audit_leaves",
        "DELETE FROM audit_keys",
        "INSERT INTO audit_dropped_days (day, entries) VALUES ('2020-01-01', 0)",
    ] {
        let error = sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&database.runtime)
            .await
            .unwrap_err();
        assert_eq!(
            error.as_database_error().unwrap().code().as_deref(),
            Some("42501"),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn nothing_in_the_database_holds_a_value_in_clear() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let canary = "canary-5e2f9c";
    process
        .vault
        .records()
        .write(&admin, &path("shared/a"), &record(&[("k", canary)]), Expect::Any)
        .await
        .unwrap();
    let read = process
        .vault
        .records()
        .read(&admin, &path("shared/a"), None)
        .await
        .unwrap();
    assert_eq!(text(&read.data, "k"), canary);
    for table in [
        "secrets",
        "secret_versions",
        "audit_entries",
        "changes",
        "keks",
        "users",
        "sessions",
        "system_config",
    ] {
        let sql = format!(
            "SELECT count(*) FROM {table} t WHERE t::text LIKE '%{canary}%' OR t::text LIKE '%{}%'",
            hex::encode(canary)
        );
        assert_eq!(database.count(&sql).await, 0, "{table}");
    }
}
