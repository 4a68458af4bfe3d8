//! Who may call what: every route, as nobody and with tokens that are worth nothing.

use std::time::Duration;

use aether_vault::http::{Access, endpoints};
use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::client::TestApi;

/// A request that the route would take from somebody it knows.
pub fn filled(route: &str) -> String {
    let id = "01900000-0000-7000-8000-000000000000";
    route
        .replace("{*path}", "shared/smtp")
        .replace("{*prefix}", "shared")
        .replace("{*root}", "shared")
        .replace("{id}", id)
        .replace("{key}", id)
        .replace("{user}", id)
        .replace("{number}", "1")
        .replace("{setting}", "maintenance")
        .replace("{session}", id)
        .replace("{passkey}", id)
        .replace("{*name}", "team-a")
        .replace("{identity}", id)
        .replace("{provider}", "corp")
}

#[tokio::test]
async fn r08_r28_nobody_gets_401_from_every_route_but_login_and_health() {
    let api = TestApi::new().await;
    for endpoint in endpoints() {
        let request = Request::builder()
            .method(endpoint.method)
            .uri(filled(endpoint.path))
            .body(Body::empty())
            .unwrap();
        let answer = api.send(request).await;
        match endpoint.access {
            Access::Session => {
                assert_eq!(
                    answer.problem(),
                    (401, "TokenMissing".into()),
                    "{} {}",
                    endpoint.method,
                    endpoint.path
                );
                assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="aether-vault""#);
            }
            Access::Anyone => assert_ne!(answer.status, 401, "{} {}", endpoint.method, endpoint.path),
        }
    }
}

#[tokio::test]
async fn r08_a_worthless_token_is_refused_by_every_route() {
    let mut api = TestApi::new().await;
    let signed_by_nobody = format!("{}AAAA", &api.token[..api.token.len() - 4]);
    for (token, reason) in [
        ("rubbish".to_owned(), "TokenInvalid"),
        (signed_by_nobody, "TokenInvalid"),
    ] {
        api.token = token;
        for endpoint in endpoints().iter().filter(|endpoint| endpoint.access == Access::Session) {
            let answer = api.call(endpoint.method, &filled(endpoint.path), None).await;
            assert_eq!(
                answer.problem(),
                (401, reason.into()),
                "{} {}",
                endpoint.method,
                endpoint.path
            );
            assert_eq!(
                answer.header("www-authenticate"),
                r#"Bearer realm="aether-vault", error="invalid_token""#
            );
        }
    }
}

#[tokio::test]
async fn an_expired_token_is_refused_and_stores_nothing() {
    let api = TestApi::new().await;
    api.vault.clock.advance(Duration::from_secs(3600));
    let answer = api
        .call("PUT", "/api/v1/records/shared/smtp", Some(json!({"data": {"a": "b"}})))
        .await;
    assert_eq!(answer.problem(), (401, "TokenExpired".into()));
    assert_eq!(api.database.count("SELECT count(*) FROM secrets").await, 0);
}

#[tokio::test]
async fn r07_logout_ends_the_token_at_once() {
    let api = TestApi::new().await;
    assert_eq!(api.call("GET", "/api/v1/me", None).await.json()["name"], "admin");
    assert_eq!(api.call("POST", "/api/v1/auth/logout", None).await.status, 204);
    for (method, uri, body) in [
        ("GET", "/api/v1/me", None),
        ("GET", "/api/v1/list", None),
        ("GET", "/api/v1/records/shared/smtp", None),
        ("PUT", "/api/v1/records/shared/smtp", Some(json!({"data": {"a": "b"}}))),
    ] {
        assert_eq!(
            api.call(method, uri, body).await.problem(),
            (401, "SessionEnded".into()),
            "{method} {uri}"
        );
    }
    assert_eq!(api.database.count("SELECT count(*) FROM secrets").await, 0);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let api = TestApi::new().await;
    assert_eq!(
        api.call("GET", "/api/v1/nothing", None).await.problem(),
        (404, "RouteNotFound".into())
    );
    assert_eq!(
        api.call("GET", "/", None).await.problem(),
        (404, "RouteNotFound".into())
    );
    // An encoded route is another route.
    assert_eq!(
        api.call("GET", "/api/v1/%72ecords/shared/smtp", None).await.problem(),
        (404, "RouteNotFound".into())
    );
    let answer = api.call("POST", "/api/v1/records/shared/smtp", None).await;
    assert_eq!(answer.problem(), (405, "MethodNotAllowed".into()));
    assert_eq!(answer.header("allow"), "GET,HEAD,PUT,PATCH,DELETE");
}
