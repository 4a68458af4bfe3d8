//! The device authorization grant (RFC 8628): a device asks, a person decides, the device gets a session.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::client::{Answer, TestApi};

async fn anonymous(api: &TestApi, uri: &str, body: Value) -> Answer {
    let request = Request::post(uri)
        .header("content-type", "application/json")
        .header("user-agent", "a device");
    api.send(request.body(Body::from(body.to_string())).unwrap()).await
}

/// The device's code and the person's.
async fn begin(api: &TestApi) -> (String, String) {
    let answer = anonymous(api, "/api/v1/auth/device", json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["interval"], 5);
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    (text("deviceCode"), text("userCode"))
}

/// What the device is told, as if the interval had passed.
async fn poll(api: &TestApi, device: &str) -> Answer {
    api.database
        .execute("UPDATE device_grants SET last_polled_at = last_polled_at - interval '5 minutes'")
        .await;
    anonymous(api, "/api/v1/auth/device/token", json!({"deviceCode": device})).await
}

async fn decide(api: &TestApi, decision: &str, code: &str) -> Answer {
    let body = json!({"userCode": code});
    api.call("POST", &format!("/api/v1/me/devices/{decision}"), Some(body))
        .await
}

async fn me(api: &TestApi, token: &str) -> Value {
    let request = Request::get("/api/v1/me").header("authorization", format!("Bearer {token}"));
    api.send(request.body(Body::empty()).unwrap()).await.json()
}

#[tokio::test]
async fn a_device_is_let_in_once_by_a_person_who_sees_it() {
    let api = TestApi::new().await;
    let (device, code) = begin(&api).await;
    assert_eq!(
        poll(&api, &device).await.problem(),
        (400, "AuthorizationPending".to_owned())
    );

    let shown = api
        .call(
            "GET",
            &format!("/api/v1/me/devices?userCode={}", code.to_lowercase()),
            None,
        )
        .await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert_eq!(
        (&shown.json()["client"], &shown.json()["userAgent"]),
        (&json!("192.0.2.7"), &json!("a device"))
    );
    assert_eq!(decide(&api, "approve", &code).await.status, 204);
    let again = decide(&api, "approve", &code).await;
    assert_eq!(again.problem(), (404, "UserCodeUnknown".to_owned()), "it is decided");

    let let_in = poll(&api, &device).await;
    assert_eq!(let_in.status, 200, "{}", let_in.text);
    let token = let_in.json()["token"].as_str().unwrap().to_owned();
    assert!(let_in.json()["refreshToken"].is_string());
    assert_eq!(me(&api, &token).await["name"], "admin");
    assert_eq!(
        poll(&api, &device).await.problem(),
        (400, "DeviceCodeExpired".to_owned()),
        "once"
    );
    let sessions = "SELECT count(*) FROM sessions WHERE method = 'device' AND revoked_at IS NULL";
    assert_eq!(api.database.count(sessions).await, 1);
    let audit = api.database.audit().await;
    assert!(
        audit.iter().any(|entry| entry.starts_with("device.approve allow")),
        "{audit:?}"
    );
    for secret in [&device, &code, &code.replace('-', "")] {
        for table in ["device_grants", "audit_entries", "sessions"] {
            let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%{secret}%'");
            assert_eq!(api.database.count(&sql).await, 0, "{table}");
        }
    }
}

#[tokio::test]
async fn a_device_that_asks_too_often_is_told_to_wait_longer_each_time() {
    let api = TestApi::new().await;
    let (device, code) = begin(&api).await;
    let ask = async || anonymous(&api, "/api/v1/auth/device/token", json!({"deviceCode": device})).await;
    assert_eq!(ask().await.problem(), (400, "AuthorizationPending".to_owned()));
    for seconds in [10, 15, 20] {
        let answer = ask().await;
        assert_eq!(answer.problem(), (400, "SlowDown".to_owned()));
        assert!(
            answer.detail().contains(&format!("{seconds} seconds")),
            "{}",
            answer.detail()
        );
    }
    assert_eq!(decide(&api, "approve", &code).await.status, 204);
    assert_eq!(
        ask().await.problem(),
        (400, "SlowDown".to_owned()),
        "also when it was let in"
    );
    assert_eq!(poll(&api, &device).await.status, 200);
}

#[tokio::test]
async fn a_refused_or_late_device_gets_nothing() {
    let api = TestApi::new().await;
    let (device, code) = begin(&api).await;
    assert_eq!(decide(&api, "deny", &code).await.status, 204);
    assert_eq!(poll(&api, &device).await.problem(), (400, "DeviceDenied".to_owned()));
    assert_eq!(
        decide(&api, "approve", &code).await.problem(),
        (404, "UserCodeUnknown".to_owned())
    );

    let (device, code) = begin(&api).await;
    assert_eq!(decide(&api, "approve", &code).await.status, 204);
    api.database
        .execute("UPDATE device_grants SET expires_at = now() - interval '1 second'")
        .await;
    assert_eq!(
        poll(&api, &device).await.problem(),
        (400, "DeviceCodeExpired".to_owned())
    );

    for code in ["", "avd_x", "x", &api.token] {
        let answer = anonymous(&api, "/api/v1/auth/device/token", json!({"deviceCode": code})).await;
        assert_eq!(answer.problem(), (400, "DeviceCodeExpired".to_owned()));
    }
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM sessions WHERE method = 'device'")
            .await,
        0
    );
}

#[tokio::test]
async fn r06_guesses_at_codes_are_counted_and_locked_also_beside_a_device_of_ones_own() {
    let api = TestApi::new().await;
    let (_, own) = begin(&api).await;
    let show = async |code: &str| {
        api.call("GET", &format!("/api/v1/me/devices?userCode={code}"), None)
            .await
    };
    let unknown = (404, "UserCodeUnknown".to_owned());
    let guess = async |letters: &str| {
        for letter in letters.chars() {
            assert_eq!(show(&format!("BBBB-BBB{letter}")).await.problem(), unknown);
        }
    };
    guess("BCDFG").await;
    // Looking at a device of one's own does not give the guesses back.
    assert_eq!(show(&own).await.status, 200);
    guess("HJKLM").await;
    let failures = "SELECT failures::bigint FROM login_attempts WHERE factor = 'device_code'";
    assert_eq!(api.database.count(failures).await, 10);
    let locked = show(&own).await;
    assert_eq!(
        locked.problem(),
        (404, "UserCodeUnknown".to_owned()),
        "a right code looks wrong"
    );
    assert_eq!(
        decide(&api, "approve", &own).await.problem(),
        (404, "UserCodeUnknown".to_owned())
    );
    // The lock is of this one thing: logging in is not locked.
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM login_attempts WHERE factor = 'password'")
            .await,
        0
    );
}

#[tokio::test]
async fn who_was_locked_out_meanwhile_lets_nobody_in_and_a_key_never_does() {
    let mut api = TestApi::new().await;
    let (device, code) = begin(&api).await;
    assert_eq!(decide(&api, "approve", &code).await.status, 204);
    assert_eq!(api.call("POST", "/api/v1/auth/logout", None).await.status, 204);
    assert_eq!(poll(&api, &device).await.problem(), (401, "LoginFailed".to_owned()));
    assert_eq!(
        poll(&api, &device).await.problem(),
        (400, "DeviceCodeExpired".to_owned())
    );

    use secrecy::ExposeSecret as _;
    api.token = api.vault.admin_token().await.expose_secret().to_owned();
    let (_, code) = begin(&api).await;
    let key = json!({"name": "k", "administers": true, "scopes": [{"paths": ["**"], "capabilities": ["read"]}]});
    let key = api.call("POST", "/api/v1/me/api-keys", Some(key)).await;
    assert_eq!(key.status, 201, "{}", key.text);
    api.token = key.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(
        decide(&api, "approve", &code).await.problem(),
        (403, "SessionRequired".to_owned())
    );
}

#[tokio::test]
async fn r02_a_device_of_somebody_without_a_second_factor_is_asked_for_one_where_it_is_needed() {
    let api = TestApi::new().await;
    let (device, code) = begin(&api).await;
    assert_eq!(decide(&api, "approve", &code).await.status, 204);
    // As if the requirement had come without ending the session, which it does.
    let mut sql = "ALTER TABLE users DISABLE TRIGGER users_end_sessions;".to_owned();
    sql.push_str("UPDATE users SET second_factor_required = true;");
    sql.push_str("ALTER TABLE users ENABLE TRIGGER users_end_sessions;");
    api.database.execute(&sql).await;
    let answer = poll(&api, &device).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM sessions WHERE method = 'device'")
            .await,
        0
    );
}

#[tokio::test]
async fn the_page_says_what_to_do_and_asks_for_nothing() {
    let api = TestApi::new().await;
    let request = Request::get("/device").body(Body::empty()).unwrap();
    let page = api.send(request).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    for word in ["<form", "<script", "<input"] {
        assert!(!page.text.contains(word), "{word}");
    }
}
