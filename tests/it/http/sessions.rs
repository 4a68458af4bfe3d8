//! Sessions and the second factor over REST, as a person would with `curl`, on two processes.

use std::time::Duration;

use aether_vault::http::Rates;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::client::{Answer, TestApi, router_with, send_to};
use crate::support::authenticator::{Authenticator, next_step};
use crate::support::vault::{ADMIN_PASSWORD, TestVault};

async fn anonymous(router: &Router, uri: &str, body: Value) -> Answer {
    let request = Request::post(uri).header("content-type", "application/json");
    send_to(router, request.body(Body::from(body.to_string())).unwrap()).await
}

async fn call(router: &Router, token: &str, method: &str, uri: &str, body: Option<Value>) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("authorization", format!("Bearer {token}"))
        .header("user-agent", "a browser of ann");
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    send_to(router, request.body(body).unwrap()).await
}

fn text(answer: &Answer, key: &str) -> String {
    answer.json()[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key}: {}", answer.text))
        .to_owned()
}

/// A person with a password, by invitation.
async fn person(api: &TestApi, name: &str) -> String {
    let made = api.call("POST", "/api/v1/users", Some(json!({"name": name}))).await;
    let redemption = json!({"token": made.json()["invitation"]["token"], "newPassword": ADMIN_PASSWORD});
    assert_eq!(
        anonymous(&api.router, "/api/v1/auth/redeem", redemption).await.status,
        204
    );
    made.json()["user"]["id"].as_str().unwrap().to_owned()
}

async fn log_in(router: &Router, name: &str) -> Answer {
    anonymous(
        router,
        "/api/v1/auth/login",
        json!({"username": name, "password": ADMIN_PASSWORD}),
    )
    .await
}

/// Enrols an authenticator for somebody who is logged in; answers it and the recovery codes.
async fn enrol(router: &Router, process: &TestVault, token: &str) -> (Authenticator, Value) {
    let uri = "/api/v1/me/second-factor/totp";
    let offered = call(router, token, "POST", uri, Some(json!({"password": ADMIN_PASSWORD}))).await;
    assert_eq!(offered.status, 200, "{}", offered.text);
    assert!(text(&offered, "qrSvg").contains("<svg") && !text(&offered, "secret").is_empty());
    let authenticator = Authenticator::of_uri(&text(&offered, "uri"));
    let code = json!({"code": authenticator.code(process)});
    let confirmed = call(router, token, "POST", &format!("{uri}/confirm"), Some(code)).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    (authenticator, confirmed.json()["recoveryCodes"].clone())
}

/// Logs in with password and code.
async fn log_in_with(router: &Router, process: &TestVault, name: &str, authenticator: &Authenticator) -> Answer {
    let wanted = log_in(router, name).await;
    assert_eq!(wanted.status, 202, "{}", wanted.text);
    let body = json!({"challenge": text(&wanted, "challenge"), "code": authenticator.code(process)});
    let done = anonymous(router, "/api/v1/auth/second-factor", body).await;
    assert_eq!(done.status, 200, "{}", done.text);
    done
}

#[tokio::test]
async fn policies_on_the_age_of_the_second_factor_hold_on_every_process_at_the_next_call() {
    let api = TestApi::new().await;
    let replica = api.vault.replica(&api.database).await;
    let other = router_with(&replica, Rates::default());
    let both = [&api.vault, &replica];
    person(&api, "ann").await;
    let rule = |paths: &str, capabilities: Value, conditions: Value| json!({"effect": "allow", "paths": [paths], "capabilities": capabilities, "conditions": conditions});
    let policy = json!({"subjects": [{"kind": "User", "name": "ann"}], "rules": [
        rule("shared/vip/**", json!(["read", "create", "update", "list"]), json!({"secondFactorWithin": "5m"})),
    ]});
    let put = api.call("PUT", "/api/v1/policies/vip", Some(policy)).await;
    assert_eq!(put.status, 201, "{}", put.text);
    let record = "/api/v1/records/shared/vip/db";
    let written = api.call("PUT", record, Some(json!({"data": {"password": "x"}}))).await;
    assert_eq!(written.status, 201, "{}", written.text);

    let token = text(&log_in(&api.router, "ann").await, "token");
    let refused = (403, "StepUpRequired".to_owned());
    assert_eq!(call(&other, &token, "GET", record, None).await.problem(), refused);
    let nothing = call(
        &other,
        &token,
        "POST",
        "/api/v1/auth/step-up",
        Some(json!({"code": "000000"})),
    )
    .await;
    assert_eq!(nothing.problem(), (409, "SecondFactorNotEnrolled".to_owned()));
    let (authenticator, _) = enrol(&api.router, &api.vault, &token).await;
    assert_eq!(
        call(&other, &token, "GET", record, None).await.problem(),
        (401, "SessionEnded".to_owned()),
        "R7: it began without the factor"
    );

    next_step(&both);
    let token = text(
        &log_in_with(&api.router, &api.vault, "ann", &authenticator).await,
        "token",
    );
    for router in [&api.router, &other] {
        assert_eq!(
            call(router, &token, "GET", record, None).await.status,
            200,
            "a login shows it too"
        );
    }
    both.iter()
        .for_each(|process| process.clock.advance(Duration::from_secs(301)));
    for router in [&api.router, &other] {
        assert_eq!(
            call(router, &token, "GET", record, None).await.problem(),
            refused,
            "it has grown old"
        );
    }
    let code = json!({"code": authenticator.code(&api.vault)});
    let wrong = json!({"code": authenticator.wrong_code(&api.vault)});
    let step_up = "/api/v1/auth/step-up";
    assert_eq!(
        call(&other, &token, "POST", step_up, Some(wrong)).await.problem(),
        (401, "SecondFactorFailed".to_owned())
    );
    assert_eq!(
        call(&api.router, &token, "POST", step_up, Some(code.clone()))
            .await
            .status,
        204
    );
    // Every process knew the session as it was before.
    assert_eq!(
        call(&other, &token, "GET", record, None).await.status,
        200,
        "the same token, at once"
    );
    let write = json!({"data": {"password": "y"}});
    assert_eq!(call(&other, &token, "PUT", record, Some(write)).await.status, 200);
    assert_eq!(
        call(&api.router, &token, "GET", "/api/v1/versions/shared/vip/db", None)
            .await
            .status,
        200
    );
    assert_eq!(
        call(&other, &token, "POST", step_up, Some(code)).await.problem(),
        (401, "SecondFactorFailed".to_owned()),
        "R4: used once"
    );
}

#[tokio::test]
async fn r04_what_is_no_code_is_refused_before_anything_is_looked_up() {
    let api = TestApi::new().await;
    person(&api, "ann").await;
    let token = text(&log_in(&api.router, "ann").await, "token");
    let (authenticator, codes) = enrol(&api.router, &api.vault, &token).await;
    next_step(&[&api.vault]);
    let wanted = log_in(&api.router, "ann").await;
    assert_eq!(wanted.json()["methods"], json!(["totp", "recoveryCode"]));
    let challenge = text(&wanted, "challenge");
    let complete = async |mut body: Value| {
        body["challenge"] = json!(challenge);
        anonymous(&api.router, "/api/v1/auth/second-factor", body).await
    };
    let code = authenticator.code(&api.vault);
    for body in [
        json!({"code": format!("{code} ")}),
        json!({"code": format!("+{}", &code[1..])}),
        json!({"code": "１２３４５６"}),
        json!({"code": "12345"}),
        json!({"code": ""}),
        json!({"code": 123_456}),
        json!({}),
        json!({"code": code, "recoveryCode": codes[0]}),
        json!({"recoveryCode": "short"}),
        json!({"code": code, "totp": "x"}),
    ] {
        assert_eq!(
            complete(body.clone()).await.problem(),
            (400, "InvalidRequest".to_owned()),
            "{body}"
        );
    }
    let attempts = "SELECT count(*) FROM login_attempts WHERE factor = 'second_factor'";
    assert_eq!(
        api.database.count(attempts).await,
        0,
        "nothing was counted, so nothing was compared"
    );
    assert_eq!(
        complete(json!({"code": code})).await.status,
        200,
        "and the challenge waits"
    );
    let again = complete(json!({"code": code})).await;
    assert_eq!(again.problem(), (401, "ChallengeInvalid".to_owned()));
    assert_eq!(again.header("www-authenticate"), r#"Bearer realm="aether-vault""#);
}

#[tokio::test]
async fn a_session_is_refreshed_listed_and_ended_over_rest() {
    let api = TestApi::new().await;
    let replica = api.vault.replica(&api.database).await;
    let other = router_with(&replica, Rates::default());
    let ann = person(&api, "ann").await;
    let first = log_in(&api.router, "ann").await;
    let refreshed = anonymous(
        &other,
        "/api/v1/auth/refresh",
        json!({"refreshToken": text(&first, "refreshToken")}),
    )
    .await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    assert_eq!(text(&refreshed, "tokenType"), "Bearer");
    assert_ne!(text(&refreshed, "refreshToken"), text(&first, "refreshToken"));
    let rubbish = anonymous(&other, "/api/v1/auth/refresh", json!({"refreshToken": "avr_x"})).await;
    assert_eq!(rubbish.problem(), (401, "RefreshTokenInvalid".to_owned()));

    let (token, second) = (text(&refreshed, "token"), log_in(&other, "ann").await);
    let listed = call(&api.router, &token, "GET", "/api/v1/me/sessions", None)
        .await
        .json();
    let items = listed["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 2, "{listed}");
    let current: Vec<_> = items.iter().filter(|item| item["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_eq!(
        (&current[0]["method"], &current[0]["client"]),
        (&json!("password"), &json!("192.0.2.7"))
    );
    let elsewhere = items.iter().find(|item| item["current"] == false).unwrap()["id"]
        .as_str()
        .unwrap();

    let mine = format!("/api/v1/me/sessions/{elsewhere}");
    assert_eq!(call(&api.router, &token, "DELETE", &mine, None).await.status, 204);
    assert_eq!(
        call(&other, &text(&second, "token"), "GET", "/api/v1/me", None)
            .await
            .problem(),
        (401, "SessionEnded".to_owned())
    );
    assert_eq!(
        call(&api.router, &token, "DELETE", &mine, None).await.problem(),
        (404, "SessionNotFound".to_owned())
    );

    // R8, R21: a session of somebody else is not there, and lists of others are for administrators.
    let theirs = api.call("GET", "/api/v1/me/sessions", None).await.json()["items"][0]["id"].clone();
    let foreign = format!("/api/v1/me/sessions/{}", theirs.as_str().unwrap());
    assert_eq!(
        call(&api.router, &token, "DELETE", &foreign, None).await.problem(),
        (404, "SessionNotFound".to_owned())
    );
    let of_ann = format!("/api/v1/users/{ann}/sessions");
    assert_eq!(
        call(&api.router, &token, "GET", &of_ann, None).await.problem(),
        (403, "RoleRequired".to_owned())
    );
    assert_eq!(
        call(&api.router, &token, "DELETE", &of_ann, None).await.problem(),
        (403, "AdministratorRequired".to_owned())
    );
    assert_eq!(
        call(&api.router, &token, "GET", "/api/v1/workload-sessions", None)
            .await
            .problem(),
        (403, "RoleRequired".to_owned())
    );
    assert_eq!(call(&api.router, &token, "GET", "/api/v1/me", None).await.status, 200);

    log_in(&other, "ann").await;
    log_in(&other, "ann").await;
    let others = call(&api.router, &token, "DELETE", "/api/v1/me/sessions", None).await;
    assert_eq!((others.status.as_u16(), others.json()), (200, json!({"ended": 2})));
    assert_eq!(
        call(&other, &token, "GET", "/api/v1/me", None).await.status,
        200,
        "the one that asks goes on"
    );

    let seen = api.call("GET", &of_ann, None).await.json();
    assert_eq!(
        (seen["items"].as_array().unwrap().len(), &seen["items"][0]["current"]),
        (1, &json!(false))
    );
    assert_eq!(api.call("DELETE", &of_ann, None).await.json(), json!({"ended": 1}));
    assert_eq!(
        call(&other, &token, "GET", "/api/v1/me", None).await.problem(),
        (401, "SessionEnded".to_owned())
    );
    let nobody = "/api/v1/users/01900000-0000-7000-8000-000000000000/sessions";
    assert_eq!(
        api.call("GET", nobody, None).await.problem(),
        (404, "UserNotFound".to_owned())
    );
    for limit in ["0", "-1", "1001", "x"] {
        let answer = api
            .call("GET", &format!("/api/v1/workload-sessions?limit={limit}"), None)
            .await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".to_owned()), "R23: {limit}");
    }
}

#[tokio::test]
async fn sessions_of_workloads_are_listed_and_ended_by_administrators() {
    let api = TestApi::new().await;
    api.database
        .execute(
            "INSERT INTO clusters (id, prefix, kube_system_uid, platform) VALUES (gen_random_uuid(), 'k8s', 'uid', false);
             INSERT INTO sessions (id, method, cluster_id, namespace, namespace_uid, service_account, service_account_uid, expires_at, ends_at)
             SELECT gen_random_uuid(), 'workload', id, 'shop', 'u', 'web', 'v', now() + interval '1 hour', now() + interval '1 hour'
             FROM clusters, generate_series(1, 3)",
        )
        .await;
    let page = api.call("GET", "/api/v1/workload-sessions?limit=2", None).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let workload = &page["items"][0]["workload"];
    assert_eq!(
        workload,
        &json!({"cluster": "k8s", "namespace": "shop", "serviceAccount": "web"})
    );
    let rest = format!("/api/v1/workload-sessions?after={}", page["next"].as_str().unwrap());
    let rest = api.call("GET", &rest, None).await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), rest.get("next")), (1, None));
    let one = format!("/api/v1/workload-sessions/{}", page["items"][0]["id"].as_str().unwrap());
    assert_eq!(api.call("DELETE", &one, None).await.status, 204);
    assert_eq!(
        api.call("DELETE", &one, None).await.problem(),
        (404, "SessionNotFound".to_owned())
    );
    // A person's session is not a workload's.
    let own = api.call("GET", "/api/v1/me/sessions", None).await.json()["items"][0]["id"].clone();
    let own = format!("/api/v1/workload-sessions/{}", own.as_str().unwrap());
    assert_eq!(
        api.call("DELETE", &own, None).await.problem(),
        (404, "SessionNotFound".to_owned())
    );
}

#[tokio::test]
async fn a_token_of_a_new_key_is_good_on_every_process_at_once_and_keys_are_published() {
    let api = TestApi::new().await;
    let replica = api.vault.replica(&api.database).await;
    let other = router_with(&replica, Rates::default());
    let jwks = async |router: &Router| {
        let request = Request::get("/.well-known/jwks.json").body(Body::empty()).unwrap();
        let answer = send_to(router, request).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["keys"].as_array().unwrap().clone()
    };
    let before = jwks(&api.router).await;
    assert_eq!(
        (before.len(), &before[0]["kty"], &before[0]["alg"]),
        (1, &json!("OKP"), &json!("EdDSA"))
    );
    assert_eq!(before, jwks(&other).await);

    let old = text(&log_in(&api.router, "admin").await, "token");
    // The feed says nothing of it: the other process has to look the key up.
    api.database
        .execute(
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER nothing BEFORE INSERT ON changes FOR EACH ROW EXECUTE FUNCTION nothing()",
        )
        .await;
    api.vault.vault.auth().rotate_signing_key(false).await.unwrap();
    let new = text(&log_in(&api.router, "admin").await, "token");
    assert_eq!(call(&other, &new, "GET", "/api/v1/me", None).await.status, 200);
    api.database.execute("DROP TRIGGER nothing ON changes").await;
    assert_eq!(
        call(&other, &old, "GET", "/api/v1/me", None).await.status,
        200,
        "keys overlap"
    );
    assert_eq!(jwks(&other).await.len(), 2);
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM signing_keys WHERE retired_at IS NULL")
            .await,
        1
    );
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM audit_entries WHERE action = 'signing_key.rotate'")
            .await,
        1
    );

    // After a leak the keys of before end at once: here, and elsewhere when the other process hears of it.
    api.vault.vault.auth().rotate_signing_key(true).await.unwrap();
    let refused = (401, "TokenInvalid".to_owned());
    for token in [&old, &new] {
        assert_eq!(
            call(&api.router, token, "GET", "/api/v1/me", None).await.problem(),
            refused
        );
        crate::support::cluster::eventually("the other process has heard of it", || async {
            match call(&other, token, "GET", "/api/v1/me", None).await.status.as_u16() {
                401 => Ok(()),
                status => Err(status.to_string()),
            }
        })
        .await;
    }
    assert_eq!(jwks(&other).await.len(), 1);
}
