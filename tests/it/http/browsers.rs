//! What browsers are told on every answer, and which web pages may call the API.

use aether_vault::http::{Browsers, endpoints, operations_router};
use axum::Router;
use axum::body::Body;
use axum::http::Request;

use super::access::filled;
use super::client::{Answer, TestApi, readiness_of, router_for, send_to};

const CONSOLE: &str = "https://console.example.org";

fn is_protected(answer: &Answer, at: &str) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{at}: {name}");
    }
    assert!(
        answer.header("content-security-policy").contains("default-src 'none'")
            && answer
                .header("content-security-policy")
                .contains("frame-ancestors 'none'"),
        "{at}"
    );
}

async fn ask(router: &Router, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send_to(router, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_answer_is_kept_from_caches_and_browsers() {
    let api = TestApi::new().await;
    for endpoint in endpoints() {
        let (method, uri) = (endpoint.method, filled(endpoint.path));
        let answer = ask(&api.router, method, &uri, &[]).await;
        is_protected(&answer, &format!("{method} {uri}"));
        assert!(!answer.header("x-request-id").is_empty(), "{method} {uri}");
        assert_eq!(
            answer.header("strict-transport-security"),
            "",
            "{method} {uri}: without TLS"
        );
    }
    for uri in ["/nothing", "/api/v1/nothing", "/docs/index.html"] {
        is_protected(&ask(&api.router, "GET", uri, &[]).await, uri);
    }
    is_protected(&ask(&api.router, "TRACE", "/livez", &[]).await, "TRACE");
    let operations = operations_router(api.vault.registry.clone(), readiness_of(&api.vault));
    for uri in ["/metrics", "/livez", "/readyz", "/nothing"] {
        is_protected(&ask(&operations, "GET", uri, &[]).await, uri);
    }
}

#[tokio::test]
async fn a_listener_with_tls_has_browsers_insist_on_it() {
    let api = TestApi::new().await;
    let browsers = Browsers {
        tls: true,
        ..Browsers::default()
    };
    let router = router_for(&api.vault, browsers);
    for uri in ["/livez", "/api/v1/me", "/nothing"] {
        let answer = ask(&router, "GET", uri, &[]).await;
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000", "{uri}");
    }
}

#[tokio::test]
async fn no_page_may_call_the_api_unless_its_origin_is_named() {
    let api = TestApi::new().await;
    let preflight = [
        ("origin", CONSOLE),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    let uri = "/api/v1/records/shared/smtp";
    let denied = ask(&api.router, "OPTIONS", uri, &preflight).await;
    assert_eq!(denied.status, 405, "by default there is no CORS at all");
    assert_eq!(denied.header("access-control-allow-origin"), "");

    let browsers = Browsers {
        origins: vec![CONSOLE.to_owned()],
        tls: false,
    };
    let router = router_for(&api.vault, browsers);
    let allowed = ask(&router, "OPTIONS", uri, &preflight).await;
    assert_eq!(allowed.status, 200);
    is_protected(&allowed, "preflight");
    assert_eq!(allowed.header("access-control-allow-origin"), CONSOLE);
    assert!(allowed.header("access-control-allow-methods").contains("PUT"));
    assert!(allowed.header("access-control-allow-headers").contains("authorization"));
    assert_eq!(
        allowed.header("access-control-allow-credentials"),
        "",
        "never with cookies"
    );
    let answered = ask(&router, "GET", "/api/v1/me", &[("origin", CONSOLE)]).await;
    assert_eq!(answered.header("access-control-allow-origin"), CONSOLE);
    assert!(answered.header("access-control-expose-headers").contains("etag"));
    assert!(answered.header("vary").to_lowercase().contains("origin"));

    for other in [
        "https://console.example.org.evil.example",
        "https://console.example.org:8443",
        "http://console.example.org",
        "https://CONSOLE.example.org",
        "null",
        "*",
    ] {
        let mut asked = preflight;
        asked[0].1 = other;
        for (method, headers) in [("OPTIONS", &asked[..]), ("GET", &[("origin", other)][..])] {
            let answer = ask(&router, method, uri, headers).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{method} {other}");
            assert_eq!(
                answer.header("access-control-allow-credentials"),
                "",
                "{method} {other}"
            );
        }
    }
}
