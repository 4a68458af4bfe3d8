//! The API's description of itself, and the page that shows it.

use axum::body::Body;
use axum::http::Request;

use super::client::TestApi;

#[tokio::test]
async fn the_description_and_its_page_are_served_to_everybody() {
    let api = TestApi::new().await;
    let get = |uri: &str| api.send(Request::get(uri).body(Body::empty()).unwrap());

    let description = get("/openapi.json").await;
    assert_eq!(description.header("content-type"), "application/json");
    assert_eq!(description.text, aether_vault::http::openapi_json());

    let page = get("/docs/index.html").await;
    assert_eq!(page.header("content-type"), "text/html");
    assert!(
        page.header("content-security-policy").contains("script-src 'self'"),
        "{:?}",
        page.headers
    );
    assert_eq!(get("/docs").await.header("location"), "/docs/index.html");
    // What is not a file of the page is nothing, and answers like everything else.
    for stray in ["/docs/nothing.js", "/docs/..%2fCargo.toml", "/docs/%2e%2e/Cargo.toml"] {
        let answer = get(stray).await;
        assert_eq!(answer.problem(), (404, "RouteNotFound".to_owned()), "{stray}");
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; frame-ancestors 'none'"
        );
    }
}
