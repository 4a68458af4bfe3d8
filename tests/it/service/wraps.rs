//! One-time wrapped reads: good once, across processes, for a while, and no longer than who made them.

use std::time::Duration;

use aether_vault::domain::actor::Role;
use aether_vault::domain::record::{Expect, KeyName, Version};
use aether_vault::service::error::Reason;
use aether_vault::service::users::{NewUser, UserChange};
use secrecy::ExposeSecret as _;

use crate::support::database::TestDatabase;
use crate::support::vault::{TestVault, path, record, text};

#[tokio::test]
async fn a_token_gives_its_values_once_whichever_process_is_asked() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let admin = one.admin().await;
    let a = path("shared/a");
    one.vault
        .records()
        .write(&admin, &a, &record(&[("n", "1"), ("other", "2")]), Expect::Any)
        .await
        .unwrap();
    for round in 0..5 {
        let wrapped = one.vault.records().wrap(&admin, &a, None, None, 60).await.unwrap();
        let tries = (0..8).map(|n| {
            let vault = if n % 2 == 0 { &one } else { &two }.vault.clone();
            let (admin, token) = (admin.clone(), wrapped.token.clone());
            tokio::spawn(async move {
                let outcome = vault.records().unwrap(&admin, token.expose_secret()).await;
                outcome
                    .map(|unwrapped| text(&unwrapped.data, "n"))
                    .map_err(|error| error.reason())
            })
        });
        let outcomes: Vec<_> = futures::future::join_all(tries)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            outcomes
                .iter()
                .filter(|outcome| *outcome == &Ok("1".to_owned()))
                .count(),
            1,
            "{outcomes:?}"
        );
        assert_eq!(
            outcomes
                .iter()
                .filter(|outcome| *outcome == &Err(Reason::WrapGone))
                .count(),
            7,
            "{round}: {outcomes:?}"
        );
    }
    assert_eq!(
        database
            .count("SELECT count(*) FROM audit_entries WHERE action = 'record.unwrap' AND decision = 'allow'")
            .await,
        5
    );
    assert_eq!(
        database
            .count("SELECT count(*) FROM wraps WHERE ciphertext IS NOT NULL")
            .await,
        0
    );
}

#[tokio::test]
async fn a_session_that_changed_meanwhile_is_looked_at_anew_and_one_that_ended_uses_nothing_up() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    records
        .write(&admin, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    let wrapped = records.wrap(&admin, &a, None, None, 60).await.unwrap();
    // Between the look at the token's bearer and the use of it, the session shows a second factor.
    database
        .execute("UPDATE sessions SET second_factor_at = now(), revision = revision + 1")
        .await;
    let unwrapped = records.unwrap(&admin, wrapped.token.expose_secret()).await.unwrap();
    assert_eq!(text(&unwrapped.data, "n"), "1");
    let refused = "SELECT count(*) FROM audit_entries WHERE action = 'record.unwrap' AND decision <> 'allow'";
    assert_eq!(database.count(refused).await, 0);

    let wrapped = records.wrap(&admin, &a, None, None, 60).await.unwrap();
    database.execute("UPDATE sessions SET revoked_at = now()").await;
    let error = records
        .unwrap(&admin, wrapped.token.expose_secret())
        .await
        .err()
        .unwrap();
    assert_eq!(error.reason(), Reason::SessionEnded);
    let waiting = "SELECT count(*) FROM wraps WHERE used_at IS NULL AND ciphertext IS NOT NULL";
    assert_eq!(database.count(waiting).await, 1);
}

#[tokio::test]
async fn a_second_use_is_told_from_a_token_that_never_was() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    records
        .write(&admin, &a, &record(&[("user", "u"), ("password", "p")]), Expect::Any)
        .await
        .unwrap();
    let keys = [KeyName::parse("password").unwrap()];
    let wrapped = records
        .wrap(&admin, &a, Some(Version::FIRST), Some(&keys), 60)
        .await
        .unwrap();
    let token = wrapped.token.expose_secret();
    let info = records.look_up_wrap(&admin, token).await.unwrap();
    assert_eq!(
        (info.path.as_str(), info.version, info.usable, info.used_at),
        ("shared/a", 1, true, None)
    );
    let unwrapped = records.unwrap(&admin, token).await.unwrap();
    assert_eq!(
        (unwrapped.data.len(), text(&unwrapped.data, "password").as_str()),
        (1, "p")
    );
    let info = records.look_up_wrap(&admin, token).await.unwrap();
    assert!(!info.usable && info.used_at.is_some());
    let error = records.unwrap(&admin, token).await.err().unwrap();
    assert!(
        error.message().starts_with("the token was used or revoked at "),
        "{error}"
    );

    let revoked = records.wrap(&admin, &a, None, None, 60).await.unwrap();
    records
        .revoke_wrap(&admin, revoked.token.expose_secret())
        .await
        .unwrap();
    for (token, known) in [(revoked.token.expose_secret(), true), ("avw_x", false), ("", false)] {
        let error = records.unwrap(&admin, token).await.err().unwrap();
        assert_eq!(error.reason(), Reason::WrapGone);
        assert_eq!(error.message().contains("was used or revoked at"), known);
    }
    let audit = database.audit().await;
    for entry in [
        "record.wrap allow shared/a",
        "record.unwrap_lookup allow shared/a",
        "record.unwrap allow shared/a",
        "record.unwrap fail WrapGone shared/a",
        "record.unwrap fail WrapGone wrap",
        "record.unwrap_revoke allow shared/a",
    ] {
        assert!(audit.iter().any(|found| found == entry), "{entry}: {audit:#?}");
    }
}

#[tokio::test]
async fn r14_r24_a_token_is_stored_as_its_hash_and_its_values_encrypted() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    records
        .write(&admin, &a, &record(&[("n", "canary-8e1f")]), Expect::Any)
        .await
        .unwrap();
    let wrapped = records.wrap(&admin, &a, None, None, 60).await.unwrap();
    let token = wrapped.token.expose_secret();
    for text in ["canary-8e1f", token, &token[4..]] {
        let sql = format!(
            "SELECT count(*) FROM wraps w WHERE w::text LIKE '%{text}%' OR w::text LIKE '%{}%'",
            hex::encode(text)
        );
        assert_eq!(database.count(&sql).await, 0);
    }
    // The row is bound to its id and its path: another's values do not come out of it.
    let other = path("shared/b");
    records
        .write(&admin, &other, &record(&[("n", "other")]), Expect::Any)
        .await
        .unwrap();
    records.wrap(&admin, &other, None, None, 60).await.unwrap();
    database
        .execute(
            "UPDATE wraps w SET wrapped_dek = o.wrapped_dek, ciphertext = o.ciphertext FROM wraps o
             WHERE w.path = 'shared/a' AND o.path = 'shared/b'",
        )
        .await;
    let error = records.unwrap(&admin, token).await.err().unwrap();
    assert_eq!(error.reason(), Reason::KeyUnavailable);
}

#[tokio::test]
async fn r40_a_token_ends_with_its_time_and_with_who_made_it() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let admin = process.admin().await;
    let records = process.vault.records();
    let a = path("shared/a");
    records
        .write(&admin, &a, &record(&[("n", "1")]), Expect::Any)
        .await
        .unwrap();
    for seconds in [0, -1, 604_801, i64::MAX] {
        let error = records.wrap(&admin, &a, None, None, seconds).await.err().unwrap();
        assert_eq!(error.reason(), Reason::InvalidRequest, "R23: {seconds}");
    }
    let short = records.wrap(&admin, &a, None, None, 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    match records.look_up_wrap(&admin, short.token.expose_secret()).await {
        Ok(found) => assert!(!found.usable),
        // The clean-up was here already.
        Err(error) => assert_eq!(error.reason(), Reason::WrapGone),
    }
    let error = records.unwrap(&admin, short.token.expose_secret()).await.err().unwrap();
    assert_eq!(error.reason(), Reason::WrapGone);

    // As if somebody else had made it, who is then disabled.
    let new = NewUser {
        name: "robot".to_owned(),
        machine: true,
        role: Role::User,
        email: None,
        display_name: None,
        groups: Vec::new(),
    };
    let (machine, _) = process.vault.users().create(&admin, new).await.unwrap();
    let wrapped = records.wrap(&admin, &a, None, None, 60).await.unwrap();
    database
        .execute(&format!(
            "UPDATE wraps SET user_id = '{}' WHERE used_at IS NULL",
            machine.id
        ))
        .await;
    assert!(
        records
            .look_up_wrap(&admin, wrapped.token.expose_secret())
            .await
            .unwrap()
            .usable
    );
    let disable = UserChange {
        disabled: Some(true),
        ..UserChange::default()
    };
    process.vault.users().change(&admin, machine.id, disable).await.unwrap();
    assert!(
        !records
            .look_up_wrap(&admin, wrapped.token.expose_secret())
            .await
            .unwrap()
            .usable
    );
    let error = records
        .unwrap(&admin, wrapped.token.expose_secret())
        .await
        .err()
        .unwrap();
    assert_eq!(error.reason(), Reason::WrapGone);
}
