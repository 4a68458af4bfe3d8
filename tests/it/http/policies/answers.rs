//! Why a policy decides as it does, and what it would do.

use serde_json::{Value, json};

use super::{ann, call_as, join, rule};
use crate::http::client::TestApi;

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
