//! Users over REST, as an administrator and a person would with `curl`.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::client::{Answer, TestApi};

async fn anonymous(api: &TestApi, uri: &str, body: Value) -> Answer {
    let request = Request::post(uri).header("content-type", "application/json");
    api.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_person_is_invited_sets_a_password_is_changed_and_goes() {
    let mut api = TestApi::new().await;
    let body = json!({"name": "Ann", "email": "Ann@Example.org", "groups": ["Ops"]});
    let made = api.call("POST", "/api/v1/users", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let user = made.json()["user"].clone();
    assert_eq!(user["name"], "ann");
    assert_eq!(
        (&user["state"], &user["role"], &user["groups"]),
        (&json!("pending"), &json!("user"), &json!(["ops"]))
    );
    let address = made.header("location").to_owned();
    assert_eq!(address, format!("/api/v1/users/{}", user["id"].as_str().unwrap()));

    let redemption = json!({"token": made.json()["invitation"]["token"], "newPassword": "four plain words will do"});
    assert_eq!(
        anonymous(&api, "/api/v1/auth/redeem", redemption.clone()).await.status,
        204
    );
    let again = anonymous(&api, "/api/v1/auth/redeem", redemption).await;
    assert_eq!(again.problem(), (401, "OneTimeTokenInvalid".to_owned()));

    let taken = api
        .call(
            "POST",
            "/api/v1/users",
            Some(json!({"name": "bob", "email": "ann@example.org"})),
        )
        .await;
    assert_eq!(taken.problem(), (409, "UserExists".to_owned()));
    assert_eq!(taken.detail(), "another user has this e-mail address");
    let changed = api
        .call("PATCH", &address, Some(json!({"email": null, "displayName": "Ann A."})))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(
        (changed.json().get("email"), &changed.json()["displayName"]),
        (None, &json!("Ann A."))
    );
    assert_eq!(changed.json()["state"], "active");

    let listed = api.call("GET", "/api/v1/users?limit=1", None).await.json();
    assert_eq!(listed["items"][0]["name"], "admin");
    let rest = api
        .call(
            "GET",
            &format!("/api/v1/users?after={}", listed["next"].as_str().unwrap()),
            None,
        )
        .await
        .json();
    assert_eq!(
        (rest["items"][0]["name"].as_str(), rest.get("next")),
        (Some("ann"), None)
    );

    assert_eq!(api.call("DELETE", &address, None).await.status, 204);
    assert_eq!(api.call("GET", &address, None).await.json()["state"], "deleted");
    assert_eq!(api.call("POST", &format!("{address}/restore"), None).await.status, 204);
    assert_eq!(
        api.call("DELETE", &format!("{address}?permanently=true"), None)
            .await
            .status,
        204
    );
    assert_eq!(
        api.call("GET", &address, None).await.problem(),
        (404, "UserNotFound".to_owned())
    );

    let me = api
        .call(
            "POST",
            "/api/v1/me/password",
            Some(json!({"password": "wrong", "newPassword": "five plain words will do"})),
        )
        .await;
    assert_eq!(me.problem(), (401, "LoginFailed".to_owned()));
    let right = json!({"password": crate::support::vault::ADMIN_PASSWORD, "newPassword": "five plain words will do"});
    assert_eq!(api.call("POST", "/api/v1/me/password", Some(right)).await.status, 204);
    assert_eq!(
        api.call("GET", "/api/v1/me", None).await.problem(),
        (401, "SessionEnded".to_owned())
    );
    let login = json!({"username": "admin", "password": "five plain words will do"});
    api.token = anonymous(&api, "/api/v1/auth/login", login).await.json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(api.call("GET", "/api/v1/me", None).await.status, 200);
}

#[tokio::test]
async fn r23_what_does_not_fit_makes_no_user() {
    let api = TestApi::new().await;
    for body in [
        json!({"name": ""}),
        json!({"name": "system"}),
        json!({"name": "a/b"}),
        json!({"name": "ann", "email": "nowhere"}),
        json!({"name": "ann", "role": "root"}),
        json!({"name": "ann", "groups": vec!["g"; 101]}),
        json!({"name": "ann", "password": "x"}),
        json!({"name": "ann", "displayName": "a\nb"}),
    ] {
        let answer = api.call("POST", "/api/v1/users", Some(body.clone())).await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".to_owned()), "{body}");
    }
    for limit in ["0", "-1", "1001", "99999999999"] {
        let answer = api.call("GET", &format!("/api/v1/users?limit={limit}"), None).await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".to_owned()), "{limit}");
    }
    assert_eq!(api.database.count("SELECT count(*) FROM users").await, 1);
}
