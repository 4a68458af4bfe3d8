//! Policies by REST: who may write them, what they do at the next call, why, and what they would do.

use aether_vault::service::LocalDoor;
use aether_vault::service::auth::LoginRequest;
use aether_vault::service::auth::RequestInfo;
use aether_vault::service::door::{PolicyResource, VaultDoor as _};
use axum::body::Body;
use axum::http::Request;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::client::{Answer, TestApi, router_of};
use crate::support::vault::ADMIN_PASSWORD;

/// Makes a user with the administrator's password, and logs them in.
async fn join(api: &TestApi, name: &str, role: &str) -> String {
    let sql = format!(
        "INSERT INTO users (id, name, role, password_hash) SELECT gen_random_uuid(), '{name}', '{role}', password_hash FROM users WHERE name = 'admin'"
    );
    api.database.execute(&sql).await;
    log_in(api, name).await
}

async fn log_in(api: &TestApi, name: &str) -> String {
    let request = LoginRequest {
        name: name.to_owned(),
        password: ADMIN_PASSWORD.into(),
        new_password: None,
    };
    let outcome = api
        .vault
        .vault
        .auth()
        .login(request, RequestInfo::default())
        .await
        .unwrap();
    outcome.session().unwrap().token.expose_secret().to_owned()
}

async fn call_as(api: &TestApi, token: &str, method: &str, uri: &str, body: Option<Value>) -> Answer {
    let mut request = api.request(method, uri, body);
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    api.send(request).await
}

fn rule(subject: &Value, effect: &str, path: &str, capabilities: &[&str]) -> Value {
    json!({"subjects": [subject], "rules": [{"effect": effect, "paths": [path], "capabilities": capabilities}]})
}

fn ann() -> Value {
    json!({"kind": "User", "name": "Ann"})
}

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
async fn a_policy_is_in_force_in_every_process_at_the_next_call() {
    let api = TestApi::new().await;
    let other = api.vault.replica(&api.database).await;
    let router = router_of(&other);
    let ann_token = join(&api, "ann", "user").await;
    let read_there = async || {
        let request = Request::builder()
            .uri("/api/v1/records/shared/smtp")
            .header("authorization", format!("Bearer {ann_token}"))
            .body(Body::empty())
            .unwrap();
        tower::ServiceExt::oneshot(router.clone(), request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    api.call("PUT", "/api/v1/records/shared/smtp", Some(json!({"data": {"a": "b"}})))
        .await;
    let allow = rule(&ann(), "allow", "shared/*", &["read"]);
    let deny = rule(&json!({"kind": "Everyone"}), "deny", "shared/smtp", &["read"]);
    for _ in 0..5 {
        assert_eq!(read_there().await, 403);
        assert_eq!(
            api.call("PUT", "/api/v1/policies/allow", Some(allow.clone()))
                .await
                .status,
            201
        );
        assert_eq!(read_there().await, 200);
        assert_eq!(
            api.call("PUT", "/api/v1/policies/deny", Some(deny.clone()))
                .await
                .status,
            201
        );
        assert_eq!(read_there().await, 403);
        assert_eq!(api.call("DELETE", "/api/v1/policies/deny", None).await.status, 204);
        assert_eq!(read_there().await, 200);
        assert_eq!(api.call("DELETE", "/api/v1/policies/allow", None).await.status, 204);
    }
    let audit = api.database.audit().await;
    assert_eq!(
        audit.iter().filter(|line| *line == "policy.apply allow deny").count(),
        5
    );
    assert_eq!(
        audit.iter().filter(|line| *line == "policy.remove allow allow").count(),
        5
    );
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

#[tokio::test]
async fn r40_a_user_made_again_under_the_same_name_is_nobody_to_older_policies() {
    let api = TestApi::new().await;
    let ops = json!({"kind": "Group", "name": "ops"});
    for (name, subject) in [("for-ann", ann()), ("for-ops", ops)] {
        let path = format!("shared/{name}");
        let body = rule(&subject, "allow", &path, &["read"]);
        assert_eq!(
            api.call("PUT", &format!("/api/v1/policies/{name}"), Some(body))
                .await
                .status,
            201
        );
        api.call(
            "PUT",
            &format!("/api/v1/records/{path}"),
            Some(json!({"data": {"a": "b"}})),
        )
        .await;
    }
    let join_ops = "INSERT INTO groups (id, name) VALUES (gen_random_uuid(), 'ops');
        INSERT INTO group_members (group_id, user_id) SELECT g.id, u.id FROM groups g, users u WHERE u.name = 'ann'";
    let first = join(&api, "ann", "user").await;
    api.database.execute(join_ops).await;
    let reads = async |token: &str| {
        let mut statuses = Vec::new();
        for name in ["for-ann", "for-ops"] {
            let uri = format!("/api/v1/records/shared/{name}");
            statuses.push(call_as(&api, token, "GET", &uri, None).await.status.as_u16());
        }
        statuses
    };
    let fresh = log_in(&api, "ann").await;
    assert_eq!(reads(&fresh).await, [200, 200]);
    api.database
        .execute(
            "DELETE FROM sessions WHERE user_id = (SELECT id FROM users WHERE name = 'ann'); DELETE FROM users WHERE name = 'ann';
             DELETE FROM groups; INSERT INTO retired_names (kind, name) VALUES ('user', 'ann'), ('group', 'ops')",
        )
        .await;
    assert_eq!(reads(&first).await, [401, 401]);
    join(&api, "ann", "user").await;
    api.database.execute(join_ops).await;
    let heir = log_in(&api, "ann").await;
    assert_eq!(
        reads(&heir).await,
        [403, 403],
        "the names were retired after the policies were written"
    );
    let body = rule(&ann(), "allow", "shared/for-ann", &["read"]);
    assert_eq!(
        api.call("PUT", "/api/v1/policies/for-ann", Some(body)).await.status,
        200
    );
    assert_eq!(
        reads(&heir).await,
        [200, 403],
        "written again, it means who bears the name now"
    );
}

#[tokio::test]
async fn r16_a_deny_hides_a_record_from_every_operation_and_from_lists() {
    let api = TestApi::new().await;
    for name in ["a", "b"] {
        let uri = format!("/api/v1/records/shared/x/{name}");
        assert_eq!(
            api.call("PUT", &uri, Some(json!({"data": {"k": "v"}}))).await.status,
            201
        );
    }
    let all = [
        "list", "read", "create", "update", "delete", "undelete", "destroy", "sync", "generate",
    ];
    let deny = rule(&json!({"kind": "Role", "name": "admin"}), "deny", "**/a", &all);
    assert_eq!(api.call("PUT", "/api/v1/policies/hide", Some(deny)).await.status, 201);
    for (method, uri, body) in [
        ("GET", "records/shared/x/a", None),
        ("HEAD", "records/shared/x/a", None),
        ("PUT", "records/shared/x/a", Some(json!({"data": {"k": "w"}}))),
        ("DELETE", "records/shared/x/a", None),
        ("GET", "versions/shared/x/a", None),
        ("GET", "consumers/shared/x/a", None),
        ("POST", "undelete/shared/x/a", Some(json!({"versions": [1]}))),
        ("POST", "destroy/shared/x/a", Some(json!({"versions": [1]}))),
    ] {
        let answer = api.call(method, &format!("/api/v1/{uri}"), body).await;
        assert_eq!(answer.status, 403, "{method} {uri}");
    }
    for (uri, seen) in [
        ("list/shared/x", vec!["shared/x/b"]),
        ("list?recursive=true", vec!["shared/x/b"]),
        ("list/shared", vec!["shared/x/"]),
    ] {
        let page = api.call("GET", &format!("/api/v1/{uri}"), None).await.json();
        let paths: Vec<_> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["path"].clone())
            .collect();
        assert_eq!(paths, seen, "{uri}");
    }
    let rest = rule(&json!({"kind": "Everyone"}), "deny", "shared/x/b", &["list"]);
    assert_eq!(api.call("PUT", "/api/v1/policies/rest", Some(rest)).await.status, 201);
    for uri in ["list/shared", "list", "list/shared/x"] {
        let page = api.call("GET", &format!("/api/v1/{uri}"), None).await.json();
        assert_eq!(page["items"], json!([]), "no folder of what may not be seen: {uri}");
    }
}

#[tokio::test]
async fn a_decision_is_explained() {
    let api = TestApi::new().await;
    let ann_token = join(&api, "ann", "user").await;
    let allow = json!({"subjects": [ann()], "rules": [
        {"effect": "allow", "paths": ["other/**"], "capabilities": ["list"]},
        {"effect": "allow", "paths": ["shared/**"], "capabilities": ["read"], "conditions": {"networks": ["10.0.0.0/8"]}}]});
    let deny = rule(&json!({"kind": "Everyone"}), "deny", "shared/pki/*", &["read"]);
    assert_eq!(api.call("PUT", "/api/v1/policies/a", Some(allow)).await.status, 201);
    assert_eq!(api.call("PUT", "/api/v1/policies/b", Some(deny)).await.status, 201);
    let ask = |who: Value, path: &str, client: Option<&str>| {
        let circumstances = client.map(|client| json!({"at": "2026-11-24T12:00:00Z", "client": client}));
        json!({"who": who, "capability": "read", "path": path, "circumstances": circumstances})
    };
    let told = async |token: &str, body: Value| {
        let answer = call_as(&api, token, "POST", "/api/v1/policies/explain", Some(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        (
            json["decision"].as_str().unwrap().to_owned(),
            json["because"].as_str().unwrap().to_owned(),
            json["policy"].as_str().unwrap_or_default().to_owned(),
            json["matches"].clone(),
        )
    };
    let part = |(decision, because, policy, _): (String, String, String, Value)| (decision, because, policy);
    let line =
        |decision: &str, because: &str, policy: &str| (decision.to_owned(), because.to_owned(), policy.to_owned());
    let user = |name: &str| json!({"user": name});
    let inside = part(told(&api.token, ask(user("ANN "), "shared/x", Some("10.0.0.1"))).await);
    assert_eq!(inside, line("allow", "Rule", "a"));
    let outside = told(&api.token, ask(user("ann"), "shared/x", Some("192.0.2.1"))).await;
    assert_eq!(
        outside.3,
        json!([{"policy": "a", "rule": 1, "effect": "allow", "notCounted": "Circumstances"}])
    );
    assert_eq!(part(outside), line("deny", "NoRule", ""));
    let both = told(&api.token, ask(user("ann"), "shared/pki/ca", Some("10.0.0.1"))).await;
    assert_eq!(
        both.3,
        json!([{"policy": "a", "rule": 1, "effect": "allow"}, {"policy": "b", "rule": 0, "effect": "deny"}])
    );
    assert_eq!(part(both), line("deny", "Rule", "b"));
    assert_eq!(
        part(told(&api.token, ask(user("admin"), "other/x", None)).await),
        line("allow", "BuiltIn", "")
    );
    let shop = json!({"namespace": {"cluster": "k8s", "name": "shop"}});
    assert_eq!(
        part(told(&api.token, ask(shop, "k8s/shop/db", None)).await),
        line("allow", "BuiltIn", "")
    );
    let web = json!({"serviceAccount": {"cluster": "k8s", "namespace": "shop", "name": "web"}});
    assert_eq!(
        part(told(&api.token, ask(web, "k8s/shop/db", None)).await),
        line("deny", "NoRule", "")
    );
    assert_eq!(
        part(told(&ann_token, ask(Value::Null, "shared/pki/ca", None)).await),
        line("deny", "Rule", "b"),
        "anybody may ask about themselves"
    );
    let nobody = call_as(
        &api,
        &api.token,
        "POST",
        "/api/v1/policies/explain",
        Some(ask(user("nobody"), "a/b", None)),
    )
    .await;
    assert_eq!(nobody.problem(), (400, "InvalidRequest".into()));
    let bad = call_as(
        &api,
        &api.token,
        "POST",
        "/api/v1/policies/explain",
        Some(ask(Value::Null, "a/../b", None)),
    )
    .await;
    assert_eq!(bad.problem(), (400, "InvalidPath".into()));
}

#[tokio::test]
async fn a_preview_tells_what_opens_and_closes_and_changes_nothing() {
    let api = TestApi::new().await;
    let ann_token = join(&api, "ann", "user").await;
    join(&api, "bob", "user").await;
    for path in ["shared/a", "shared/b", "other/c"] {
        api.call(
            "PUT",
            &format!("/api/v1/records/{path}"),
            Some(json!({"data": {"k": "v"}})),
        )
        .await;
    }
    let old = rule(&ann(), "allow", "shared/*", &["read"]);
    assert_eq!(api.call("PUT", "/api/v1/policies/p", Some(old)).await.status, 201);
    let preview = async |body: Value| {
        let answer = api.call("POST", "/api/v1/policies/preview", Some(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let new = rule(
        &json!({"kind": "User", "name": "bob"}),
        "allow",
        "shared/a",
        &["read", "list"],
    );
    let told = preview(json!({"name": " P", "policy": new})).await;
    let change = |name: &str, path: &str, opens: &[&str], closes: &[&str]| json!({"actor": {"kind": "user", "name": name}, "path": path, "opens": opens, "closes": closes});
    assert_eq!(
        told["changes"],
        json!([
            change("ann", "shared/a", &[], &["read"]),
            change("bob", "shared/a", &["list", "read"], &[]),
            change("ann", "shared/b", &[], &["read"]),
        ])
    );
    assert_eq!(
        (&told["records"], &told["actors"], &told["cutOff"]),
        (&json!(2), &json!(3), &json!(false))
    );
    assert_eq!(told["conflicts"], json!([]));
    let deny = rule(&ann(), "deny", "shared/b", &["read"]);
    assert_eq!(api.call("PUT", "/api/v1/policies/q", Some(deny)).await.status, 201);
    let open = rule(&json!({"kind": "Everyone"}), "allow", "shared/*", &["read"]);
    let told = preview(json!({"name": "new", "policy": open})).await;
    let conflict = json!({"policy": "q", "rights": 1, "actor": {"kind": "user", "name": "ann"}, "path": "shared/b", "capability": "read"});
    assert_eq!(told["conflicts"], json!([conflict]));
    assert_eq!(api.call("DELETE", "/api/v1/policies/q", None).await.status, 204);
    let gone = preview(json!({"name": "p"})).await;
    assert_eq!(gone["changes"].as_array().unwrap().len(), 2);
    let unknown = api
        .call("POST", "/api/v1/policies/preview", Some(json!({"name": "q"})))
        .await;
    assert_eq!(unknown.problem(), (404, "PolicyNotFound".into()));
    let read = call_as(&api, &ann_token, "GET", "/api/v1/records/shared/b", None).await;
    assert_eq!(read.status, 200, "nothing took effect");
}

#[tokio::test]
async fn everybody_sees_their_own_capabilities() {
    let api = TestApi::new().await;
    let ann_token = join(&api, "ann", "user").await;
    let body = json!({"subjects": [ann()], "rules": [
        {"effect": "allow", "paths": ["shared/*"], "capabilities": ["list"]},
        {"effect": "allow", "paths": ["shared/*"], "capabilities": ["read"], "conditions": {"secondFactorWithin": "15m"}}]});
    assert_eq!(api.call("PUT", "/api/v1/policies/p", Some(body)).await.status, 201);
    let answer = call_as(
        &api,
        &ann_token,
        "GET",
        "/api/v1/me/capabilities?path=shared/smtp",
        None,
    )
    .await;
    assert_eq!(
        answer.json(),
        json!({"path": "shared/smtp", "capabilities": ["list"], "afterStepUp": ["read"]})
    );
    let read = call_as(&api, &ann_token, "GET", "/api/v1/records/shared/smtp", None).await;
    assert_eq!(read.problem(), (403, "StepUpRequired".into()));
    assert!(read.detail().contains("POST /api/v1/auth/step-up"));
    for bad in [
        "",
        "?path=",
        "?path=shared",
        "?path=a/../b",
        "?path=a%2F%2Fb",
        "?path=a/b%00",
    ] {
        let answer = call_as(&api, &ann_token, "GET", &format!("/api/v1/me/capabilities{bad}"), None).await;
        assert_eq!(answer.status, 400, "{bad}");
    }
}
