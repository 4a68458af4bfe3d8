//! Logging in over REST.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::client::{Answer, TestApi, router_of, send_to};
use crate::support::database::TestDatabase;
use crate::support::vault::{ADMIN_PASSWORD, TestVault};

async fn login(api: &TestApi, body: Value) -> Answer {
    login_at(&api.router, body).await
}

async fn login_at(process: &Router, body: Value) -> Answer {
    let request = Request::builder()
        .method("POST")
        .uri("/api/v1/auth/login")
        .header("content-type", "application/json");
    send_to(process, request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn r03_a_wrong_password_and_an_unknown_name_get_the_same_answer() {
    let api = TestApi::new().await;
    let mut seen = Vec::new();
    for name in [
        "admin",
        "ADMIN",
        "nobody",
        "",
        "a\u{0}b",
        "\u{202e}admin",
        "' OR 1=1 --",
    ] {
        let answer = login(&api, json!({"username": name, "password": "wrong"})).await;
        let mut body = answer.json();
        body["requestId"] = Value::Null;
        seen.push((answer.status, body, answer.header("www-authenticate").to_owned()));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].0.as_u16(), &seen[0].1["reason"]), (401, &json!("LoginFailed")));
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL")
            .await,
        1
    );
}

/// Whoever cannot log in gets one answer, after one verification, whatever the reason, and whichever process is asked.
#[tokio::test]
async fn r03_unknown_pending_locked_disabled_deleted_and_wrong_answer_alike_after_one_verification_each() {
    let api = TestApi::new().await;
    for name in ["wrong", "locked", "disabled", "deleted"] {
        api.person(name, "user").await;
    }
    api.call("POST", "/api/v1/users", Some(json!({"name": "pending"})))
        .await;
    api.call(
        "POST",
        "/api/v1/users",
        Some(json!({"name": "machine", "machine": true})),
    )
    .await;
    api.database
        .execute(
            "INSERT INTO login_attempts (user_id, factor, failures, locked_until)
             SELECT id, 'password', 99, now() + interval '1 hour' FROM users WHERE name = 'locked';
             UPDATE users SET disabled_at = now() WHERE name = 'disabled';
             UPDATE users SET deleted_at = now() WHERE name = 'deleted'",
        )
        .await;
    let replica = api.vault.replica(&api.database).await;
    let processes = [(&api.vault, &api.router), (&replica, &router_of(&replica))];
    let verifications = || processes.map(|(vault, _)| vault.metric("aether_vault_password_verifications_total"));
    let mut answers = Vec::new();
    for (name, password) in [
        ("unknown", ADMIN_PASSWORD),
        ("pending", ADMIN_PASSWORD),
        ("machine", ADMIN_PASSWORD),
        ("locked", ADMIN_PASSWORD),
        ("disabled", ADMIN_PASSWORD),
        ("deleted", ADMIN_PASSWORD),
        ("wrong", "a wrong guess at it"),
    ] {
        for (asked, (_, process)) in processes.iter().enumerate() {
            let before = verifications();
            let answer = login_at(process, json!({"username": name, "password": password})).await;
            for (n, (now, before)) in verifications().iter().zip(before).enumerate() {
                let made = if n == asked { 1.0 } else { 0.0 };
                assert!(
                    (now - before - made).abs() < f64::EPSILON,
                    "{name}: one verification where it was asked"
                );
            }
            let mut body = answer.json();
            body["requestId"] = Value::Null;
            let mut headers = answer.headers.clone();
            headers.remove("x-request-id");
            answers.push((answer.status, body, headers));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(
        (answers[0].0.as_u16(), &answers[0].1["reason"]),
        (401, &json!("LoginFailed"))
    );
    assert_eq!(
        login(&api, json!({"username": "wrong", "password": ADMIN_PASSWORD}))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn every_spelling_of_a_name_logs_in_as_the_same_user() {
    let api = TestApi::new().await;
    for name in ["admin", "Admin", " ADMIN ", "ａｄｍｉｎ"] {
        let answer = login(&api, json!({"username": name, "password": ADMIN_PASSWORD})).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        assert_eq!(answer.json()["tokenType"], "Bearer");
    }
}

#[tokio::test]
async fn a_one_time_password_has_to_be_replaced() {
    let database = TestDatabase::new().await;
    let vault = TestVault::open(&database).await;
    let file = vault.folder.path().join("first-admin");
    vault.vault.auth().bootstrap(&file).await.unwrap();
    let one_time = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let router = router_of(&vault);
    let api = TestApi {
        database,
        vault,
        router,
        token: String::new(),
    };

    let attempt = |new: Option<&str>| {
        let mut body = json!({"username": "admin", "password": one_time});
        if let Some(new) = new {
            body["newPassword"] = json!(new);
        }
        body
    };
    assert_eq!(
        login(&api, attempt(None)).await.problem(),
        (403, "PasswordChangeRequired".into())
    );
    assert_eq!(
        login(&api, attempt(Some("short"))).await.problem(),
        (422, "PasswordTooWeak".into())
    );
    assert_eq!(
        login(&api, attempt(Some(&one_time))).await.problem(),
        (422, "PasswordTooWeak".into())
    );
    assert_eq!(api.database.count("SELECT count(*) FROM sessions").await, 0);
    assert_eq!(login(&api, attempt(Some(ADMIN_PASSWORD))).await.status, 200);
    assert_eq!(
        login(&api, attempt(Some(ADMIN_PASSWORD))).await.problem(),
        (401, "LoginFailed".into())
    );
}

#[tokio::test]
async fn r27_a_login_body_is_small() {
    let api = TestApi::new().await;
    let answer = login(&api, json!({"username": "admin", "password": "x".repeat(9000)})).await;
    assert_eq!(answer.problem(), (413, "TooLarge".into()));
    let answer = login(&api, json!({"username": "admin", "password": "x", "totp": "000000"})).await;
    assert_eq!(answer.problem(), (400, "InvalidRequest".into()));
}
