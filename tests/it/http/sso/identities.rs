//! Identities, linked and unlinked.

use serde_json::json;

use super::{PASSWORD, Stage, VERIFIER};

#[tokio::test]
async fn an_identity_is_linked_by_its_owner_and_logs_in_as_them() {
    let Some(stage) = Stage::set(|corp| corp.just_in_time = false).await else {
        return;
    };
    stage.user(json!({"name": "ann"})).await;
    stage.account("a-1", json!({"preferred_username": "whoever"})).await;
    let token = stage.password("ann").await;
    let link = |code: String, verifier: &str, password: &str| json!({"code": code, "verifier": verifier, "password": password});
    let own = "/api/v1/me/identities";

    let wrong = link(stage.code("a-1").await, VERIFIER, "not the password");
    assert_eq!(
        stage.post(own, Some(&token), wrong).await.problem(),
        (401, "LoginFailed".to_owned())
    );
    let wrong = link(
        stage.code("a-1").await,
        "another-verifier-that-is-long-enough-to-be-one",
        PASSWORD,
    );
    assert_eq!(
        stage.post(own, Some(&token), wrong).await.problem(),
        (400, "SsoFlowInvalid".to_owned())
    );
    // A session alone does not show who its bearer is.
    let bare = json!({"code": stage.code("a-1").await, "verifier": VERIFIER});
    assert_eq!(
        stage.post(own, Some(&token), bare).await.problem(),
        (403, "ReauthenticationRequired".to_owned())
    );

    let right = link(stage.code("a-1").await, VERIFIER, PASSWORD);
    let linked = stage.post(own, Some(&token), right).await;
    assert_eq!(linked.status, 201, "{}", linked.text);
    assert_eq!(
        (&linked.json()["provider"], &linked.json()["subject"]),
        (&json!("corp"), &json!("a-1"))
    );
    assert_eq!(stage.me(&stage.token("a-1").await).await, "ann");

    // It is ann's now, and nobody else's.
    stage.user(json!({"name": "bob"})).await;
    let bob = stage.password("bob").await;
    let taken = link(stage.code("a-1").await, VERIFIER, PASSWORD);
    assert_eq!(
        stage.post(own, Some(&bob), taken).await.problem(),
        (409, "IdentityTaken".to_owned())
    );
    let list = stage.call("GET", own, &bob, None).await.json();
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn r07_unlinking_ends_the_sessions_that_came_by_it_and_what_it_gave() {
    let stage = Stage::set(|corp| {
        corp.every_group = true;
    });
    let Some(stage) = stage.await else { return };
    stage
        .account("a-1", json!({"preferred_username": "ann", "groups": ["ops"]}))
        .await;
    let by_provider = stage.token("a-1").await;
    let id = stage.call("GET", "/api/v1/me", &by_provider, None).await.json()["id"].clone();
    let own = stage
        .call("GET", "/api/v1/me/identities", &by_provider, None)
        .await
        .json();
    let identity = own["items"][0]["id"].as_str().unwrap().to_owned();
    let unlink = format!("/api/v1/me/identities/{identity}/unlink");

    let last = stage.post(&unlink, Some(&by_provider), json!({})).await;
    assert_eq!(last.problem(), (409, "LastCredential".to_owned()));
    assert_eq!(stage.me(&by_provider).await, "ann", "nothing came of it");

    // R8: another's identity is not there for bob, and administrators alone see and unlink anyone's.
    stage.user(json!({"name": "bob"})).await;
    let bob = stage.password("bob").await;
    let others = stage.post(&unlink, Some(&bob), json!({"password": PASSWORD})).await;
    assert_eq!(others.problem(), (404, "IdentityNotFound".to_owned()));
    let of_user = format!("/api/v1/users/{}/identities", id.as_str().unwrap());
    let (list, one) = (of_user.clone(), format!("{of_user}/{identity}"));
    assert_eq!(
        stage.call("GET", &list, &bob, None).await.problem(),
        (403, "RoleRequired".to_owned())
    );
    assert_eq!(
        stage.call("DELETE", &one, &bob, None).await.problem(),
        (403, "AdministratorRequired".to_owned())
    );
    let seen = stage.call("GET", &list, &stage.admin, None).await.json();
    assert_eq!(seen["items"][0]["subject"], "a-1");

    assert_eq!(stage.call("DELETE", &one, &stage.admin, None).await.status, 204);
    assert_eq!(stage.me(&by_provider).await, "SessionEnded");
    assert_eq!(stage.database.count("SELECT count(*) FROM group_members").await, 0);
    assert_eq!(stage.sessions().await, 0);
    assert_eq!(
        stage.call("DELETE", &one, &stage.admin, None).await.problem(),
        (404, "IdentityNotFound".to_owned())
    );
    let audit = stage.database.audit().await;
    assert!(
        audit.contains(&"identity.unlink allow ann at corp".to_owned()),
        "{audit:?}"
    );
    // The name is ann's still: a login by the same identity is somebody whom nobody knows.
    assert_eq!(stage.log_in("a-1").await.problem(), (409, "AccountExists".to_owned()));
}

#[tokio::test]
async fn one_with_a_password_unlinks_and_only_the_sessions_of_the_identity_end() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    stage.user(json!({"name": "ann"})).await;
    stage.account("a-1", json!({"preferred_username": "whoever"})).await;
    let by_password = stage.password("ann").await;
    let link = json!({"code": stage.code("a-1").await, "verifier": VERIFIER, "password": PASSWORD});
    let linked = stage
        .post("/api/v1/me/identities", Some(&by_password), link)
        .await
        .json();
    let by_provider = stage.token("a-1").await;
    assert_eq!(stage.me(&by_provider).await, "ann");
    let unlink = format!("/api/v1/me/identities/{}/unlink", linked["id"].as_str().unwrap());
    let done = stage
        .post(&unlink, Some(&by_password), json!({"password": PASSWORD}))
        .await;
    assert_eq!(done.status, 204, "{}", done.text);
    assert_eq!(stage.me(&by_provider).await, "SessionEnded");
    assert_eq!(stage.me(&by_password).await, "ann");
}
