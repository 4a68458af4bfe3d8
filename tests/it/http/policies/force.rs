//! What a policy does at the next call.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::{ann, call_as, join, log_in, rule};
use crate::http::client::{TestApi, router_of};

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
