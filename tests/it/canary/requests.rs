//! Requests with a canary in every place that a client can put one: each field, header, malformed body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::needle::Needle;
use crate::support::client::{Answer, Client};

/// Canaries that were sent, by class, and the answers to requests that failed.
#[derive(Default)]
pub struct Sent {
    /// Nowhere but where they were asked for.
    pub secrets: Vec<Needle>,
    /// In audit entries and columns of their own alone.
    pub identifiers: Vec<Needle>,
    /// Names of users that do not exist: nowhere in the vault, but a database that logs its statements sees them.
    pub names: Vec<Needle>,
    /// What clients were told.
    pub refusals: Vec<Answer>,
}

impl Sent {
    fn secret(&mut self, label: &str) -> String {
        self.secrets.push(Needle::new(label));
        self.secrets.last().unwrap().text().to_owned()
    }

    fn refused(&mut self, status: u16, answer: Answer) {
        let label = &self.secrets.last().unwrap().label;
        assert_eq!(answer.status, status, "{label}: {}", answer.text);
        self.refusals.push(answer);
    }
}

/// Values that are stored, read, deleted, brought back and destroyed.
pub async fn store_values(admin: &Client, sent: &mut Sent) {
    let path = format!("shared/{}", identifier(sent, "path segment"));
    let value = sent.secret("stored text");
    let (inner, bytes) = (sent.secret("value inside JSON"), sent.secret("stored bytes"));
    let key = sent.secret("name of a key");
    let body = json!({
        "data": {"password": value, "settings": {"nested": [inner]}, key: "x"},
        "binary": {"bytes": STANDARD.encode(&bytes)},
    });
    let agent = format!("User-Agent: {}", identifier(sent, "user agent"));
    let headers = ["Content-Type: application/json", &agent];
    let record = format!("/api/v1/records/{path}");
    admin
        .raw(&format!("PUT {record}"), &headers, body.to_string().as_bytes())
        .await
        .ok();
    let read = admin.read(&path).await.ok();
    assert_eq!(read.body["data"]["password"], *value);

    let second = sent.secret("second version");
    admin.write(&path, &json!({"password": second})).await.ok();
    admin.raw(&format!("GET {record}?version=1"), &[], &[]).await.ok();
    admin.raw(&format!("GET /api/v1/versions/{path}"), &[], &[]).await.ok();
    admin.raw("GET /api/v1/list/shared?recursive=true", &[], &[]).await.ok();
    admin.raw(&format!("DELETE {record}?versions=1,2"), &[], &[]).await.ok();
    sent.refusals.push(admin.read(&path).await);
    let json = ["Content-Type: application/json"];
    admin
        .raw(
            &format!("POST /api/v1/undelete/{path}"),
            &json,
            br#"{"versions": [1, 2]}"#,
        )
        .await
        .ok();
    admin
        .raw(&format!("POST /api/v1/destroy/{path}"), &json, br#"{"versions": [1]}"#)
        .await
        .ok();
    sent.refusals
        .push(admin.raw(&format!("GET {record}?version=1"), &[], &[]).await);
}

/// Log-ins that fail, each for a reason of its own.
pub async fn fail_to_log_in(nobody: &Client, password: &str, sent: &mut Sent) {
    let wrong = sent.secret("wrong password");
    let name = Needle::new("name of nobody");
    for (name, status) in [("admin", 401), (name.text(), 401)] {
        let answer = login(nobody, &json!({"username": name, "password": wrong}).to_string()).await;
        sent.refused(status, answer);
    }
    sent.names.push(name);
    let secret = sent.secret("password in a list");
    let answer = login(nobody, &json!({"username": "admin", "password": [secret]}).to_string()).await;
    sent.refused(400, answer);
    let secret = sent.secret("unknown field of a log-in");
    let answer = login(
        nobody,
        &json!({"username": "admin", "password": password, secret.clone(): secret}).to_string(),
    )
    .await;
    sent.refused(400, answer);
    let secret = sent.secret("password in a log-in that ends early");
    let answer = login(nobody, &format!(r#"{{"username": "admin", "password": "{secret}"#)).await;
    sent.refused(400, answer);
    let secret = sent.secret("password in a log-in that is too large");
    let answer = login(
        nobody,
        &json!({"username": "admin", "password": secret.repeat(1000)}).to_string(),
    )
    .await;
    sent.refused(413, answer);
    let secret = sent.secret("password with NUL");
    let answer = login(
        nobody,
        &json!({"username": "admin\0", "password": format!("{secret}\0")}).to_string(),
    )
    .await;
    sent.refused(401, answer);
}

/// Credentials in headers and addresses that are none.
pub async fn fail_to_authenticate(nobody: &Client, token: &str, sent: &mut Sent) {
    let read = "GET /api/v1/records/shared/nothing";
    let secret = sent.secret("bearer token that is none");
    let answer = nobody
        .raw(read, &[&format!("Authorization: Bearer {secret}")], &[])
        .await;
    sent.refused(401, answer);
    let secret = sent.secret("basic credentials");
    let basic = format!("Authorization: Basic {}", STANDARD.encode(format!("admin:{secret}")));
    let answer = nobody.raw(read, &[&basic], &[]).await;
    sent.refused(401, answer);
    let secret = sent.secret("second Authorization header");
    let answer = nobody
        .raw(
            read,
            &[
                &format!("Authorization: Bearer {token}"),
                &format!("Authorization: Bearer {secret}"),
            ],
            &[],
        )
        .await;
    sent.refused(401, answer);
    let secret = sent.secret("claims of a token that nobody signed");
    let part = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let forged = format!(
        "{}.{}.{}",
        part(r#"{"alg":"EdDSA","typ":"JWT"}"#.to_owned()),
        part(format!(r#"{{"sub":"{secret}"}}"#)),
        part(secret)
    );
    let answer = nobody
        .raw(read, &[&format!("Authorization: Bearer {forged}")], &[])
        .await;
    sent.refused(401, answer);
    for header in [
        "Cookie: session=",
        "X-Vault-Token: ",
        "X-Api-Key: ",
        "Proxy-Authorization: Bearer ",
        "X-Request-Id: ",
        "Traceparent: ",
    ] {
        let secret = sent.secret(header);
        let answer = nobody.raw(read, &[&format!("{header}{secret}")], &[]).await;
        sent.refused(401, answer);
    }
    let secret = sent.secret("query");
    let answer = nobody
        .raw(&format!("GET /api/v1/records/shared/nothing?token={secret}"), &[], &[])
        .await;
    sent.refused(401, answer);
    let secret = sent.secret("address of no endpoint");
    let answer = nobody.raw(&format!("GET /api/v1/{secret}"), &[], &[]).await;
    sent.refused(404, answer);
}

/// Requests that an administrator gets wrong.
pub async fn send_malformed(admin: &Client, sent: &mut Sent) {
    let json = "Content-Type: application/json";
    let put = "PUT /api/v1/records/shared/malformed";
    type Body = fn(&str) -> Vec<u8>;
    let bodies: [(&str, u16, Body); 14] = [
        ("body that ends early", 400, |secret| {
            format!(r#"{{"data": {{"key": "{secret}"#).into_bytes()
        }),
        ("body that is no JSON", 400, |secret| {
            format!("password={secret}").into_bytes()
        }),
        ("body with more behind it", 400, |secret| {
            format!(r#"{{"data": {{"key": "x"}}}} {secret}"#).into_bytes()
        }),
        ("body that is no UTF-8", 400, |secret| {
            [b"{\"data\": {\"key\": \"\xff", secret.as_bytes(), b"\"}}"].concat()
        }),
        ("unknown field", 400, |secret| {
            format!(r#"{{"data": {{}}, "{secret}": 1}}"#).into_bytes()
        }),
        ("value in place of an object", 400, |secret| {
            format!(r#"{{"data": "{secret}"}}"#).into_bytes()
        }),
        ("text as cas", 400, |secret| {
            format!(r#"{{"data": {{}}, "cas": "{secret}"}}"#).into_bytes()
        }),
        ("key given twice", 400, |secret| {
            format!(r#"{{"data": {{"k": "{secret}", "k": "{secret}"}}}}"#).into_bytes()
        }),
        ("key outside the alphabet", 400, |secret| {
            format!(r#"{{"data": {{"{secret} ": "x"}}}}"#).into_bytes()
        }),
        ("null beside a value", 400, |secret| {
            format!(r#"{{"data": {{"a": "{secret}", "b": null}}}}"#).into_bytes()
        }),
        ("binary that is no base64", 400, |secret| {
            format!(r#"{{"binary": {{"a": "{secret}!"}}}}"#).into_bytes()
        }),
        ("deep JSON", 400, |secret| {
            let (open, close) = ("[".repeat(40), "]".repeat(40));
            format!(r#"{{"data": {{"a": {open}"{secret}"{close}}}}}"#).into_bytes()
        }),
        ("record that is too large", 413, |secret| {
            json!({"data": {"a": secret.repeat(50_000)}}).to_string().into_bytes()
        }),
        ("body that is too large", 413, |secret| {
            json!({"data": {"a": secret.repeat(200_000)}}).to_string().into_bytes()
        }),
    ];
    for (label, status, body) in bodies {
        let secret = sent.secret(label);
        let answer = admin.raw(put, &[json], &body(&secret)).await;
        sent.refused(status, answer);
    }
    let secret = sent.secret("body of another type");
    let answer = admin.raw(put, &["Content-Type: text/plain"], secret.as_bytes()).await;
    sent.refused(415, answer);
    let secret = sent.secret("failed check-and-set");
    let answer = admin
        .raw(
            put,
            &[json],
            json!({"data": {"a": secret}, "cas": 7}).to_string().as_bytes(),
        )
        .await;
    sent.refused(409, answer);
    let secret = sent.secret("If-Match");
    let answer = admin
        .raw(put, &[json, &format!("If-Match: {secret}")], br#"{"data": {}}"#)
        .await;
    sent.refused(400, answer);
    let secret = sent.secret("version");
    let answer = admin
        .raw(
            &format!("GET /api/v1/records/shared/malformed?version={secret}"),
            &[],
            &[],
        )
        .await;
    sent.refused(400, answer);
    let secret = sent.secret("encoded separator in a path");
    let answer = admin
        .raw(&format!("GET /api/v1/records/shared/{secret}%2f{secret}"), &[], &[])
        .await;
    sent.refused(400, answer);
    let secret = sent.secret("cursor");
    let answer = admin
        .raw(&format!("GET /api/v1/list?after=%00{secret}"), &[], &[])
        .await;
    sent.refused(400, answer);
}

/// What is not even HTTP. Each may end in a closed connection instead of an answer.
pub async fn send_garbage(nobody: &Client, sent: &mut Sent) {
    for (label, line, header, body) in [
        ("method", "{} /api/v1/records/shared/x", "X-A: b", ""),
        ("absolute address", "GET http://{}/api/v1/me", "X-A: b", ""),
        ("fragment", "GET /api/v1/me#{}", "X-A: b", ""),
        ("header that is too long", "GET /api/v1/me", "X-A: {*}", ""),
        ("header without a colon", "GET /api/v1/me", "{}", ""),
        ("header with NUL", "GET /api/v1/me", "X-A: {}\0", ""),
        (
            "length that is none",
            "POST /api/v1/auth/login",
            "Content-Length: {}",
            "x",
        ),
        (
            "broken chunk",
            "POST /api/v1/auth/login",
            "Transfer-Encoding: chunked",
            "{}\r\n",
        ),
        ("request line that is none", "{} {} {}", "X-A: b", ""),
    ] {
        let secret = sent.secret(label);
        let fill = |text: &str| text.replace("{*}", &secret.repeat(3000)).replace("{}", &secret);
        let answer = nobody.raw(&fill(line), &[&fill(header)], fill(body).as_bytes()).await;
        assert!(!(200..300).contains(&answer.status), "{label}: {}", answer.text);
        sent.refusals.push(answer);
    }
}

async fn login(nobody: &Client, body: &str) -> Answer {
    nobody
        .raw(
            "POST /api/v1/auth/login",
            &["Content-Type: application/json"],
            body.as_bytes(),
        )
        .await
}

fn identifier(sent: &mut Sent, label: &str) -> String {
    sent.identifiers.push(Needle::new(label));
    sent.identifiers.last().unwrap().text().to_owned()
}
