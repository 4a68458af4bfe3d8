//! Tokens that are too old, from elsewhere, or of an ended session; passwords that are wrong.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::rows;
use crate::support::client::Client;
use crate::support::database::TestDatabase;
use crate::support::process::Installation;
use crate::support::vault::TestVault;

const READ: &str = "GET /api/v1/records/shared/good";
const EXPIRED: &str = "the access token is past its time; refresh it, or log in again";
const FOREIGN: &str = "the access token is not one of this vault's; log in to get one";

async fn assert_refused(client: &Client, reason: &str, detail: &str) {
    let answer = client.raw(READ, &[], &[]).await;
    assert_eq!(
        (answer.status, answer.reason(), answer.detail()),
        (401, reason, detail),
        "{}",
        answer.text
    );
    assert!(
        answer.text.contains("www-authenticate: Bearer realm=\"aether-vault\""),
        "{}",
        answer.text
    );
}

/// Another process of the installation's vault, whose clock the test moves.
async fn replica(database: &TestDatabase, installation: &Installation) -> TestVault {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(installation.folder().join("root.key"), folder.path().join("root.key")).unwrap();
    TestVault::open_in(database, Arc::new(folder)).await.unwrap()
}

#[tokio::test]
async fn expired_foreign_and_ended_tokens_are_told_apart() {
    let database = TestDatabase::new().await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    installation.set("auth.issuer", "https://vault.test");
    installation.set("auth.audience", "vault");
    let mut process = installation.api().await;
    let admin = installation.administrator().await;
    admin.write("shared/good", &json!({"key": "value"})).await.ok();

    // Tokens of the same keys, with sessions that hold: what is refused is refused for what the token says.
    let (past, future) = (
        replica(&database, &installation).await,
        replica(&database, &installation).await,
    );
    let valid = past.admin_token().await;
    past.clock.rewind(Duration::from_secs(601));
    let expired = past.admin_token().await;
    future.clock.advance(Duration::from_secs(300));
    let early = future.admin_token().await;
    let elsewhere = TestDatabase::new().await;
    let foreign = TestVault::open(&elsewhere).await.admin_token().await;
    let before = rows(&database).await;

    admin.with_token(valid.expose_secret()).read("shared/good").await.ok();
    assert_refused(&admin.with_token(expired.expose_secret()), "TokenExpired", EXPIRED).await;
    assert_refused(&admin.with_token(early.expose_secret()), "TokenInvalid", FOREIGN).await;
    assert_refused(&admin.with_token(foreign.expose_secret()), "TokenInvalid", FOREIGN).await;
    assert_refused(&admin.with_token("x".repeat(9000)), "TokenInvalid", FOREIGN).await;
    let mut parts: Vec<_> = admin.token().split('.').collect();
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    assert_refused(&admin.with_token(unsigned), "TokenInvalid", FOREIGN).await;
    let other: Vec<_> = valid.expose_secret().split('.').collect();
    parts[1] = other[1];
    assert_refused(&admin.with_token(parts.join(".")), "TokenInvalid", FOREIGN).await;
    let missing = "send 'Authorization: Bearer TOKEN'; POST /api/v1/auth/login gives a token";
    assert_refused(&installation.client(), "TokenMissing", missing).await;
    assert_eq!(rows(&database).await, before);

    process.stop().await;
    installation.set("auth.audience", "another");
    installation.start_again(&mut process);
    process.wait_until_ready().await;
    assert_refused(&admin, "TokenInvalid", FOREIGN).await;

    let ended = installation.administrator().await;
    ended.raw("POST /api/v1/auth/logout", &[], &[]).await.ok();
    let answer = ended.raw(READ, &[], &[]).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (401, "SessionEnded"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn failed_log_ins_leave_no_session() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let _process = installation.api().await;
    let one_time = std::fs::read_to_string(installation.folder().join("admin-credential"))
        .unwrap()
        .trim()
        .to_owned();
    let before = rows(&database).await;
    let failed = "the name or the password is wrong, or the account may not log in";
    let change = "the one-time password is right; log in with it and a 'newPassword' of your own";
    let weak = "a password has 15 to 256 characters; a few words will do";
    for (body, status, reason, detail) in [
        (
            json!({"username": "admin", "password": "wrong"}),
            401,
            "LoginFailed",
            failed,
        ),
        (
            json!({"username": "nobody", "password": one_time}),
            401,
            "LoginFailed",
            failed,
        ),
        (
            json!({"username": "admin", "password": one_time}),
            403,
            "PasswordChangeRequired",
            change,
        ),
        (
            json!({"username": "admin", "password": one_time, "newPassword": "short"}),
            422,
            "PasswordTooWeak",
            weak,
        ),
        (
            json!({"username": "admin", "password": one_time, "newPassword": "x".repeat(257)}),
            422,
            "PasswordTooWeak",
            weak,
        ),
    ] {
        let body = body.to_string();
        let answer = installation
            .client()
            .raw(
                "POST /api/v1/auth/login",
                &["Content-Type: application/json"],
                body.as_bytes(),
            )
            .await;
        assert_eq!(
            (answer.status, answer.reason(), answer.detail()),
            (status, reason, detail),
            "{}",
            answer.text
        );
    }
    assert_eq!(rows(&database).await, before);
}
