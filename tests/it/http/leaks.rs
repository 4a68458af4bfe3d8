//! R24 at the REST door, on the real process at its most talkative: what is secret is in no answer that did not ask for it, no log line,
//! no metric, no row; identifiers are in the audit log and their own columns alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

use crate::support::database::TestDatabase;
use crate::support::process::Installation;

/// A value, a password, a token: whatever it is, it holds this.
const SECRET: &str = "cAnArY/7f3e9d+secret";
/// The same in a query.
const SECRET_IN_URL: &str = "cAnArY%2F7f3e9d%2Bsecret";
/// A path, a user agent.
const IDENTIFIER: &str = "cAnArY-1d3n71f13r";

/// Every form that a text may leak in.
fn forms(text: &str) -> [String; 4] {
    [
        text.to_owned(),
        STANDARD.encode(text),
        hex::encode(text),
        text.replace('/', "%2F").replace('+', "%2B"),
    ]
}

pub fn assert_without(place: &str, text: &str, canary: &str) {
    for form in forms(canary) {
        let line = text.lines().find(|line| line.contains(&form));
        assert!(line.is_none(), "{canary} is in {place}: {}", line.unwrap_or_default());
    }
}

#[tokio::test]
async fn r24_canaries_stay_out_of_answers_log_metrics_and_rows() {
    let database = TestDatabase::new().await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    installation.set("log.filter", "trace");
    let api = installation.api().await;
    let admin = installation.administrator().await;
    let path = format!("/api/v1/records/shared/{IDENTIFIER}");

    let mut answers = Vec::new();
    // Malformed in each way, with the secret where the parser stumbles.
    for body in [
        format!(r#"{{"data": {{"k": "{SECRET}"}}, "{SECRET}": 1}}"#),
        format!(r#"{{"data": "{SECRET}"}}"#),
        format!(r#"{{"data": {{"k": "{SECRET}""#),
        format!(r#"{{"data": {{"k{SECRET}": "v"}}}}"#),
        format!(r#"{{"data": {{"k": "v"}}, "binary": {{"k": "{SECRET}?"}}}}"#),
        SECRET.to_owned(),
    ] {
        let headers = ["Content-Type: application/json"];
        answers.push(admin.raw(&format!("PUT {path}"), &headers, body.as_bytes()).await);
    }
    for (line, kind, body) in [
        (
            format!("PATCH {path}"),
            "merge-patch+json",
            format!(r#"{{"data": {{"k": "{SECRET}"}}, "{SECRET}": 1}}"#),
        ),
        (
            format!("PATCH {path}"),
            "merge-patch+json",
            format!(r#"{{"data": {{"k": "{SECRET}"}}}}"#),
        ),
        (
            format!("PATCH {}", path.replace("records", "metadata")),
            "merge-patch+json",
            format!(r#"{{"maxVersions": "{SECRET}"}}"#),
        ),
        (
            format!("POST {}", path.replace("records", "copy")),
            "json",
            format!(r#"{{"to": "{SECRET}?"}}"#),
        ),
        (
            "POST /api/v1/batch/read".to_owned(),
            "json",
            format!(r#"{{"records": [{{"path": "{SECRET}?"}}]}}"#),
        ),
        (
            "POST /api/v1/unwrap".to_owned(),
            "json",
            format!(r#"{{"token": "{SECRET}"}}"#),
        ),
        (
            "POST /api/v1/unwrap/lookup".to_owned(),
            "json",
            format!(r#"{{"token": "avw_{SECRET}"}}"#),
        ),
    ] {
        let header = format!("Content-Type: application/{kind}");
        answers.push(admin.raw(&line, &[&header], body.as_bytes()).await);
    }
    // Well-formed, and refused for another reason.
    let conflict = json!({"data": {"k": SECRET}, "cas": 7});
    answers.push(admin.request(Method::PUT, &path, Some(&conflict)).await.unwrap());
    answers.push(admin.raw(&format!("GET {path}?token={SECRET_IN_URL}"), &[], b"").await);
    answers.push(
        admin
            .raw(&format!("GET /api/v1/list?after={SECRET_IN_URL}"), &[], b"")
            .await,
    );
    answers.push(
        admin
            .raw(&format!("GET /api/v1/records/shared/{SECRET_IN_URL}"), &[], b"")
            .await,
    );
    // Credentials that are none.
    let nobody = installation.client();
    let credentials = json!({"username": SECRET, "password": SECRET, "newPassword": SECRET});
    answers.push(
        nobody
            .request(Method::POST, "/api/v1/auth/login", Some(&credentials))
            .await
            .unwrap(),
    );
    answers.push(
        nobody
            .with_token(SECRET)
            .request(Method::GET, "/api/v1/me", None)
            .await
            .unwrap(),
    );
    let headers = [
        format!("Cookie: session={SECRET}"),
        format!("X-Vault-Token: {SECRET}"),
        format!("Authorization: Basic {SECRET}"),
    ];
    answers.push(
        nobody
            .raw("GET /api/v1/me", &headers.each_ref().map(String::as_str), b"")
            .await,
    );
    assert!(
        answers.iter().all(|answer| (400..500).contains(&answer.status)),
        "{answers:?}"
    );

    // And one that succeeds.
    answers.push(
        admin
            .request(Method::PUT, &path, Some(&json!({"data": {"k": SECRET}})))
            .await
            .unwrap()
            .ok(),
    );
    let agent = format!("User-Agent: {IDENTIFIER}");
    assert!(
        admin
            .raw(&format!("GET {path}"), &[&agent], b"")
            .await
            .text
            .contains(SECRET),
        "asked for, it is there"
    );

    // Behind a token, used and unused.
    let wrap = path.replace("records", "wrap");
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let answer = admin.request(Method::POST, &wrap, Some(&json!({}))).await.unwrap().ok();
        tokens.push(answer.body["token"].as_str().unwrap().to_owned());
    }
    let used = admin
        .request(Method::POST, "/api/v1/unwrap", Some(&json!({"token": tokens[0]})))
        .await
        .unwrap()
        .ok();
    assert!(used.text.contains(SECRET), "asked for, it is there");
    let described =
        json!({"description": IDENTIFIER, "owner": IDENTIFIER, "tags": [IDENTIFIER], "custom": {"k": IDENTIFIER}});
    let metadata = path.replace("records", "metadata");
    answers.push(
        admin
            .request(Method::PUT, &metadata, Some(&described))
            .await
            .unwrap()
            .ok(),
    );

    for answer in &answers {
        assert_without("an answer", &answer.text, SECRET);
    }
    let log = api.log();
    assert!(
        log.contains("DEBUG") && log.contains("request refused"),
        "the log is at its most talkative"
    );
    let metrics = installation.metrics(&api).await;
    for (place, text) in [("the log", &log), ("the metrics", &metrics)] {
        assert_without(place, text, SECRET);
        assert_without(place, text, IDENTIFIER);
        assert_without(place, text, admin.token());
        tokens.iter().for_each(|token| assert_without(place, text, token));
    }
    let rows = "SELECT query_to_xml('SELECT * FROM ' || quote_ident(relname), true, false, '')::text FROM pg_class \
                WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY relname";
    let tables: Vec<String> = sqlx::query_scalar(rows).fetch_all(&database.superuser).await.unwrap();
    assert!(
        tables.len() > 10 && tables.concat().contains(IDENTIFIER),
        "the tables were read"
    );
    for table in &tables {
        assert_without("the database", table, SECRET);
        assert_without("the database", table, admin.token());
        tokens
            .iter()
            .for_each(|token| assert_without("the database", table, token));
    }
}
