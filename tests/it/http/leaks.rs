//! R24 at the REST door: what is secret is in no answer that was not asked for it, in no log line, in no metric.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use prometheus::TextEncoder;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::client::TestApi;

/// A value, a password, a token: whatever it is, it begins like this.
const CANARY: &str = "cAnArY-7f3e9d";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn r24_canaries_stay_out_of_answers_logs_and_metrics() {
    let log = Captured::default();
    // Everything of ours and of the libraries, more than a production filter could ask for of ours.
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = TestApi::new().await;

    let malformed = [
        format!(r#"{{"data": {{"k": "{CANARY}"}}, "{CANARY}": 1}}"#),
        format!(r#"{{"data": "{CANARY}"}}"#),
        format!(r#"{{"data": {{"k": "{CANARY}""#),
        format!(r#"{{"data": {{"k/{CANARY}": "v"}}}}"#),
        format!(r#"{{"binary": {{"k": "{CANARY}"}}}}"#),
        CANARY.to_owned(),
    ];
    let mut answers = Vec::new();
    for body in &malformed {
        let mut request = api.request("PUT", "/api/v1/records/shared/x", Some(json!(null)));
        *request.body_mut() = Body::from(body.clone());
        answers.push(api.send(request).await);
    }
    let good = api
        .call("PUT", "/api/v1/records/shared/x", Some(json!({"data": {"k": CANARY}})))
        .await;
    assert_eq!(good.status, 201);
    answers.push(good);
    answers.push(
        api.call(
            "PUT",
            "/api/v1/records/shared/x",
            Some(json!({"data": {"k": CANARY}, "cas": 7})),
        )
        .await,
    );
    answers.push(
        api.call("GET", &format!("/api/v1/records/shared/x?token={CANARY}"), None)
            .await,
    );
    answers.push(api.call("GET", &format!("/api/v1/list?after={CANARY}"), None).await);
    answers.push(api.call("GET", "/api/v1/versions/shared/x", None).await);
    for uri in ["/api/v1/me", "/api/v1/auth/login"] {
        let request = Request::builder()
            .method(if uri.ends_with("login") { "POST" } else { "GET" })
            .uri(uri)
            .header("authorization", format!("Bearer {CANARY}"))
            .header("cookie", format!("session={CANARY}"))
            .header("content-type", "application/json")
            .body(Body::from(
                json!({"username": CANARY, "password": CANARY, "newPassword": CANARY}).to_string(),
            ));
        answers.push(api.send(request.unwrap()).await);
    }
    let read = api.call("GET", "/api/v1/records/shared/x", None).await;
    assert!(read.text.contains(CANARY), "asked for, it is there");

    for answer in &answers {
        assert!(
            !answer.text.contains(CANARY) && !format!("{:?}", answer.headers).contains(CANARY),
            "{answer:?}"
        );
    }
    let metrics = TextEncoder::new()
        .encode_to_string(&api.vault.registry.gather())
        .unwrap();
    assert!(!metrics.contains(CANARY));
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("request"), "the log was captured");
    for (line, secret) in log
        .lines()
        .flat_map(|line| [(line, CANARY), (line, api.token.as_str())])
    {
        assert!(!line.contains(secret), "{line}");
    }
    // Identifiers are for the audit log alone: a path is in none of our lines.
    assert!(
        !log.lines()
            .any(|line| line.contains("aether_vault::http") && line.contains("shared/x"))
    );
}
