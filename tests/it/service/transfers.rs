//! Copying and moving: policy at both ends, and what arrives is bound to where it arrives (R38).

use aether_vault::domain::record::{Expect, Version};
use aether_vault::service::context::OpContext;
use aether_vault::service::error::{Error, Reason};
use serde_json::json;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

async fn deny(process: &TestVault, admin: &OpContext, paths: &str, capability: &str) {
    let document = serde_json::from_value(json!({
        "subjects": [{"kind": "Everyone"}],
        "rules": [{"effect": "deny", "paths": [paths], "capabilities": [capability]}],
    }))
    .unwrap();
    process
        .vault
        .policies()
        .put(admin, "denied", &document, Expect::Any)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_move_and_a_copy_need_their_capabilities_at_both_ends() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let (from, to) = (path("shared/from"), path("other/to"));
    records
        .write(&admin, &from, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    for (paths, capability, moves, copies) in [
        ("shared/from", "read", false, false),
        ("shared/from", "delete", false, true),
        ("other/to", "create", false, false),
        ("other/to", "read", true, true),
    ] {
        deny(&process, &admin, paths, capability).await;
        let copied = records.copy(&admin, &from, None, &to, Expect::Absent).await;
        let reason = copied.as_ref().err().map(Error::reason);
        assert_eq!(
            reason,
            (!copies).then_some(Reason::PolicyDenied),
            "copy without {capability} on {paths}"
        );
        if copies {
            records.purge(&admin, &to).await.unwrap();
        }
        let moved = records.rename(&admin, &from, &to).await;
        let reason = moved.as_ref().err().map(Error::reason);
        assert_eq!(
            reason,
            (!moves).then_some(Reason::PolicyDenied),
            "move without {capability} on {paths}"
        );
    }
    assert_eq!(
        database
            .count("SELECT count(*) FROM secrets WHERE path = 'other/to'")
            .await,
        1
    );
    let audit = database.audit().await;
    assert!(
        audit
            .iter()
            .any(|entry| entry == "record.move deny PolicyDenied shared/from"),
        "{audit:#?}"
    );
    assert_eq!(
        audit[audit.len() - 2..],
        ["record.move allow shared/from", "record.move allow other/to"]
    );
}

#[tokio::test]
async fn r38_what_was_moved_opens_under_its_new_root_alone() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let (from, to) = (path("shared/from"), path("other/to"));
    for n in 1..=3 {
        records
            .write(&admin, &from, &record(&[("n", &n.to_string())]), Expect::Any)
            .await
            .unwrap();
    }
    records
        .delete(&admin, &from, Some(&[Version::new(2).unwrap()]))
        .await
        .unwrap();
    records.destroy(&admin, &from, &[Version::FIRST]).await.unwrap();
    let keys = "SELECT count(DISTINCT substr(wrapped_dek, 2, 16)) FROM secret_versions";
    let values = "SELECT sum(hashtext(encode(ciphertext, 'hex')))::bigint FROM secret_versions";
    let before = database.count(values).await;
    records.rename(&admin, &from, &to).await.unwrap();
    assert_eq!(database.count(values).await, before, "values are not touched");
    assert_eq!(database.count(keys).await, 1);
    assert_eq!(
        database
            .count(
                "SELECT count(*) FROM secret_versions v JOIN secrets s ON s.id = v.secret_id JOIN keks k ON k.root_id = s.root_id
                 WHERE s.path = 'other/to' AND v.wrapped_dek IS NOT NULL AND substr(v.wrapped_dek, 2, 16) = uuid_send(k.id)"
            )
            .await,
        2,
        "wrapped with a key of the new root"
    );
    let fresh = process.replica(&database).await;
    let moved = fresh.vault.records().read(&admin, &to, None).await.unwrap();
    assert_eq!((moved.version.number(), text(&moved.data, "n").as_str()), (3, "3"));
    records
        .undelete(&admin, &to, &[Version::new(2).unwrap()])
        .await
        .unwrap();
    // Put back behind the vault's back, it does not open.
    database
        .execute("UPDATE secrets SET path = 'shared/from', root_id = (SELECT id FROM roots WHERE path = 'shared')")
        .await;
    let error = process
        .replica(&database)
        .await
        .vault
        .records()
        .read(&admin, &from, None)
        .await
        .err()
        .unwrap();
    assert_eq!(error.reason(), Reason::KeyUnavailable);
}

#[tokio::test]
async fn r38_a_row_that_was_tampered_with_is_not_moved_into_order() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    for (name, n) in [("shared/a", "1"), ("other/b", "2")] {
        process
            .vault
            .records()
            .write(&admin, &path(name), &record(&[("n", n)]), Expect::Any)
            .await
            .unwrap();
    }
    // A row of another tenant under a path of one's own: moving must not wrap it anew.
    database
        .execute(
            "UPDATE secret_versions v SET wrapped_dek = o.wrapped_dek, ciphertext = o.ciphertext FROM secret_versions o
             WHERE o.secret_id <> v.secret_id",
        )
        .await;
    let fresh = process.replica(&database).await;
    let error = fresh
        .vault
        .records()
        .rename(&admin, &path("shared/a"), &path("shared/moved"))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::KeyUnavailable);
    assert_eq!(
        database
            .count("SELECT count(*) FROM secrets WHERE path = 'shared/a'")
            .await,
        1
    );
}

#[tokio::test]
async fn of_a_move_and_a_write_at_the_same_moment_nothing_is_lost() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    for n in 0..5 {
        let (from, to) = (path(&format!("shared/from{n}")), path(&format!("other/to{n}")));
        one.vault
            .records()
            .write(&admin, &from, &record(&[("n", "1")]), Expect::Any)
            .await
            .unwrap();
        two.vault.records().read(&admin, &from, None).await.unwrap();
        let (left, right) = (one.vault.records(), two.vault.records());
        let data = record(&[("n", "2")]);
        let (moved, written) = futures::future::join(
            left.rename(&admin, &from, &to),
            right.write(&admin, &from, &data, Expect::Any),
        )
        .await;
        moved.unwrap();
        let written = written.unwrap();
        // The write came before the move and went along, or after it and began a record anew.
        let at = if written.version == Version::FIRST { &from } else { &to };
        assert_eq!(text(&left.read(&admin, at, None).await.unwrap().data, "n"), "2");
        assert_eq!(
            text(&left.read(&admin, &to, Some(Version::FIRST)).await.unwrap().data, "n"),
            "1"
        );
    }
}
