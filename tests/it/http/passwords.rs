//! Passwords: which may be chosen, what becomes of their hashes, and what a storm of log-ins is told. And one's own account.

use std::sync::Arc;

use aether_vault::crypto::breached::BreachedList;
use aether_vault::crypto::password::Argon2Settings;
use serde_json::{Value, json};

use super::client::{TestApi, router_with, send_to};
use crate::support::vault::ADMIN_PASSWORD;

const LOGIN: &str = "/api/v1/auth/login";

fn right() -> Value {
    json!({"username": "admin", "password": ADMIN_PASSWORD})
}

#[tokio::test]
async fn a_hash_that_costs_too_little_is_renewed_at_the_next_log_in_and_nothing_else_changes() {
    let api = TestApi::new().await;
    let dearer = api
        .vault
        .replica_with(&api.database, |config| {
            config.passwords.argon2 = Argon2Settings {
                memory_kib: 128,
                iterations: 2,
                parallelism: 1,
            };
        })
        .await;
    let router = router_with(&dearer, aether_vault::http::Rates::default());
    let like =
        |params: &str| format!("SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19${params}$%'");
    let rehashes = || dearer.metric("aether_vault_password_rehashes_total");
    assert_eq!(api.database.count(&like("m=64,t=1,p=1")).await, 1);

    let wrong = json!({"username": "admin", "password": "a wrong guess at it"});
    let answer = send_to(&router, api.request("POST", LOGIN, Some(wrong))).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        api.database.count(&like("m=64,t=1,p=1")).await,
        1,
        "a guess renews nothing"
    );

    let (a, b) = tokio::join!(
        send_to(&router, api.request("POST", LOGIN, Some(right()))),
        send_to(&router, api.request("POST", LOGIN, Some(right())))
    );
    assert_eq!(
        (a.status.as_u16(), b.status.as_u16()),
        (200, 200),
        "two at once do not get in each other's way"
    );
    assert_eq!(api.database.count(&like("m=128,t=2,p=1")).await, 1);
    assert!((rehashes() - 1.0).abs() < f64::EPSILON);
    let answer = send_to(&router, api.request("POST", LOGIN, Some(right()))).await;
    assert_eq!(answer.status, 200, "the renewed hash is of the same password");
    assert!((rehashes() - 1.0).abs() < f64::EPSILON, "once");
    assert_eq!(
        api.call("GET", "/api/v1/me", None).await.status,
        200,
        "a session from before goes on: the password is the same"
    );
}

#[tokio::test]
async fn a_storm_of_log_ins_is_told_to_come_back_and_does_not_queue_for_ever() {
    let api = TestApi::new().await;
    let narrow = api
        .vault
        .replica_with(&api.database, |config| {
            config.passwords.argon2 = Argon2Settings {
                memory_kib: 64 << 10,
                iterations: 3,
                parallelism: 1,
            };
            config.passwords.concurrency = 1;
            config.passwords.queue = 1;
        })
        .await;
    let router = router_with(&narrow, aether_vault::http::Rates::default());
    let guesses = (0..24).map(|n| {
        let body = json!({"username": format!("nobody-{n}"), "password": "a wrong guess at it"});
        send_to(&router, api.request("POST", LOGIN, Some(body)))
    });
    let answers = futures::future::join_all(guesses).await;
    let (busy, failed): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 503);
    assert!(
        !busy.is_empty() && !failed.is_empty(),
        "{} and {}",
        busy.len(),
        failed.len()
    );
    for answer in busy {
        assert_eq!(answer.problem(), (503, "Busy".to_owned()));
        assert_eq!(answer.header("retry-after"), "1");
    }
    for answer in failed {
        assert_eq!(answer.problem(), (401, "LoginFailed".to_owned()));
    }
    // Reads are not behind the queue.
    let read = send_to(&router, api.request("GET", "/api/v1/me", None)).await;
    assert_eq!(read.status, 200);
}

#[tokio::test]
async fn a_breached_password_cannot_be_chosen_by_any_way() {
    let api = TestApi::new().await;
    let breached = "trustno1 trustno1 trustno1";
    let hash = hex::encode_upper(aether_vault::crypto::token::sha256(breached.as_bytes()));
    let file = api.vault.folder.path().join("breached");
    std::fs::write(&file, format!("{}\n{hash}:42\n", "0".repeat(64))).unwrap();
    let list = Arc::new(BreachedList::open(&file).unwrap());
    let strict = api
        .vault
        .replica_with(&api.database, |config| config.passwords.breached = Some(list))
        .await;
    let router = router_with(&strict, aether_vault::http::Rates::default());
    let send =
        async |method: &str, uri: &str, body: Value| send_to(&router, api.request(method, uri, Some(body))).await;
    let weak = (422, "PasswordTooWeak".to_owned());

    let own = send(
        "POST",
        "/api/v1/me/password",
        json!({"password": ADMIN_PASSWORD, "newPassword": breached}),
    )
    .await;
    assert_eq!(own.problem(), weak);
    assert!(!own.text.contains("trustno1"));
    let made = send("POST", "/api/v1/users", json!({"name": "ann"})).await;
    let token = made.json()["invitation"]["token"].clone();
    let invited = send(
        "POST",
        "/api/v1/auth/redeem",
        json!({"token": token, "newPassword": breached}),
    )
    .await;
    assert_eq!(invited.problem(), weak);
    let another = send(
        "POST",
        "/api/v1/auth/redeem",
        json!({"token": token, "newPassword": "four plain words will do"}),
    )
    .await;
    assert_eq!(another.status, 204, "a refusal does not use the invitation up");

    // A list that cannot be read any more lets nothing through.
    std::fs::remove_file(&file).unwrap();
    let blind = send(
        "POST",
        "/api/v1/me/password",
        json!({"password": ADMIN_PASSWORD, "newPassword": "five plain words will do"}),
    )
    .await;
    assert_eq!(blind.problem(), (500, "Internal".to_owned()));
}

#[tokio::test]
async fn people_see_their_own_account_and_change_what_they_are_called() {
    let api = TestApi::new().await;
    let ann = api.person("ann", "user").await;
    let token = api.token_of("ann").await;
    let me = api.call_as(&token, "GET", "/api/v1/me", None).await.json();
    assert_eq!(
        me,
        json!({
            "id": ann, "name": "ann", "kind": "person", "role": "user", "groups": [],
            "secondFactor": {"required": false, "totp": false, "passkeys": 0, "recoveryCodes": 0},
        })
    );
    let change = json!({"displayName": "Ann A.", "email": "Ann@Example.org"});
    let changed = api.call_as(&token, "PATCH", "/api/v1/me", Some(change)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(
        (&changed.json()["displayName"], &changed.json()["email"]),
        (&json!("Ann A."), &json!("ann@example.org"))
    );
    assert_eq!(
        api.call_as(&token, "GET", "/api/v1/me", None).await.status,
        200,
        "the session goes on"
    );
    let chosen = "SELECT count(*) FROM users WHERE name = 'ann' AND email_self_set";
    assert_eq!(
        api.database.count(chosen).await,
        1,
        "nobody has vouched for the address"
    );
    for body in [
        json!({"role": "admin"}),
        json!({"groups": ["ops"]}),
        json!({"name": "admin"}),
        json!({"email": "nowhere"}),
        json!({"displayName": "a\nb"}),
    ] {
        let refused = api.call_as(&token, "PATCH", "/api/v1/me", Some(body.clone())).await;
        assert_eq!(refused.problem(), (400, "InvalidRequest".to_owned()), "{body}");
    }
    let taken = api
        .call("PATCH", "/api/v1/me", Some(json!({"email": "ann@example.org"})))
        .await;
    assert_eq!(taken.problem(), (409, "UserExists".to_owned()));
    let address = format!("/api/v1/users/{ann}");
    api.call("PATCH", &address, Some(json!({"email": "ann@example.org"})))
        .await;
    assert_eq!(api.database.count(chosen).await, 0, "an administrator has");
    let body = json!({"name": "deploy", "scopes": [{"paths": ["**"], "capabilities": ["read"]}]});
    let key = api
        .call_as(&token, "POST", "/api/v1/me/api-keys", Some(body))
        .await
        .json();
    let key = key["token"].as_str().unwrap();
    let refused = api
        .call_as(key, "PATCH", "/api/v1/me", Some(json!({"displayName": "x"})))
        .await;
    assert_eq!(refused.problem(), (403, "SessionRequired".to_owned()));
}
