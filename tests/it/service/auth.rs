//! Logging in.

use std::os::unix::fs::PermissionsExt as _;

use aether_vault::service::auth::{Bootstrapped, LoginRequest, RequestInfo};
use aether_vault::service::error::Reason;

use crate::support::database::TestDatabase;
use crate::support::vault::{ADMIN_PASSWORD, TestVault};

fn login(name: &str, password: &str, new: Option<&str>) -> LoginRequest {
    LoginRequest {
        name: name.to_owned(),
        password: password.into(),
        new_password: new.map(Into::into),
    }
}

#[tokio::test]
async fn the_first_administrator_replaces_a_one_time_password() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    let auth = process.vault.auth();
    let file = process.folder.path().join("first-admin");
    assert_eq!(auth.bootstrap(&file).await.unwrap(), Bootstrapped::Yes);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let one_time = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(auth.bootstrap(&file).await.unwrap(), Bootstrapped::No);

    let reason = |request| async {
        auth.login(request, RequestInfo::default())
            .await
            .err()
            .unwrap()
            .reason()
    };
    assert_eq!(
        reason(login("admin", &one_time, None)).await,
        Reason::PasswordChangeRequired
    );
    assert_eq!(
        reason(login("admin", &one_time, Some("short"))).await,
        Reason::PasswordTooWeak
    );
    assert_eq!(
        reason(login("admin", &one_time, Some(&one_time))).await,
        Reason::PasswordTooWeak
    );
    assert_eq!(
        database.count("SELECT count(*) FROM sessions").await,
        0,
        "R11: an error leaves no session"
    );
    auth.login(
        login(" ADMIN ", &one_time, Some(ADMIN_PASSWORD)),
        RequestInfo::default(),
    )
    .await
    .unwrap();
    assert_eq!(
        reason(login("admin", &one_time, Some("another long password"))).await,
        Reason::LoginFailed
    );
    assert!(
        auth.login(login("admin", ADMIN_PASSWORD, None), RequestInfo::default())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn two_processes_that_start_together_make_one_administrator() {
    let database = TestDatabase::new().await;
    let one = TestVault::open(&database).await;
    let two = one.replica(&database).await;
    let file = one.folder.path().join("first-admin");
    let (first, second) = (one.vault.auth(), two.vault.auth());
    let (a, b) = tokio::join!(first.bootstrap(&file), second.bootstrap(&file));
    let made = [a.unwrap(), b.unwrap()]
        .into_iter()
        .filter(|made| *made == Bootstrapped::Yes)
        .count();
    assert_eq!((made, database.count("SELECT count(*) FROM users").await), (1, 1));
    let one_time = std::fs::read_to_string(&file).unwrap();
    let request = login("admin", one_time.trim(), Some(ADMIN_PASSWORD));
    assert!(
        one.vault.auth().login(request, RequestInfo::default()).await.is_ok(),
        "the file holds the password that counts"
    );
}

#[tokio::test]
async fn r03_unknown_wrong_and_disabled_answer_alike_after_one_verification_each() {
    let database = TestDatabase::new().await;
    let process = TestVault::open(&database).await;
    process.admin().await;
    let count = || process.metric("aether_vault_password_verifications_total");
    let mut answers = Vec::new();
    for (name, password, disabled) in [
        ("nobody", ADMIN_PASSWORD, false),
        ("admin", "wrong", false),
        ("admin", ADMIN_PASSWORD, true),
    ] {
        if disabled {
            database.execute("UPDATE users SET disabled_at = now()").await;
        }
        let before = count();
        let error = process
            .vault
            .auth()
            .login(login(name, password, None), RequestInfo::default())
            .await
            .err()
            .unwrap();
        assert!((count() - before - 1.0).abs() < f64::EPSILON, "{name}");
        answers.push((error.reason(), error.message().to_owned()));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let denied = database
        .count("SELECT count(*) FROM audit_entries WHERE action = 'auth.login' AND decision = 'deny'")
        .await;
    assert_eq!(denied, 3);
}
