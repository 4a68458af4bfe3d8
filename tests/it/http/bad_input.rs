//! Bad input: exact status and reason, a message that says what to do, and nothing stored.

use axum::body::Body;
use serde_json::json;

use super::client::{BODY_LIMIT, TestApi};

const SMTP: &str = "/api/v1/records/shared/smtp";

async fn stored(api: &TestApi) -> i64 {
    api.database
        .count("SELECT (SELECT count(*) FROM secrets) + (SELECT count(*) FROM secret_versions)")
        .await
}

#[tokio::test]
async fn r18_bad_paths_are_refused_by_every_route_that_takes_one() {
    let api = TestApi::new().await;
    let seventeen = vec!["a"; 17].join("/");
    let long = format!("a/{}", "b".repeat(129));
    for (path, says) in [
        ("a/../b", "'.' and '..' are refused"),
        ("a/./b", "'.' and '..' are refused"),
        ("a//b", "empty segment"),
        ("/a/b", "empty segment"),
        ("a/b/", "empty segment"),
        ("a%2fb/c", "percent-encoding"),
        ("a%2Fb/c", "percent-encoding"),
        ("a%252fb/c", "percent-encoding"),
        ("a/%2e%2e/b", "percent-encoding"),
        ("a/b%00", "percent-encoding"),
        ("a/b%20c", "percent-encoding"),
        ("a/b%zz", "percent-encoding"),
        ("a/b*", "may hold only"),
        (seventeen.as_str(), "more than 16 segments"),
        (long.as_str(), "longer than 128 bytes"),
        ("a", "names a root"),
    ] {
        for (method, route, body) in [
            ("GET", "records", None),
            ("PUT", "records", Some(json!({"data": {"k": "v"}}))),
            ("DELETE", "records", None),
            ("GET", "versions", None),
            ("GET", "consumers", None),
            ("POST", "undelete", Some(json!({"versions": [1]}))),
            ("POST", "destroy", Some(json!({"versions": [1]}))),
            ("GET", "metadata", None),
            ("PUT", "metadata", Some(json!({}))),
            ("DELETE", "metadata", None),
            ("POST", "restore", None),
            ("POST", "rollback", Some(json!({"version": 1}))),
            ("GET", "diff", None),
            ("POST", "copy", Some(json!({"to": "shared/x"}))),
            ("POST", "move", Some(json!({"to": "shared/x"}))),
            ("POST", "wrap", Some(json!({}))),
        ] {
            let answer = api.call(method, &format!("/api/v1/{route}/{path}"), body).await;
            assert_eq!(answer.problem(), (400, "InvalidPath".into()), "{method} {route} {path}");
            assert!(answer.detail().contains(says), "{path}: {}", answer.detail());
        }
    }
    for path in ["a/../b", "a//b", "a%2fb/c", "a"] {
        for (route, body) in [
            ("copy/shared/x", json!({"to": path})),
            ("move/shared/x", json!({"to": path})),
            ("batch/read", json!({"records": [{"path": path}]})),
        ] {
            let answer = api.call("POST", &format!("/api/v1/{route}"), Some(body)).await;
            assert_eq!(answer.status, 400, "{route} {path}");
        }
    }
    assert_eq!(stored(&api).await, 0);
}

#[tokio::test]
async fn r18_an_allowed_escape_names_the_same_record() {
    let api = TestApi::new().await;
    assert_eq!(
        api.call("PUT", "/api/v1/records/shared/a%40b", Some(json!({"data": {"k": "v"}})))
            .await
            .status,
        201
    );
    assert_eq!(
        api.call("GET", "/api/v1/records/shared/a@b", None).await.json()["path"],
        "shared/a@b"
    );
}

#[tokio::test]
async fn bodies_that_are_no_record_are_refused() {
    let api = TestApi::new().await;
    let many: serde_json::Map<_, _> = (0..513).map(|n| (format!("k{n}"), json!("v"))).collect();
    let deep = format!(r#"{{"data": {{"k": {}{}}}}}"#, "[".repeat(33), "]".repeat(33));
    for (body, status, reason, says) in [
        ("", 400, "InvalidRequest", "the body is empty"),
        ("{", 400, "InvalidRequest", "not valid JSON, at line 1, column 1"),
        (
            r#"{"data": {"a": "b"}} x"#,
            400,
            "InvalidRequest",
            "not valid JSON, at line 1, column 22",
        ),
        ("[]", 400, "InvalidRequest", "does not have the form"),
        ("{}", 400, "InvalidRequest", "holds no record"),
        (
            r#"{"data": {}, "extra": 1}"#,
            400,
            "InvalidRequest",
            "does not have the form",
        ),
        (
            r#"{"data": {"a": "b", "a": "c"}}"#,
            400,
            "InvalidRequest",
            "each key once",
        ),
        (
            r#"{"data": {"a": "b"}, "cas": -1}"#,
            400,
            "InvalidRequest",
            "'cas' is 0",
        ),
        (
            r#"{"data": {"a": "b"}, "cas": "1"}"#,
            400,
            "InvalidRequest",
            "does not have the form",
        ),
        (r#"{"data": {"a": null}}"#, 400, "InvalidRecord", "key 'a' is null"),
        (r#"{"data": {"a/b": "c"}}"#, 400, "InvalidRecord", "a key may hold only"),
        (
            r#"{"data": {"a": "b"}, "binary": {"a": "AA=="}}"#,
            400,
            "InvalidRecord",
            "under both 'data' and 'binary'",
        ),
        (r#"{"binary": {"a": "?"}}"#, 400, "InvalidRecord", "not standard base64"),
        (deep.as_str(), 400, "InvalidRecord", "nested deeper than 32"),
        (
            json!({"data": many}).to_string().as_str(),
            413,
            "TooLarge",
            "at most 512 keys",
        ),
        (
            json!({"data": {"a": "b".repeat(1 << 20)}}).to_string().as_str(),
            413,
            "TooLarge",
            "at most 1048576 bytes",
        ),
        (
            json!({"data": {"a": "b".repeat(BODY_LIMIT)}}).to_string().as_str(),
            413,
            "TooLarge",
            "at most 3145728 bytes",
        ),
    ] {
        let mut request = api.request("PUT", SMTP, Some(json!(null)));
        *request.body_mut() = Body::from(body.to_owned());
        let answer = api.send(request).await;
        let shown = body.get(..60).unwrap_or(body);
        assert_eq!(answer.problem(), (status, reason.into()), "{shown}: {}", answer.text);
        assert!(answer.detail().contains(says), "{shown}: {}", answer.detail());
    }
    assert_eq!(stored(&api).await, 0);
}

#[tokio::test]
async fn a_body_has_to_say_that_it_is_json() {
    let api = TestApi::new().await;
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let mut request = api.request("PUT", SMTP, Some(json!({"data": {"a": "b"}})));
        request.headers_mut().remove("content-type");
        if let Some(content_type) = content_type {
            request
                .headers_mut()
                .insert("content-type", content_type.parse().unwrap());
        }
        assert_eq!(
            api.send(request).await.problem(),
            (415, "UnsupportedMediaType".into()),
            "{content_type:?}"
        );
    }
    assert_eq!(stored(&api).await, 0);
}

#[tokio::test]
async fn r23_numbers_out_of_range_and_unknown_parameters_are_refused() {
    let api = TestApi::new().await;
    for (method, uri) in [
        ("GET", "/api/v1/records/shared/smtp?version=0"),
        ("GET", "/api/v1/records/shared/smtp?version=-1"),
        ("GET", "/api/v1/records/shared/smtp?version=99999999999999999999"),
        ("GET", "/api/v1/records/shared/smtp?version=1&version=2"),
        ("GET", "/api/v1/records/shared/smtp?v=1"),
        ("DELETE", "/api/v1/records/shared/smtp?versions="),
        ("DELETE", "/api/v1/records/shared/smtp?versions=1,x"),
        ("DELETE", "/api/v1/records/shared/smtp?versions=0"),
        ("GET", "/api/v1/list?limit=0"),
        ("GET", "/api/v1/list?limit=1001"),
        ("GET", "/api/v1/list?limit=-1"),
        ("GET", "/api/v1/list?recursive=maybe"),
        ("GET", "/api/v1/list?after=%00"),
        ("GET", "/api/v1/list?after=shared/smtp"),
        ("GET", "/api/v1/me?x=1"),
        ("GET", "/api/v1/versions/shared/smtp?limit=1"),
        ("GET", "/api/v1/consumers/shared/smtp?limit=0"),
        ("GET", "/api/v1/consumers/shared/smtp?limit=1001"),
        ("GET", "/api/v1/consumers/shared/smtp?after=%00"),
    ] {
        assert_eq!(
            api.call(method, uri, None).await.problem(),
            (400, "InvalidRequest".into()),
            "{method} {uri}"
        );
    }
    for versions in [json!([]), json!([0]), json!([-1]), json!("1"), json!(vec![1; 1001])] {
        let answer = api
            .call(
                "POST",
                "/api/v1/destroy/shared/smtp",
                Some(json!({"versions": versions})),
            )
            .await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".into()), "{versions}");
    }
}
