//! Who may write policies, and what is refused.

use aether_vault::service::LocalDoor;
use aether_vault::service::door::{PolicyResource, VaultDoor as _};
use axum::http::Request;
use serde_json::{Value, json};

use super::{ann, call_as, join, rule};
use crate::http::client::{TestApi, router_of};

#[tokio::test]
async fn r15_every_spelling_of_a_name_is_one_policy_and_reserved_ones_are_refused() {
    let api = TestApi::new().await;
    let body = || Some(rule(&ann(), "allow", "shared/**", &["read"]));
    let made = api.call("PUT", "/api/v1/policies/Team-A", body()).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, "\"1\""));
    assert_eq!(made.json()["name"], "team-a");
    for spelling in ["team-a", "TEAM-A", "%20Team-a%20", "%EF%BC%B4eam-A", "tea%6D-a"] {
        let read = api.call("GET", &format!("/api/v1/policies/{spelling}"), None).await;
        assert_eq!(
            (read.status.as_u16(), read.json()["generation"].clone()),
            (200, json!(1)),
            "{spelling}"
        );
        let cas = json!({"cas": 0, "subjects": [ann()], "rules": body().unwrap()["rules"]});
        let again = api
            .call("PUT", &format!("/api/v1/policies/{spelling}"), Some(cas))
            .await;
        assert_eq!(again.problem(), (409, "CheckAndSetFailed".into()), "{spelling}");
    }
    for reserved in [
        "root",
        "ROOT",
        "%20Root",
        "r%6Fot",
        "%EF%BC%B2oot",
        "built-in",
        "Everyone",
        "Preview",
    ] {
        let answer = api.call("PUT", &format!("/api/v1/policies/{reserved}"), body()).await;
        assert!(
            [(400, "InvalidPolicy".into()), (405, "MethodNotAllowed".into())].contains(&answer.problem()),
            "{reserved}: {answer:?}"
        );
    }
    for bad in ["a%2Fb", "a/b", "%00", "-a", "%C3%A9", "%FF"] {
        let answer = api.call("PUT", &format!("/api/v1/policies/{bad}"), body()).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
    assert_eq!(api.database.count("SELECT count(*) FROM policies").await, 1);
}

#[tokio::test]
async fn administrators_write_auditors_read_and_nobody_else_sees_policies() {
    let api = TestApi::new().await;
    let (ann, eve) = (join(&api, "ann", "user").await, join(&api, "eve", "auditor").await);
    let body = rule(&json!({"kind": "Everyone"}), "allow", "shared/**", &["read"]);
    assert_eq!(
        api.call("PUT", "/api/v1/policies/open", Some(body.clone()))
            .await
            .status,
        201
    );
    let ask = json!({"who": {"user": "admin"}, "capability": "read", "path": "shared/x"});
    let preview = json!({"name": "open"});
    for (method, uri, body, auditor) in [
        ("GET", "/api/v1/policies", None, true),
        ("GET", "/api/v1/policies/open", None, true),
        ("POST", "/api/v1/policies/explain", Some(ask), true),
        ("POST", "/api/v1/policies/preview", Some(preview), true),
        ("PUT", "/api/v1/policies/mine", Some(body), false),
        ("DELETE", "/api/v1/policies/open", None, false),
    ] {
        let reason = if auditor {
            "RoleRequired"
        } else {
            "AdministratorRequired"
        };
        let refused = (403, reason.to_owned());
        assert_eq!(
            call_as(&api, &ann, method, uri, body.clone()).await.problem(),
            refused,
            "{method} {uri}"
        );
        let answer = call_as(&api, &eve, method, uri, body).await;
        if auditor {
            assert_eq!(answer.status, 200, "{method} {uri}");
        } else {
            assert_eq!(answer.problem(), refused, "{method} {uri}");
        }
    }
    let denied = api
        .database
        .count("SELECT count(*) FROM audit_entries WHERE decision = 'deny' AND reason LIKE '%Required'")
        .await;
    assert_eq!(denied, 8);
}

#[tokio::test]
async fn of_writers_in_two_processes_one_follows_a_generation() {
    let api = TestApi::new().await;
    let other = api.vault.replica(&api.database).await;
    let routers = [api.router.clone(), router_of(&other)];
    let body = rule(&ann(), "allow", "shared/**", &["read"]);
    assert_eq!(
        api.call("PUT", "/api/v1/policies/p", Some(body.clone())).await.status,
        201
    );
    let writes = (0..8).map(|n| {
        let (router, mut request) = (
            routers[n % 2].clone(),
            api.request("PUT", "/api/v1/policies/p", Some(body.clone())),
        );
        request.headers_mut().insert("if-match", "\"1\"".parse().unwrap());
        async move {
            tower::ServiceExt::oneshot(router, request)
                .await
                .unwrap()
                .status()
                .as_u16()
        }
    });
    let mut statuses = futures::future::join_all(writes).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
    let removed = api.request("DELETE", "/api/v1/policies/p", None);
    let (mut parts, no_body) = removed.into_parts();
    parts.headers.insert("if-match", "\"1\"".parse().unwrap());
    let answer = api.send(Request::from_parts(parts, no_body)).await;
    assert_eq!(answer.problem(), (412, "CheckAndSetFailed".into()));
}

#[tokio::test]
async fn r20_an_administrator_cannot_grant_what_is_denied_to_them() {
    let api = TestApi::new().await;
    let ann_token = join(&api, "ann", "user").await;
    let deny = rule(
        &json!({"kind": "Role", "name": "admin"}),
        "deny",
        "shared/pki/**",
        &["read"],
    );
    assert_eq!(api.call("PUT", "/api/v1/policies/no-pki", Some(deny)).await.status, 201);
    let wide = rule(&ann(), "allow", "shared/**", &["list", "read"]);
    let refused = api.call("PUT", "/api/v1/policies/grant", Some(wide)).await;
    assert_eq!(refused.problem(), (403, "GrantBeyondOwn".into()));
    assert_eq!(
        refused.detail(),
        "rules[0].paths[0]: you cannot grant 'read': policy 'no-pki' denies it to you on a part of these paths"
    );
    let narrow = rule(&ann(), "allow", "shared/smtp", &["read"]);
    assert_eq!(
        api.call("PUT", "/api/v1/policies/grant", Some(narrow)).await.status,
        201
    );
    api.call(
        "PUT",
        "/api/v1/records/shared/pki/ca",
        Some(json!({"data": {"a": "b"}})),
    )
    .await;
    let read = call_as(&api, &ann_token, "GET", "/api/v1/records/shared/pki/ca", None).await;
    assert_eq!(read.problem(), (403, "PolicyDenied".into()));
}

#[tokio::test]
async fn a_resources_policy_is_shown_and_cannot_be_written() {
    let api = TestApi::new().await;
    let door = LocalDoor::register(api.vault.vault.clone(), "k8s", "cluster-1", "")
        .await
        .unwrap();
    let document = rule(
        &json!({"kind": "Namespace", "name": "shop"}),
        "allow",
        "k8s/shop/**",
        &["sync"],
    );
    door.apply_policy(&PolicyResource {
        uid: "uid-1".to_owned(),
        generation: 7,
        namespace: "shop".to_owned(),
        name: "own".to_owned(),
        crd_uid: "crd-1".to_owned(),
        scope: aether_vault::domain::path::PathPrefix::parse("k8s/shop").unwrap(),
        document: serde_json::from_value(document.clone()).unwrap(),
    })
    .await
    .unwrap();
    let shown = api.call("GET", "/api/v1/policies/k8s/shop/own", None).await;
    assert_eq!(
        (shown.status.as_u16(), shown.json()["origin"].clone()),
        (200, json!("kubernetes"))
    );
    assert_eq!(shown.json()["scope"], "k8s/shop/");
    let refused = (409, "ManagedByResource".to_owned());
    for name in ["k8s/shop/own", "k8s/shop/other", "k8s%2Fshop%2Fown"] {
        let uri = format!("/api/v1/policies/{name}");
        assert_eq!(
            api.call("PUT", &uri, Some(document.clone())).await.problem(),
            refused,
            "{name}"
        );
        assert_eq!(api.call("DELETE", &uri, None).await.problem(), refused, "{name}");
    }
    assert_eq!(
        api.call("PUT", "/api/v1/policies/own", Some(document)).await.status,
        201
    );
    let list = |query: &str| {
        let uri = format!("/api/v1/policies{query}");
        let api = &api;
        async move { api.call("GET", &uri, None).await.json() }
    };
    let first = list("?limit=1").await;
    assert_eq!(first["items"][0]["name"], "k8s/shop/own");
    let second = list(&format!("?limit=1&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!(
        (second["items"][0]["name"].clone(), second["next"].clone()),
        (json!("own"), Value::Null)
    );
    for limit in ["0", "-1", "1001", "99999999999"] {
        let answer = api.call("GET", &format!("/api/v1/policies?limit={limit}"), None).await;
        assert_eq!(answer.status, 400, "R23: {limit}");
    }
}
