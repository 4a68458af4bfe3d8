//! Providers that are down, replaced or up to something.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use serde_json::json;

use super::{DONE, Stage, at_vault, cookie_of, parameters};
use crate::support::provider::{Browser, CLIENT_SECRET};

#[tokio::test]
async fn a_provider_that_is_down_is_said_to_be_and_keeps_nobody_else_out() {
    let Some(mut stage) = Stage::set(|_| {}).await else {
        return;
    };
    stage.account("a-1", json!({"preferred_username": "ann"})).await;
    stage.user(json!({"name": "bob"})).await;
    stage.token("a-1").await;
    let flow = stage.flow("a-1", |_| {}).await;
    stage.provider.stop();
    // Its metadata are known, so browsers are still sent to it; what they bring back cannot be exchanged.
    let answer = stage.visit(&flow.back, Some(&flow.cookie)).await;
    assert_eq!(answer.header("location"), format!("{DONE}?error=ProviderUnavailable"));
    // Of this one nothing is known yet.
    let started = stage.start("other", DONE, None).await;
    assert_eq!(started.problem(), (503, "ProviderUnavailable".to_owned()));
    assert_eq!(started.header("retry-after"), "1");
    assert!(
        !started.text.contains("127.0.0.1"),
        "where it is stays in the log: {}",
        started.text
    );
    stage.password("bob").await;

    // Back with another key: the token is of a key that nobody has seen yet, and it is looked up.
    stage.provider.start_again("two");
    stage.account("a-1", json!({"preferred_username": "ann"})).await;
    assert_eq!(stage.me(&stage.token("a-1").await).await, "ann");
}

/// What a server was sent.
type Seen = Arc<Mutex<Vec<String>>>;

/// A server that answers every request with the same, and notes what it was sent.
async fn server(
    answer: impl Fn(&str, &str) -> axum::response::Response + Clone + Send + Sync + 'static,
) -> (String, Seen) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (seen, own) = (Seen::default(), address.clone());
    let router = Router::new()
        .fallback(move |State(seen): State<Seen>, request: Request| {
            let (answer, own) = (answer.clone(), own.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let text = format!("{} {:?} {}", parts.uri, parts.headers, String::from_utf8_lossy(&body));
                seen.lock().unwrap().push(text);
                answer(&own, parts.uri.path())
            }
        })
        .with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, seen)
}

#[tokio::test]
async fn r13_our_secret_at_a_provider_goes_to_its_token_endpoint_and_nowhere_else() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    let (elsewhere, got) = server(|_, _| StatusCode::OK.into_response()).await;
    // Whoever holds the token endpoint would like to have the secret carried on.
    let (issuer, asked) = server(move |own, path| match path {
        "/.well-known/openid-configuration" => axum::Json(json!({
            "issuer": own, "authorization_endpoint": format!("{own}/auth"), "token_endpoint": format!("{own}/token"),
            "jwks_uri": format!("{own}/jwks"),
        }))
        .into_response(),
        _ => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, elsewhere.clone())]).into_response(),
    })
    .await;
    let mut corp = stage.provider.settings("corp", "vault");
    corp.issuer = issuer;
    let stage = Stage::with(stage.provider, &[corp]).await;
    let started = stage.start("corp", DONE, None).await;
    let state = parameters(started.header("location")).remove("state").unwrap();
    let back = format!("/api/v1/auth/sso/corp/callback?state={state}&code=a-code");
    let answer = stage.visit(&back, Some(&cookie_of(&started))).await;
    assert_eq!(answer.header("location"), format!("{DONE}?error=ProviderUnavailable"));
    assert_eq!(got.lock().unwrap().len(), 0, "the redirect was not followed");
    let asked = asked.lock().unwrap().join("\n");
    let basic = base64_of(&format!("vault:{CLIENT_SECRET}"));
    assert_eq!(asked.matches(&basic).count(), 1, "once, at the token endpoint: {asked}");
    assert!(!asked.contains(CLIENT_SECRET), "not in an address or a body");
    for text in [&answer.text, &started.text, &format!("{:?}", started.headers)] {
        assert!(!text.contains(CLIENT_SECRET));
    }
}

#[tokio::test]
async fn metadata_of_somebody_else_are_not_used() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    for (change, what) in [
        (json!({"issuer": "https://evil.test"}), "another issuer"),
        (
            json!({"token_endpoint": "http://192.0.2.1/token"}),
            "in clear to another machine",
        ),
        (json!({"authorization_endpoint": "javascript:alert(1)"}), "no address"),
        (json!({"jwks_uri": 7}), "no text"),
    ] {
        let (issuer, _) = server(move |own, _| {
            let mut metadata = json!({"issuer": own, "authorization_endpoint": format!("{own}/auth"),
                "token_endpoint": format!("{own}/token"), "jwks_uri": format!("{own}/jwks")});
            for (name, value) in change.as_object().unwrap() {
                metadata[name] = value.clone();
            }
            axum::Json(metadata).into_response()
        })
        .await;
        let mut corp = stage.provider.settings("corp", "vault");
        corp.issuer = issuer;
        let providers = crate::support::provider::sso(&[corp]);
        let vault = stage
            .vault
            .replica_with(&stage.database, |config| config.sso = providers)
            .await;
        let started = vault
            .vault
            .auth()
            .start_sso(aether_vault::service::auth::SsoStart {
                provider: "corp".to_owned(),
                redirect: DONE.to_owned(),
                challenge: aether_vault::crypto::pkce::challenge(super::VERIFIER),
                browser: None,
            })
            .await;
        let reason = started.err().map(|error| error.reason().as_str());
        assert_eq!(reason, Some("ProviderUnavailable"), "{what}");
    }
}

#[tokio::test]
async fn a_code_of_another_client_is_not_ours() {
    let Some(stage) = Stage::set(|_| {}).await else { return };
    stage.account("a-1", json!({"preferred_username": "ann"})).await;
    // The provider gives the code to the other client, which an attacker may hold; the browser brings it to us (RFC 9700, section 4.5).
    let theirs = stage.start("other", DONE, None).await;
    let theirs = at_vault(&Browser::new().log_in(theirs.header("location"), "a-1").await);
    let code = parameters(&format!("https://vault.test{theirs}"))
        .remove("code")
        .unwrap();
    let ours = stage.start("corp", DONE, None).await;
    let state = parameters(ours.header("location")).remove("state").unwrap();
    let issuer: String = url::form_urlencoded::byte_serialize(stage.provider.issuer.as_bytes()).collect();
    let back = format!("/api/v1/auth/sso/corp/callback?state={state}&code={code}&iss={issuer}");
    let answer = stage.visit(&back, Some(&cookie_of(&ours))).await;
    assert_eq!(answer.header("location"), format!("{DONE}?error=ProviderRefused"));
    // RFC 9207: an answer that does not say whose it is, or says that it is another's, is refused.
    for issuer in ["", "&iss=https%3A%2F%2Fevil.test"] {
        let flow = stage.flow("a-1", |_| {}).await;
        let (head, _) = flow.back.split_once("&iss=").expect("the provider says who it is");
        let answer = stage.visit(&format!("{head}{issuer}"), Some(&flow.cookie)).await;
        assert_eq!(
            answer.header("location"),
            format!("{DONE}?error=ProviderRefused"),
            "{issuer:?}"
        );
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
