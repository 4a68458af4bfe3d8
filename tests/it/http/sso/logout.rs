//! Logging out here and there.

use aether_vault::service::auth::RequestInfo;
use secrecy::SecretString;
use serde_json::json;

use super::{DONE, Stage, VERIFIER, at_vault, cookie_of, parameters};
use crate::support::provider::{Browser, PUBLIC_URL, Provider, client};

#[tokio::test]
async fn logging_out_says_where_to_log_out_at_the_provider_too() {
    let Some(stage) = Stage::set(|corp| corp.logout_redirect = Some("https://ui.test/bye".to_owned())).await else {
        return;
    };
    stage.account("a-1", json!({"preferred_username": "ann"})).await;
    let token = stage.token("a-1").await;
    let out = stage.call("POST", "/api/v1/auth/sso/logout", &token, None).await;
    assert_eq!(out.status, 200, "{}", out.text);
    assert_eq!(stage.me(&token).await, "SessionEnded");
    let url = out.json()["providerUrl"].as_str().unwrap().to_owned();
    let query = parameters(&url);
    assert!(url.starts_with(&stage.provider.issuer), "{url}");
    assert_eq!(query["post_logout_redirect_uri"], "https://ui.test/bye");
    assert!(!query.contains_key("id_token_hint"), "no token in an address");
    // The provider knows the address, and asks.
    Browser::new().log_out(&url).await;

    let out = stage.call("POST", "/api/v1/auth/sso/logout", &stage.admin, None).await;
    assert_eq!(out.json(), json!({}), "a session by password has no provider");
    assert_eq!(stage.me(&stage.admin).await, "SessionEnded");
}

#[tokio::test]
async fn who_logs_out_at_the_provider_is_logged_out_here() {
    // The provider tells us by a request of its own, so it needs an address that it can reach.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let told = format!("http://{}/told", listener.local_addr().unwrap());
    let mut ours = client("vault", PUBLIC_URL, "corp");
    ours["backchannel_logout_uri"] = json!(told);
    ours["backchannel_logout_session_required"] = json!(true);
    let Some(provider) = Provider::start_for(&json!([ours])).await else {
        return;
    };
    let corp = provider.settings("corp", "vault");
    let stage = Stage::with(provider, &[corp]).await;
    stage.account("a-1", json!({"preferred_username": "ann"})).await;

    let started = stage.start("corp", DONE, None).await;
    let mut browser = Browser::new();
    let back = browser.log_in(started.header("location"), "a-1").await;
    let answer = stage.visit(&at_vault(&back), Some(&cookie_of(&started))).await;
    let code = parameters(answer.header("location")).remove("code").unwrap();
    let here = stage.exchange(&code, VERIFIER).await.json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    // Another browser, another session at the provider.
    let elsewhere = stage.token("a-1").await;

    let (send, mut receive) = tokio::sync::mpsc::channel::<axum::body::Bytes>(1);
    let router = axum::Router::new().fallback(move |body: axum::body::Bytes| {
        let send = send.clone();
        async move {
            send.send(body).await.unwrap();
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let end = format!("{}/session/end?client_id=vault", stage.provider.issuer);
    browser.log_out(&end).await;
    let message = receive.recv().await.unwrap();

    let deliver = async |body: Vec<u8>, provider: &str| {
        let request = axum::http::Request::post(format!("/api/v1/auth/sso/{provider}/logout"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(axum::body::Body::from(body))
            .unwrap();
        crate::http::client::send_to(&stage.router, request).await
    };
    let token = String::from_utf8(message.to_vec()).unwrap();
    let token = token.strip_prefix("logout_token=").unwrap().to_owned();
    // Nobody else logs anybody out: a token that was changed, an access token, nothing at all.
    let (head, _) = token.rsplit_once('.').unwrap();
    for worthless in [
        format!("logout_token={head}.AAAA"),
        format!("logout_token={here}"),
        String::new(),
    ] {
        let answer = deliver(worthless.into_bytes(), "corp").await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".to_owned()));
    }
    assert_eq!(
        deliver(message.to_vec(), "nobody").await.problem(),
        (404, "ProviderNotFound".to_owned())
    );
    assert_eq!(stage.me(&here).await, "ann");

    assert_eq!(deliver(message.to_vec(), "corp").await.status, 200);
    assert_eq!(stage.me(&here).await, "SessionEnded");
    assert_eq!(
        stage.me(&elsewhere).await,
        "ann",
        "a session of another browser goes on"
    );
    // The same again ends nothing more; after its time it is not taken at all.
    assert_eq!(deliver(message.to_vec(), "corp").await.status, 200);
    stage.vault.clock.advance(std::time::Duration::from_secs(600));
    let late = stage
        .vault
        .vault
        .auth()
        .provider_logged_out("corp", &SecretString::from(token), &RequestInfo::default())
        .await;
    assert_eq!(late.err().map(|error| error.reason().as_str()), Some("InvalidRequest"));
}
