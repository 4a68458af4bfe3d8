//! Bad input over a socket, byte by byte, against the real process: the exact answer to each.
//!
//! What each route makes of it is tested in `http::bad_input`.

use serde_json::json;

use super::rows;
use crate::support::client::Client;
use crate::support::database::TestDatabase;
use crate::support::process::{Installation, Process};

const PUT: &str = "PUT /api/v1/records/shared/bad";
const FORM: &str = r#"{"data": {"KEY": "VALUE"}, "binary": {"KEY": "BASE64"}, "cas": 0} with 'data', 'binary' or both, and each key once"#;

/// An API with one record, `shared/good`, at version 1.
struct Api {
    database: TestDatabase,
    _installation: Installation,
    _process: Process,
    admin: Client,
    before: Vec<(&'static str, i64)>,
}

impl Api {
    async fn start() -> Self {
        let database = TestDatabase::new().await;
        let installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
        let process = installation.api().await;
        let admin = installation.administrator().await;
        admin.write("shared/good", &json!({"key": "value"})).await.ok();
        let before = rows(&database).await;
        Self {
            database,
            _installation: installation,
            _process: process,
            admin,
            before,
        }
    }

    async fn refuses(
        &self,
        line: &str,
        headers: &[&str],
        body: impl AsRef<[u8]>,
        status: u16,
        reason: &str,
        detail: &str,
    ) {
        let answer = self.admin.raw(line, headers, body.as_ref()).await;
        let shown = String::from_utf8_lossy(&body.as_ref()[..body.as_ref().len().min(200)]).into_owned();
        let found = (answer.status, answer.reason(), answer.detail());
        assert_eq!(
            found,
            (status, reason, detail),
            "{line} {headers:?} {shown}\n{}",
            answer.text
        );
        assert!(
            answer.text.contains("content-type: application/problem+json"),
            "{}",
            answer.text
        );
        let slug: String = reason
            .chars()
            .flat_map(|c| [c.is_ascii_uppercase().then_some('-'), Some(c.to_ascii_lowercase())])
            .flatten()
            .collect();
        assert_eq!(
            answer.body["type"],
            format!("https://aethervault.io/problems/{}", slug.trim_start_matches('-'))
        );
        assert_eq!(answer.body["status"], status);
        assert_eq!(answer.body["requestId"], *answer.request_id);
        assert_eq!(
            rows(&self.database).await,
            self.before,
            "{line} {shown} stored something"
        );
    }

    async fn refuses_json(&self, body: impl AsRef<[u8]>, status: u16, reason: &str, detail: &str) {
        self.refuses(PUT, &["Content-Type: application/json"], body, status, reason, detail)
            .await;
    }
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let api = Api::start().await;
    let form = |place: &str| format!("the body does not have the form of this endpoint, at {place}; send {FORM}");
    let json = |place: &str| format!("the body is not valid JSON, at {place}; send {FORM}");
    for (body, detail) in [
        // An unknown field.
        (r#"{"data": {}, "dta": {}}"#, form("line 1, column 18")),
        // A key made twice.
        (r#"{"data": {"k": "a", "k": "b"}}"#, form("line 1, column 29")),
        (r#"{"data": {}, "data": {}}"#, form("line 1, column 19")),
        // Malformed JSON.
        (r#"{"data": {"k": "a"}"#, json("line 1, column 19")),
        (r#"{"data": {"k": 'a'}}"#, json("line 1, column 16")),
        (r#"{"data": {}} {}"#, json("line 1, column 14")),
        ("{\"data\": {\"k\": \"\0\"}}", json("line 1, column 17")),
        // Another form.
        ("[]", form("line 1, column 2")),
        (r#"{"data": []}"#, form("line 1, column 9")),
        (r#"{"data": {}, "cas": "1"}"#, form("line 1, column 23")),
        (r#"{"data": {}, "cas": 1.5}"#, form("line 1, column 23")),
        (
            r#"{"data": {}, "cas": 99999999999999999999}"#,
            form("line 1, column 40"),
        ),
        ("{}", format!("the body holds no record; send {FORM}")),
    ] {
        api.refuses_json(body, 400, "InvalidRequest", &detail).await;
    }
    let empty = api
        .admin
        .raw(PUT, &["Content-Type: application/json", "Content-Length: 0"], b"")
        .await;
    assert_eq!(
        (empty.status, empty.detail()),
        (400, format!("the body is empty; send {FORM}").as_str())
    );
    let text = "send JSON with the header 'Content-Type: application/json'";
    api.refuses(
        PUT,
        &["Content-Type: text/plain"],
        "{}",
        415,
        "UnsupportedMediaType",
        text,
    )
    .await;
}

#[tokio::test]
async fn contradictory_and_missing_values_are_refused() {
    let api = Api::start().await;
    let both = "key 'k' is given under both 'data' and 'binary'";
    for (body, detail) in [
        (json!({"data": {"k": "a"}, "binary": {"k": "YQ=="}}), both),
        (
            json!({"data": {"k": null}}),
            "key 'k' is null; leave it out, or give it a value",
        ),
        (
            json!({"binary": {"k": "not base64"}}),
            "key 'k' under 'binary' is not standard base64",
        ),
    ] {
        api.refuses_json(body.to_string(), 400, "InvalidRecord", detail).await;
    }
    let twice = "send 'cas' or a precondition header, not both";
    let headers = ["Content-Type: application/json", "If-None-Match: *"];
    api.refuses(PUT, &headers, r#"{"data": {}, "cas": 0}"#, 400, "InvalidRequest", twice)
        .await;
}

#[tokio::test]
async fn r27_what_is_too_large_is_refused() {
    let api = Api::start().await;
    let record = "a record holds at most 1048576 bytes";
    api.refuses_json(
        json!({"data": {"k": "a".repeat(1 << 20)}}).to_string(),
        413,
        "TooLarge",
        record,
    )
    .await;
    let many: serde_json::Map<_, _> = (0..513).map(|number| (format!("k{number}"), "a".into())).collect();
    api.refuses_json(
        json!({"data": many}).to_string(),
        413,
        "TooLarge",
        "a record holds at most 512 keys",
    )
    .await;
    let body = "the body of this request may have at most 3145728 bytes";
    api.refuses_json(vec![b' '; (3 << 20) + 1], 413, "TooLarge", body).await;
    // Announced, and never sent: refused before anything is read.
    let headers = ["Content-Type: application/json", "Content-Length: 1000000000000"];
    api.refuses(PUT, &headers, "{", 413, "TooLarge", body).await;
    // Not announced.
    let chunk = [b"400000\r\n".as_slice(), &vec![b' '; 4 << 20], b"\r\n0\r\n\r\n"].concat();
    let headers = ["Content-Type: application/json", "Transfer-Encoding: chunked"];
    let answer = api.admin.raw(PUT, &headers, &chunk).await;
    assert_eq!((answer.status, answer.detail()), (413, body), "{}", answer.text);
    assert_eq!(rows(&api.database).await, api.before);
    // The largest record that fits is taken.
    let largest = json!({"k": "a".repeat((1 << 20) - 1)});
    api.admin.write("shared/large", &largest).await.ok();
}

#[tokio::test]
async fn r18_bad_paths_are_refused_on_every_route() {
    let api = Api::start().await;
    let start = "each path segment must start with a letter or a digit, so '.' and '..' are refused";
    let empty = "the path has an empty segment; remove the leading, trailing or doubled '/'";
    let encoding = "the path holds a percent-encoding that is broken or not allowed; only @, + and = may be encoded";
    let alphabet = "a path segment may hold only letters, digits and the characters . _ @ + = ~ -";
    let root = "the path names a root, not a record; a record's path has at least two segments, such as 'shared/smtp'";
    let (deep, wide) = (["s"; 17].join("/"), format!("shared/{}", "s".repeat(129)));
    let long = vec!["s".repeat(64); 8].join("/");
    for (path, detail) in [
        ("shared/../good", start),
        ("shared/./good", start),
        ("../shared/good", start),
        ("shared/.hidden", start),
        ("shared//good", empty),
        ("/shared/good", empty),
        ("shared/good/", empty),
        ("shared%2fgood", encoding),
        ("shared%2Fgood", encoding),
        ("shared%252fgood", encoding),
        ("shared/%2e%2e/good", encoding),
        ("shared/good%00", encoding),
        ("shared/good%", encoding),
        ("shared/good%zz", encoding),
        ("shared/go;od", alphabet),
        ("shared/good*", alphabet),
        ("shared", root),
        (&deep, "the path has more than 16 segments"),
        (&wide, "a path segment is longer than 128 bytes"),
        (&long, "the path is longer than 512 bytes"),
    ] {
        for (method, body) in [("GET", ""), ("PUT", r#"{"data": {}}"#)] {
            let line = format!("{method} /api/v1/records/{path}");
            api.refuses(
                &line,
                &["Content-Type: application/json"],
                body,
                400,
                "InvalidPath",
                detail,
            )
            .await;
        }
    }
    // A NUL in the request line is not HTTP at all; no route sees it.
    let answer = api.admin.raw("GET /api/v1/records/shared/good\0", &[], &[]).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let nowhere = "look at the method and the address; endpoints lie under /api/v1";
    for line in [
        "GET /api/v1/records",
        "GET /api/v1/records/",
        "GET /api/v1//records/shared/good",
        "GET /api/v1/../v1/me",
    ] {
        api.refuses(line, &[], "", 404, "RouteNotFound", nowhere).await;
    }
}

#[tokio::test]
async fn wrong_versions_are_refused() {
    let api = Api::start().await;
    let json = "Content-Type: application/json";
    let good = "PUT /api/v1/records/shared/good";
    let moved = "the record is at version 1; read it and write with that version as 'cas'";
    let exists = "the record exists at version 1; read it and write with that version as 'cas'";
    let missing = "the record does not exist; write with 'cas' 0 to make it";
    for (line, cas, detail) in [(good, 7, moved), (good, 0, exists), (PUT, 1, missing)] {
        let body = json!({"data": {}, "cas": cas}).to_string();
        api.refuses(line, &[json], body, 409, "CheckAndSetFailed", detail).await;
    }
    api.refuses(
        good,
        &[json, "If-Match: \"7\""],
        r#"{"data": {}}"#,
        412,
        "CheckAndSetFailed",
        moved,
    )
    .await;
    api.refuses(
        good,
        &[json, "If-None-Match: *"],
        r#"{"data": {}}"#,
        412,
        "CheckAndSetFailed",
        exists,
    )
    .await;
    let negative = "'cas' is 0 for a new record, or the version that the write follows";
    api.refuses(
        good,
        &[json],
        r#"{"data": {}, "cas": -1}"#,
        400,
        "InvalidRequest",
        negative,
    )
    .await;
    let read = "the query parameters are not understood; this endpoint takes ?version=N with a version from 1";
    for query in [
        "version=0",
        "version=-1",
        "version=x",
        "version=",
        "version=1&version=2",
        "verison=1",
    ] {
        api.refuses(
            &format!("GET /api/v1/records/shared/good?{query}"),
            &[],
            "",
            400,
            "InvalidRequest",
            read,
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let api = Api::start().await;
    let missing = "there is no record at this path";
    for line in [
        "GET /api/v1/records/shared/none",
        "GET /api/v1/versions/shared/none",
        "DELETE /api/v1/records/shared/none",
    ] {
        api.refuses(line, &[], "", 404, "PathNotFound", missing).await;
    }
    let never = "version 2 was never written, or is no longer kept; 'versions' lists what can be read";
    api.refuses(
        "GET /api/v1/records/shared/good?version=2",
        &[],
        "",
        410,
        "VersionGone",
        never,
    )
    .await;
    let method = "the Allow header lists the methods that it takes";
    api.refuses(
        "POST /api/v1/records/shared/good",
        &[],
        "",
        405,
        "MethodNotAllowed",
        method,
    )
    .await;
}
