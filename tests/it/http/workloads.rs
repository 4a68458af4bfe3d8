//! Logging in as a workload, as far as no cluster is needed for it.

use aether_vault::service::door::ClusterIssuer;
use aether_vault::service::error::Reason;
use serde_json::json;

use super::client::TestApi;

const LOGIN: &str = "/api/v1/auth/kubernetes";

#[tokio::test]
async fn what_is_no_service_account_token_is_refused_and_not_repeated() {
    let api = TestApi::new().await;
    api.database
        .execute(
            "INSERT INTO clusters (id, prefix, kube_system_uid, platform) VALUES (gen_random_uuid(), 'k8s', 'u', true)",
        )
        .await;
    for token in ["", "hunter2", "a.b.c", "avk_hunter2", &"x".repeat(20_000), &api.token] {
        let answer = api.call("POST", LOGIN, Some(json!({ "token": token }))).await;
        assert_eq!(answer.problem(), (401, "TokenInvalid".into()));
        assert!(token.is_empty() || !answer.text.contains(token));
    }
    let refused = api
        .database
        .count("SELECT count(*) FROM audit_entries WHERE action = 'auth.login_workload' AND decision = 'deny' AND actor_kind = 'anonymous'")
        .await;
    assert_eq!(refused, 6);
    for body in [json!({}), json!({"token": 7}), json!({"token": "a", "jwt": "b"})] {
        let answer = api.call("POST", LOGIN, Some(body)).await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".into()));
    }
    let answer = api
        .call("POST", LOGIN, Some(json!({"token": "x".repeat(30_000)})))
        .await;
    assert_eq!(answer.problem(), (413, "TooLarge".into()));
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM sessions WHERE method = 'workload'")
            .await,
        0
    );
}

#[tokio::test]
async fn only_keys_that_can_be_used_are_kept_and_only_of_registered_clusters() {
    let api = TestApi::new().await;
    let issuer = |jwks| ClusterIssuer {
        issuer: "https://kubernetes.default.svc".to_owned(),
        jwks,
    };
    let curve = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": "AA", "y": "AA"});
    let vault = &api.vault.vault;
    for (jwks, reason) in [
        (json!({"keys": []}), Reason::InvalidRequest),
        (
            json!({"keys": [{"kty": "oct", "kid": "k", "k": "AA"}]}),
            Reason::InvalidRequest,
        ),
        (json!({"keys": [curve]}), Reason::PathNotFound),
    ] {
        let refused = vault.publish_issuer("k8s", &issuer(jwks)).await.unwrap_err();
        assert_eq!(refused.reason(), reason);
    }
}
