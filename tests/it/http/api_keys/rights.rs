//! What a key may do, and who may do what with keys.

use serde_json::json;
use uuid::Uuid;

use super::{KEYS, everything};
use crate::http::client::TestApi;

#[tokio::test]
async fn a_key_does_what_its_owner_may_within_its_scopes_and_nothing_else() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    let ann = api.user("ann", "user", "person").await;
    let own = format!("/api/v1/records/users/{ann}/mail");
    let value = || Some(json!({"data": {"a": "1"}}));
    for path in ["/api/v1/records/shared/smtp", &own] {
        assert_eq!(admin.call("PUT", path, value()).await.status, 201);
    }
    let scopes = json!([{"paths": ["users/{user.id}/**", "shared/**"], "capabilities": ["read"]}]);
    let key = api
        .log_in("ann")
        .await
        .make(KEYS, json!({"name": "reader", "scopes": scopes}))
        .await;
    let key = api.with(&key.text);
    assert_eq!(key.call("GET", &own, None).await.status, 200);
    let denied = (403, "PolicyDenied".to_owned());
    assert_eq!(
        key.call("PUT", &own, value()).await.problem(),
        denied,
        "beyond the scope"
    );
    let shared = key.call("GET", "/api/v1/records/shared/smtp", None).await;
    assert_eq!(
        shared.problem(),
        denied,
        "within the scope, and not the owner's to give"
    );
    assert_eq!(
        key.call("GET", "/api/v1/records/k8s/shop/db", None).await.problem(),
        denied
    );
}

#[tokio::test]
async fn r20_a_key_makes_no_keys_and_administers_only_if_it_was_made_to() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    let robot = api.user("robot", "user", "machine").await;
    let of_robot = format!("/api/v1/users/{robot}/api-keys");
    let plain = admin.make(KEYS, everything("plain")).await;
    let mut wanted = everything("administers");
    wanted["administers"] = true.into();
    let administers = admin.make(KEYS, wanted.clone()).await;

    for key in [&plain, &administers] {
        let bearer = api.with(&key.text);
        for (method, uri, body) in [
            ("POST", KEYS.to_owned(), Some(everything("child"))),
            ("POST", format!("{KEYS}/{}/rotate", key.id), Some(json!({}))),
            ("DELETE", format!("{KEYS}/{}", plain.id), None),
            ("GET", KEYS.to_owned(), None),
        ] {
            let answer = bearer.call(method, &uri, body).await;
            assert_eq!(answer.problem(), (403, "SessionRequired".into()), "{method} {uri}");
        }
    }
    let bearer = api.with(&plain.text);
    let refused = (403, "AdministratorRequired".to_owned());
    assert_eq!(bearer.call("GET", &of_robot, None).await.problem(), refused);
    assert_eq!(
        bearer.call("POST", &of_robot, Some(everything("x"))).await.problem(),
        refused
    );
    let bearer = api.with(&administers.text);
    assert_eq!(bearer.call("GET", &of_robot, None).await.status, 200);
    assert_eq!(
        bearer.call("POST", &of_robot, Some(everything("x"))).await.problem(),
        (403, "SessionRequired".into())
    );

    // Only an administrator's key can administer.
    api.user("ann", "user", "person").await;
    let ann = api.log_in("ann").await;
    assert_eq!(
        ann.call("POST", KEYS, Some(wanted)).await.problem(),
        (400, "InvalidRequest".into())
    );
    assert_eq!(api.database.count("SELECT count(*) FROM api_keys").await, 2);
}

#[tokio::test]
async fn administrators_make_keys_for_machines_and_end_anyone_s() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    let robot = api.user("robot", "user", "machine").await;
    let ann = api.user("ann", "user", "person").await;
    let (of_robot, of_ann) = (
        format!("/api/v1/users/{robot}/api-keys"),
        format!("/api/v1/users/{ann}/api-keys"),
    );
    let key = admin.make(&of_robot, everything("pipeline")).await;
    let path = format!("/api/v1/records/users/{robot}/state");
    let bearer = api.with(&key.text);
    assert_eq!(
        bearer
            .call("PUT", &path, Some(json!({"data": {"a": "1"}})))
            .await
            .status,
        201
    );
    let whose = api
        .database
        .count(&format!(
            "SELECT count(*) FROM audit_entries WHERE actor_kind = 'apikey' AND actor_id = '{}' AND actor_name = 'robot/pipeline'",
            key.id
        ))
        .await;
    assert_eq!(whose, 1, "the audit log names the key and its owner");
    let answer = admin.call("POST", &of_ann, Some(everything("for ann"))).await;
    assert_eq!(
        answer.problem(),
        (400, "InvalidRequest".into()),
        "nobody else speaks for a person"
    );
    let own = api.log_in("ann").await.make(KEYS, everything("own")).await;
    assert_eq!(
        admin.call("DELETE", &format!("{of_ann}/{}", own.id), None).await.status,
        204
    );
    assert_eq!(
        api.with(&own.text).call("GET", "/api/v1/me", None).await.problem(),
        (401, "ApiKeyEnded".into())
    );
    let nobody = format!("/api/v1/users/{}/api-keys", Uuid::nil());
    for (method, body) in [("GET", None), ("POST", Some(everything("x")))] {
        assert_eq!(
            admin.call(method, &nobody, body).await.problem(),
            (404, "UserNotFound".into())
        );
    }
}

#[tokio::test]
async fn r08_r21_a_stranger_s_key_is_not_there() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    let key = admin.make(KEYS, everything("deploy")).await;
    let admin_id = admin.call("GET", "/api/v1/me", None).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    api.user("ann", "user", "person").await;
    let ann = api.log_in("ann").await;
    let of_admin = format!("/api/v1/users/{admin_id}/api-keys");
    for (method, uri, body, expected) in [
        ("DELETE", format!("{KEYS}/{}", key.id), None, "ApiKeyNotFound"),
        (
            "POST",
            format!("{KEYS}/{}/rotate", key.id),
            Some(json!({})),
            "ApiKeyNotFound",
        ),
        ("GET", of_admin.clone(), None, "AdministratorRequired"),
        ("POST", of_admin.clone(), Some(everything("x")), "AdministratorRequired"),
        (
            "DELETE",
            format!("{of_admin}/{}", key.id),
            None,
            "AdministratorRequired",
        ),
        (
            "POST",
            format!("{of_admin}/{}/rotate", key.id),
            Some(json!({})),
            "AdministratorRequired",
        ),
    ] {
        let answer = ann.call(method, &uri, body).await;
        assert_eq!(answer.problem().1, expected, "{method} {uri}");
        assert!([403, 404].contains(&answer.status.as_u16()));
    }
    assert_eq!(ann.call("GET", KEYS, None).await.json()["items"], json!([]));
    // The owner in the address and the owner of the key are one, for administrators too.
    let other = api.user("robot", "user", "machine").await;
    let mixed = format!("/api/v1/users/{other}/api-keys/{}", key.id);
    assert_eq!(
        admin.call("DELETE", &mixed, None).await.problem(),
        (404, "ApiKeyNotFound".into())
    );
    assert_eq!(
        api.with(&key.text).call("GET", "/api/v1/me", None).await.status,
        200,
        "the key is unharmed"
    );
}

#[tokio::test]
async fn a_key_is_used_from_its_networks_only() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    // Requests of these tests come from 192.0.2.7.
    let mut wanted = everything("office");
    wanted["networks"] = json!(["10.0.0.0/8", "192.0.2.0/24"]);
    let inside = admin.make(KEYS, wanted.clone()).await;
    wanted["networks"] = json!(["10.0.0.0/8"]);
    let outside = admin.make(KEYS, wanted).await;
    assert_eq!(api.with(&inside.text).call("GET", "/api/v1/me", None).await.status, 200);
    for _ in 0..2 {
        let answer = api.with(&outside.text).call("GET", "/api/v1/me", None).await;
        assert_eq!(answer.problem(), (403, "AddressNotAllowed".into()));
    }
    let entry = format!("api_key.use deny AddressNotAllowed {}", outside.id);
    assert_eq!(
        api.database
            .audit()
            .await
            .iter()
            .filter(|found| **found == entry)
            .count(),
        2
    );
}
