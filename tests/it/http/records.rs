//! The life of a record over REST.

use axum::http::HeaderValue;
use serde_json::json;

use super::client::TestApi;

const SMTP: &str = "/api/v1/records/shared/smtp";

#[tokio::test]
async fn a_record_is_written_read_deleted_brought_back_and_destroyed() {
    let api = TestApi::new().await;
    let body = json!({"data": {"user": "mailer", "port": 587}, "binary": {"blob": "AP8="}});
    let answer = api.call("PUT", SMTP, Some(body.clone())).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag"), answer.header("location")),
        (201, "\"1\"", SMTP)
    );
    assert_eq!(answer.json()["version"], 1);

    let answer = api.call("GET", SMTP, None).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"1\""));
    assert_eq!(
        (&answer.json()["data"], &answer.json()["binary"]),
        (&body["data"], &body["binary"])
    );
    assert_eq!(
        (&answer.json()["path"], &answer.json()["version"]),
        (&json!("shared/smtp"), &json!(1))
    );

    let answer = api.call("PUT", SMTP, Some(json!({"data": {"user": "other"}}))).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag"), answer.header("location")),
        (200, "\"2\"", "")
    );
    assert_eq!(
        api.call("GET", &format!("{SMTP}?version=1"), None).await.json()["data"]["user"],
        "mailer"
    );

    assert_eq!(api.call("DELETE", SMTP, None).await.status, 204);
    assert_eq!(api.call("GET", SMTP, None).await.problem(), (410, "VersionGone".into()));
    assert_eq!(
        api.call("POST", "/api/v1/undelete/shared/smtp", Some(json!({"versions": [2]})))
            .await
            .status,
        204
    );
    assert_eq!(
        api.call("GET", SMTP, None).await.json()["data"],
        json!({"user": "other"})
    );

    assert_eq!(
        api.call("POST", "/api/v1/destroy/shared/smtp", Some(json!({"versions": [1]})))
            .await
            .status,
        204
    );
    assert_eq!(
        api.call("GET", &format!("{SMTP}?version=1"), None).await.problem(),
        (410, "VersionGone".into())
    );
    let versions = api.call("GET", "/api/v1/versions/shared/smtp", None).await.json();
    let states: Vec<_> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (&v["version"], &v["state"]))
        .collect();
    assert!(
        states.contains(&(&json!(1), &json!("destroyed"))) && states.contains(&(&json!(2), &json!("live"))),
        "{states:?}"
    );
}

#[tokio::test]
async fn several_versions_are_deleted_by_name() {
    let api = TestApi::new().await;
    for n in 1..=3 {
        api.call("PUT", SMTP, Some(json!({"data": {"n": n}}))).await;
    }
    assert_eq!(
        api.call("DELETE", &format!("{SMTP}?versions=1,2"), None).await.status,
        204
    );
    assert_eq!(
        api.call("GET", &format!("{SMTP}?version=2"), None).await.problem(),
        (410, "VersionGone".into())
    );
    assert_eq!(api.call("GET", SMTP, None).await.json()["data"]["n"], 3);
}

#[tokio::test]
async fn what_a_write_expects_is_checked() {
    let api = TestApi::new().await;
    let body = |cas: i64| Some(json!({"data": {"a": "b"}, "cas": cas}));
    assert_eq!(
        api.call("PUT", SMTP, body(1)).await.problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(api.call("PUT", SMTP, body(0)).await.status, 201);
    assert_eq!(
        api.call("PUT", SMTP, body(0)).await.problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(api.call("PUT", SMTP, body(1)).await.status, 200);

    for (header, value, status) in [
        ("if-match", "\"1\"", 412),
        ("if-none-match", "*", 412),
        ("if-match", "\"2\"", 200),
    ] {
        let mut request = api.request("PUT", SMTP, Some(json!({"data": {"a": "c"}})));
        request.headers_mut().insert(header, HeaderValue::from_static(value));
        assert_eq!(api.send(request).await.status, status, "{header}: {value}");
    }
    let mut both = api.request("PUT", SMTP, body(3));
    both.headers_mut().insert("if-match", HeaderValue::from_static("\"3\""));
    assert_eq!(api.send(both).await.problem(), (400, "InvalidRequest".into()));
    assert_eq!(api.call("GET", SMTP, None).await.json()["version"], 3);

    let mut delete = api.request("DELETE", SMTP, None);
    delete
        .headers_mut()
        .insert("if-match", HeaderValue::from_static("\"1\""));
    assert_eq!(api.send(delete).await.problem(), (400, "InvalidRequest".into()));
    assert_eq!(api.call("GET", SMTP, None).await.status, 200);
}

#[tokio::test]
async fn a_list_shows_folders_records_and_pages() {
    let api = TestApi::new().await;
    for path in ["shared/a", "shared/b/x", "shared/b/y", "shared/c", "shared/d/x"] {
        assert_eq!(
            api.call("PUT", &format!("/api/v1/records/{path}"), Some(json!({"data": {}})))
                .await
                .status,
            201
        );
    }
    let paths = |answer: &super::client::Answer| -> Vec<String> {
        answer.json()["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let direct = api.call("GET", "/api/v1/list/shared", None).await;
    assert_eq!(paths(&direct), ["shared/a", "shared/b/", "shared/c", "shared/d/"]);
    assert_eq!(direct.json()["items"][1], json!({"path": "shared/b/", "folder": true}));
    assert_eq!(
        direct.json()["items"][0],
        json!({"path": "shared/a", "version": 1, "state": "live"})
    );
    assert_eq!(paths(&api.call("GET", "/api/v1/list", None).await), ["shared/"]);

    for (uri, expected) in [
        (
            "/api/v1/list/shared?limit=1",
            vec!["shared/a", "shared/b/", "shared/c", "shared/d/"],
        ),
        (
            "/api/v1/list?recursive=true&limit=2",
            vec!["shared/a", "shared/b/x", "shared/b/y", "shared/c", "shared/d/x"],
        ),
    ] {
        let (mut seen, mut next) = (Vec::new(), String::new());
        for _ in 0..10 {
            let answer = api.call("GET", &format!("{uri}{next}"), None).await;
            seen.extend(paths(&answer));
            match answer.json()["next"].as_str() {
                Some(cursor) => next = format!("&after={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen, expected, "{uri}");
    }
}

#[tokio::test]
async fn a_record_that_is_not_there_is_404() {
    let api = TestApi::new().await;
    for (method, uri) in [("GET", SMTP), ("DELETE", SMTP), ("GET", "/api/v1/versions/shared/smtp")] {
        assert_eq!(
            api.call(method, uri, None).await.problem(),
            (404, "PathNotFound".into()),
            "{method} {uri}"
        );
    }
}

#[tokio::test]
async fn r35_a_denied_path_answers_alike_on_every_route_whether_or_not_it_exists() {
    let api = TestApi::new().await;
    let there = "/api/v1/records/shared/hidden/there";
    assert_eq!(
        api.call("PUT", there, Some(json!({"data": {"a": "b"}}))).await.status,
        201
    );
    let deny = json!({"subjects": [{"kind": "Everyone"}], "rules": [{"effect": "deny", "paths": ["shared/hidden/**"],
        "capabilities": ["list", "read", "create", "update", "delete", "undelete", "destroy"]}]});
    assert_eq!(api.call("PUT", "/api/v1/policies/hidden", Some(deny)).await.status, 201);
    for (method, route, body) in [
        ("GET", "records/PATH", None),
        ("PUT", "records/PATH", Some(json!({"data": {}}))),
        ("DELETE", "records/PATH", None),
        ("GET", "versions/PATH", None),
        ("POST", "undelete/PATH", Some(json!({"versions": [1]}))),
        ("POST", "destroy/PATH", Some(json!({"versions": [1]}))),
        ("GET", "metadata/PATH", None),
        ("PUT", "metadata/PATH", Some(json!({}))),
        ("DELETE", "metadata/PATH", None),
        ("DELETE", "metadata/PATH?permanently=true", None),
        ("POST", "restore/PATH", None),
        ("POST", "rollback/PATH", Some(json!({"version": 1}))),
        ("GET", "diff/PATH?from=1", None),
        ("POST", "copy/PATH", Some(json!({"to": "shared/x"}))),
        ("POST", "move/PATH", Some(json!({"to": "shared/x"}))),
        ("POST", "wrap/PATH", Some(json!({}))),
        ("POST", "batch/read", Some(json!({"records": [{"path": "PATH"}]}))),
    ] {
        let mut answers = Vec::new();
        for path in ["shared/hidden/there", "shared/hidden/none1"] {
            let text = |text: &str| text.replace("PATH", path);
            let body = body
                .as_ref()
                .map(|body| serde_json::from_str(&text(&body.to_string())).unwrap());
            let answer = api.call(method, &format!("/api/v1/{}", text(route)), body).await;
            let mut told = answer.json();
            told["requestId"] = json!(null);
            answers.push((answer.status, told.to_string().replace(path, "PATH")));
        }
        assert_eq!(answers[0], answers[1], "{method} {route}");
        assert!(
            answers[0].1.contains("PolicyDenied"),
            "{method} {route}: {}",
            answers[0].1
        );
    }
    // Nor is it told that a target is taken.
    assert_eq!(
        api.call("PUT", "/api/v1/records/shared/x", Some(json!({"data": {}})))
            .await
            .status,
        201
    );
    for verb in ["copy", "move"] {
        for to in ["shared/hidden/there", "shared/hidden/none"] {
            let answer = api
                .call("POST", &format!("/api/v1/{verb}/shared/x"), Some(json!({"to": to})))
                .await;
            assert_eq!(answer.problem(), (403, "PolicyDenied".into()), "{verb} to {to}");
        }
    }
}

/// Copies of a record, made behind the vault's back: a list opens no envelope.
const COPIES: &str = "
    INSERT INTO secrets SELECT (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'path', 'shared/many/' || n))).*
    FROM secrets s, generate_series(1, 2500) n WHERE s.path = 'shared/many/0';
    INSERT INTO secret_versions SELECT (jsonb_populate_record(v, jsonb_build_object('secret_id', t.id))).*
    FROM secret_versions v JOIN secrets s ON s.id = v.secret_id AND s.path = 'shared/many/0'
    JOIN secrets t ON t.path >= 'shared/many/' AND t.path < 'shared/many0' AND t.id <> s.id";

#[tokio::test]
async fn a_long_list_comes_as_a_stream_whose_every_page_is_audited() {
    let api = TestApi::new().await;
    let first = api
        .call(
            "PUT",
            "/api/v1/records/shared/many/0",
            Some(json!({"data": {"key": "value"}})),
        )
        .await;
    assert_eq!(first.status, 201);
    api.database.execute(COPIES).await;

    let streamed = async |uri: &str| {
        let mut request = api.request("GET", uri, None);
        request
            .headers_mut()
            .insert("accept", HeaderValue::from_static("application/x-ndjson"));
        api.send(request).await
    };
    let answer = streamed("/api/v1/list/shared/many").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/x-ndjson")
    );
    let paths: Vec<_> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].to_string())
        .collect();
    assert_eq!(paths.len(), 2501);
    assert!(paths.is_sorted(), "not in the order of paths");
    let listed =
        "SELECT count(*) FROM audit_entries WHERE action = 'record.list' AND starts_with(resource, 'shared/many')";
    assert_eq!(api.database.count(listed).await, 3, "an entry for each thousand");

    let refused = streamed("/api/v1/list/shared/many?limit=5").await;
    assert_eq!(refused.problem(), (400, "InvalidRequest".into()));
}
