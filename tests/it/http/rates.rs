//! How often a client may ask: decided before a body is read, told in headers.

use aether_vault::http::{Rate, Rates};
use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::client::{Answer, TestApi, router_with};

/// Earned back so slowly that no test waits for it.
fn at_most(burst: u32) -> Rate {
    Rate { per_second: 1, burst }
}

async fn api_with(rates: Rates) -> TestApi {
    let mut api = TestApi::new().await;
    api.router = router_with(&api.vault, rates);
    api
}

fn headers(answer: &Answer) -> [&str; 3] {
    ["ratelimit-limit", "ratelimit-remaining", "retry-after"].map(|name| answer.header(name))
}

#[tokio::test]
async fn r27_logins_of_an_address_are_bounded_before_their_body_is_read() {
    let api = api_with(Rates {
        login: at_most(2),
        ..Rates::default()
    })
    .await;
    // Not JSON: whoever reads the body answers 400.
    let login = || {
        Request::builder()
            .method("POST")
            .uri("/api/v1/auth/login")
            .header("content-type", "application/json")
            .body(Body::from("{"))
            .unwrap()
    };
    for remaining in ["1", "0"] {
        let answer = api.send(login()).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(headers(&answer), ["2", remaining, ""]);
    }
    let refused = api.send(login()).await;
    assert_eq!(refused.problem(), (429, "RateLimited".to_owned()));
    assert_eq!(headers(&refused), ["2", "0", "1"]);
    assert_eq!(
        refused.detail(),
        "too many logins from this address; try again in 1 s, and slower"
    );
    // Who has a token goes on.
    assert_eq!(api.call("GET", "/api/v1/me", None).await.status, 200);
}

#[tokio::test]
async fn r27_requests_of_an_address_a_token_and_an_account_are_bounded() {
    let unbounded = Rates::default();
    let bounds = [
        (
            "requests from this address",
            Rates {
                address: at_most(1),
                ..unbounded
            },
        ),
        (
            "requests with this token",
            Rates {
                token: at_most(1),
                ..unbounded
            },
        ),
        (
            "requests of this account",
            Rates {
                account: at_most(1),
                ..unbounded
            },
        ),
    ];
    for (what, rates) in bounds {
        let api = api_with(rates).await;
        assert_eq!(api.call("GET", "/api/v1/me", None).await.status, 200, "{what}");
        let body = json!({"data": {"key": "value"}});
        let refused = api.call("PUT", "/api/v1/records/shared/x", Some(body)).await;
        assert_eq!(refused.problem(), (429, "RateLimited".to_owned()), "{what}");
        assert!(refused.detail().contains(what), "{}", refused.detail());
        assert_eq!(api.database.count("SELECT count(*) FROM secrets").await, 0, "{what}");
    }
}
