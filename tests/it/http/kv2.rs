//! The semantics of Vault's KV version 2, walked call by call: the table in docs/api.md that maps them is this test's order.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::client::{Answer, TestApi};

const APP: &str = "shared/app";

async fn put(api: &TestApi, body: Value) -> Answer {
    api.call("PUT", &format!("/api/v1/records/{APP}"), Some(body)).await
}

async fn get(api: &TestApi, query: &str) -> Answer {
    api.call("GET", &format!("/api/v1/records/{APP}{query}"), None).await
}

async fn post(api: &TestApi, verb: &str, body: Value) -> Answer {
    api.call("POST", &format!("/api/v1/{verb}/{APP}"), Some(body)).await
}

async fn merge(api: &TestApi, kind: &str, body: Value) -> Answer {
    let request = Request::builder()
        .method("PATCH")
        .uri(format!("/api/v1/{kind}/{APP}"))
        .header("authorization", format!("Bearer {}", api.token))
        .header("content-type", "application/merge-patch+json")
        .body(Body::from(body.to_string()))
        .unwrap();
    api.send(request).await
}

async fn metadata(api: &TestApi) -> Value {
    api.call("GET", &format!("/api/v1/metadata/{APP}"), None).await.json()
}

async fn versions(api: &TestApi) -> Vec<String> {
    let answer = api.call("GET", &format!("/api/v1/versions/{APP}"), None).await.json();
    let shown = |v: &Value| format!("{} {}", v["version"], v["state"].as_str().unwrap());
    answer["versions"].as_array().unwrap().iter().map(shown).collect()
}

#[tokio::test]
async fn check_and_set() {
    let api = TestApi::new().await;
    // cas 0 writes only what is not there, cas n only over n; without cas anything goes.
    assert_eq!(
        put(&api, json!({"data": {"n": 1}, "cas": 1})).await.problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(
        put(&api, json!({"data": {"n": 1}, "cas": 0})).await.json()["version"],
        1
    );
    assert_eq!(
        put(&api, json!({"data": {"n": 2}, "cas": 0})).await.problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(
        put(&api, json!({"data": {"n": 2}, "cas": 2})).await.problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(
        put(&api, json!({"data": {"n": 2}, "cas": 1})).await.json()["version"],
        2
    );
    assert_eq!(put(&api, json!({"data": {"n": 3}})).await.json()["version"], 3);
    assert_eq!(
        put(&api, json!({"data": {"n": 4}, "cas": -1})).await.problem(),
        (400, "InvalidRequest".into())
    );

    // cas_required of the record.
    assert_eq!(merge(&api, "metadata", json!({"casRequired": true})).await.status, 204);
    assert_eq!(
        put(&api, json!({"data": {"n": 4}})).await.problem(),
        (428, "CasRequired".into())
    );
    assert_eq!(
        merge(&api, "records", json!({"data": {"n": 4}})).await.problem(),
        (428, "CasRequired".into())
    );
    assert_eq!(
        put(&api, json!({"data": {"n": 4}, "cas": 3})).await.json()["version"],
        4
    );
    assert_eq!(merge(&api, "metadata", json!({"casRequired": null})).await.status, 204);
    assert_eq!(put(&api, json!({"data": {"n": 5}})).await.json()["version"], 5);

    // cas_required of a prefix, as of a mount: a record does not waive it.
    let settings = "/api/v1/path-settings/shared";
    let body = json!({"casRequired": true, "maxVersions": 2});
    assert_eq!(api.call("PUT", settings, Some(body)).await.status, 204);
    assert_eq!(
        put(&api, json!({"data": {"n": 6}})).await.problem(),
        (428, "CasRequired".into())
    );
    let other = api
        .call("PUT", "/api/v1/records/shared/new", Some(json!({"data": {}})))
        .await;
    assert_eq!(other.problem(), (428, "CasRequired".into()));
    assert_eq!(
        put(&api, json!({"data": {"n": 6}, "cas": 5})).await.json()["version"],
        6
    );
    assert_eq!(versions(&api).await, ["5 live", "6 live"], "maxVersions of the prefix");
    assert_eq!(
        api.call("GET", "/api/v1/path-settings", None).await.json()["items"][0]["prefix"],
        "shared/"
    );
    assert_eq!(api.call("DELETE", settings, None).await.status, 204);
    assert_eq!(
        api.call("DELETE", settings, None).await.problem(),
        (404, "PathNotFound".into())
    );
    assert_eq!(put(&api, json!({"data": {"n": 7}})).await.json()["version"], 7);
}

#[tokio::test]
async fn delete_undelete_and_destroy_versions() {
    let api = TestApi::new().await;
    for n in 1..=4 {
        put(&api, json!({"data": {"n": n}})).await;
    }
    // Deleting the newest leaves the others, and its number stays taken.
    assert_eq!(
        api.call("DELETE", &format!("/api/v1/records/{APP}"), None).await.status,
        204
    );
    assert_eq!(get(&api, "").await.problem(), (410, "VersionGone".into()));
    assert_eq!(get(&api, "?version=3").await.json()["data"]["n"], 3);
    assert_eq!(
        put(&api, json!({"data": {"n": 5}, "cas": 3})).await.problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(
        put(&api, json!({"data": {"n": 5}, "cas": 4})).await.json()["version"],
        5
    );
    // Chosen versions.
    let chosen = format!("/api/v1/records/{APP}?versions=1,2");
    assert_eq!(api.call("DELETE", &chosen, None).await.status, 204);
    assert_eq!(
        versions(&api).await,
        ["1 deleted", "2 deleted", "3 live", "4 deleted", "5 live"]
    );
    assert_eq!(post(&api, "undelete", json!({"versions": [1, 4]})).await.status, 204);
    assert_eq!(get(&api, "?version=4").await.json()["data"]["n"], 4);
    // What is destroyed does not come back.
    assert_eq!(post(&api, "destroy", json!({"versions": [1, 2]})).await.status, 204);
    assert_eq!(
        post(&api, "undelete", json!({"versions": [1, 2]})).await.problem(),
        (410, "VersionGone".into())
    );
    assert_eq!(get(&api, "?version=1").await.problem(), (410, "VersionGone".into()));
    assert_eq!(
        versions(&api).await,
        ["1 destroyed", "2 destroyed", "3 live", "4 live", "5 live"]
    );
}

#[tokio::test]
async fn max_versions_prunes() {
    let api = TestApi::new().await;
    put(&api, json!({"data": {"n": 1}})).await;
    assert_eq!(merge(&api, "metadata", json!({"maxVersions": 3})).await.status, 204);
    for n in 2..=6 {
        put(&api, json!({"data": {"n": n}})).await;
    }
    assert_eq!(versions(&api).await, ["4 live", "5 live", "6 live"]);
    assert_eq!(get(&api, "?version=3").await.problem(), (410, "VersionGone".into()));
    let shown = metadata(&api).await;
    assert_eq!((&shown["oldestVersion"], &shown["version"]), (&json!(4), &json!(6)));
    assert_eq!(shown["effective"]["maxVersions"], 3);
    // Fewer are kept from the next write on.
    merge(&api, "metadata", json!({"maxVersions": 1})).await;
    assert_eq!(versions(&api).await.len(), 3);
    put(&api, json!({"data": {"n": 7}})).await;
    assert_eq!(versions(&api).await, ["7 live"]);
    for bad in [0, -1, 1001] {
        assert_eq!(
            merge(&api, "metadata", json!({"maxVersions": bad})).await.problem(),
            (400, "InvalidRequest".into())
        );
    }
}

#[tokio::test]
async fn delete_version_after() {
    let api = TestApi::new().await;
    put(&api, json!({"data": {"n": 1}})).await;
    assert_eq!(
        merge(&api, "metadata", json!({"deleteVersionAfterSeconds": 1}))
            .await
            .status,
        204
    );
    put(&api, json!({"data": {"n": 2}})).await;
    // The process has the version in memory, and the database's clock goes on.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(get(&api, "").await.problem(), (410, "VersionGone".into()));
    assert_eq!(
        merge(&api, "records", json!({"data": {"a": 1}})).await.problem(),
        (410, "VersionGone".into())
    );
    assert_eq!(
        versions(&api).await,
        ["1 live", "2 deleted"],
        "only what was written since"
    );
    assert_eq!(post(&api, "undelete", json!({"versions": [2]})).await.status, 204);
    assert_eq!(
        get(&api, "").await.json()["data"]["n"],
        2,
        "as in Vault, it stays from then on"
    );
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM secret_versions WHERE delete_at IS NOT NULL")
            .await,
        0
    );
}

#[tokio::test]
async fn patch() {
    let api = TestApi::new().await;
    assert_eq!(
        merge(&api, "records", json!({"data": {"a": 1}})).await.problem(),
        (404, "PathNotFound".into())
    );
    put(
        &api,
        json!({"data": {"user": "a", "conf": {"x": 1, "y": 2}}, "binary": {"raw": "AP8="}}),
    )
    .await;
    let answer = merge(
        &api,
        "records",
        json!({"data": {"user": null, "conf": {"y": null, "z": 3}, "host": "h"}}),
    )
    .await;
    assert_eq!((answer.status.as_u16(), &answer.json()["version"]), (200, &json!(2)));
    let read = get(&api, "").await.json();
    assert_eq!(read["data"], json!({"conf": {"x": 1, "z": 3}, "host": "h"}));
    assert_eq!(read["binary"], json!({"raw": "AP8="}));
    assert_eq!(
        merge(&api, "records", json!({"data": {"n": 1}, "cas": 1}))
            .await
            .problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(
        merge(&api, "records", json!({"binary": {"raw": null}, "cas": 2}))
            .await
            .json()["version"],
        3
    );
    assert_eq!(get(&api, "").await.json().get("binary"), None);
    // Plain JSON is no merge patch, and a body that changes nothing is a mistake.
    let plain = api
        .call("PATCH", &format!("/api/v1/records/{APP}"), Some(json!({"data": {}})))
        .await;
    assert_eq!(plain.problem(), (415, "UnsupportedMediaType".into()));
    assert_eq!(
        merge(&api, "records", json!({"cas": 3})).await.problem(),
        (400, "InvalidRequest".into())
    );
    // What is deleted is not patched.
    api.call("DELETE", &format!("/api/v1/records/{APP}"), None).await;
    assert_eq!(
        merge(&api, "records", json!({"data": {"a": 1}})).await.problem(),
        (410, "VersionGone".into())
    );
}

#[tokio::test]
async fn metadata_without_values() {
    let api = TestApi::new().await;
    let path = format!("/api/v1/metadata/{APP}");
    assert_eq!(
        api.call("GET", &path, None).await.problem(),
        (404, "PathNotFound".into())
    );
    assert_eq!(
        merge(&api, "metadata", json!({})).await.problem(),
        (404, "PathNotFound".into())
    );
    put(&api, json!({"data": {"n": 1}})).await;
    let set = json!({
        "description": "of the shop", "owner": "team-shop", "tags": ["prod", "db"], "custom": {"ticket": "OPS-1", "tier": "1"},
        "expiresAt": "2031-01-01T00:00:00Z", "maxVersions": 5,
    });
    assert_eq!(api.call("PUT", &path, Some(set.clone())).await.status, 204);
    let shown = metadata(&api).await;
    for (key, value) in set.as_object().unwrap() {
        match key.as_str() {
            "tags" => assert_eq!(shown["tags"], json!(["db", "prod"])),
            _ => assert_eq!(&shown[key], value, "{key}"),
        }
    }
    assert!(shown["expiresIn"].as_i64().unwrap() > 0);
    assert_eq!(shown["version"], 1, "no version was written");
    assert!(get(&api, "").await.json()["expiresAt"].is_string(), "a read warns");
    // A patch changes what it names; PUT puts the rest back to its default.
    assert_eq!(
        merge(
            &api,
            "metadata",
            json!({"custom": {"tier": null, "new": "x"}, "owner": null})
        )
        .await
        .status,
        204
    );
    let shown = metadata(&api).await;
    assert_eq!(shown["custom"], json!({"ticket": "OPS-1", "new": "x"}));
    assert_eq!(
        (&shown["owner"], &shown["description"]),
        (&json!(""), &json!("of the shop"))
    );
    assert_eq!(api.call("PUT", &path, Some(json!({"owner": "x"}))).await.status, 204);
    assert_eq!(metadata(&api).await["custom"], json!({}));
}

#[tokio::test]
async fn whole_records_are_deleted_restored_and_removed_for_good() {
    let api = TestApi::new().await;
    let path = format!("/api/v1/metadata/{APP}");
    put(&api, json!({"data": {"n": 1}})).await;
    put(&api, json!({"data": {"n": 2}})).await;
    assert_eq!(
        post(&api, "restore", json!({})).await.problem(),
        (400, "InvalidRequest".into())
    );
    assert_eq!(api.call("DELETE", &path, None).await.status, 204);
    assert_eq!(get(&api, "").await.problem(), (410, "VersionGone".into()));
    assert_eq!(get(&api, "?version=1").await.problem(), (410, "VersionGone".into()));
    assert_eq!(
        put(&api, json!({"data": {"n": 3}})).await.problem(),
        (409, "RecordDeleted".into())
    );
    assert_eq!(
        put(&api, json!({"data": {"n": 3}, "cas": 0})).await.problem(),
        (409, "RecordDeleted".into())
    );
    assert_eq!(
        api.call("GET", "/api/v1/list/shared", None).await.json()["items"],
        json!([])
    );
    assert_eq!(
        api.call("GET", "/api/v1/search?prefix=shared", None).await.json()["items"],
        json!([])
    );
    let deleted = api.call("GET", "/api/v1/search?deleted=true", None).await.json();
    assert_eq!(deleted["items"][0]["path"], APP);
    assert!(metadata(&api).await["deletedAt"].is_string());
    assert_eq!(post(&api, "restore", json!({})).await.status, 204);
    assert_eq!(get(&api, "").await.json()["data"]["n"], 2);
    assert_eq!(versions(&api).await, ["1 live", "2 live"]);

    assert_eq!(
        api.call("DELETE", &format!("{path}?permanently=true"), None)
            .await
            .status,
        204
    );
    assert_eq!(get(&api, "").await.problem(), (404, "PathNotFound".into()));
    assert_eq!(api.database.count("SELECT count(*) FROM secret_versions").await, 0);
    assert_eq!(
        put(&api, json!({"data": {"n": 1}, "cas": 0})).await.json()["version"],
        1,
        "the path is free"
    );
}

#[tokio::test]
async fn binary_values_come_back_byte_by_byte() {
    let api = TestApi::new().await;
    use base64::Engine as _;
    let all: Vec<u8> = (0..=255).collect();
    let text = base64::engine::general_purpose::STANDARD.encode(&all);
    put(&api, json!({"binary": {"all": text, "empty": ""}})).await;
    let read = get(&api, "").await.json();
    assert_eq!(read["binary"], json!({"all": text, "empty": ""}));
    assert_eq!(
        put(&api, json!({"binary": {"bad": "not base64!"}})).await.problem(),
        (400, "InvalidRecord".into())
    );
    assert_eq!(
        put(&api, json!({"data": {"k": null}})).await.problem(),
        (400, "InvalidRecord".into())
    );
}

#[tokio::test]
async fn rollback_diff_and_copies() {
    let api = TestApi::new().await;
    put(&api, json!({"data": {"a": "1", "b": "1", "c": "1"}})).await;
    put(&api, json!({"data": {"a": "1", "b": "2", "d": "1"}})).await;
    let diff = format!("/api/v1/diff/{APP}?from=1&to=2");
    let answer = api.call("GET", &diff, None).await.json();
    assert_eq!(
        answer,
        json!({"path": APP, "from": 1, "to": 2, "changes": [
            {"key": "b", "change": "changed"}, {"key": "c", "change": "removed"}, {"key": "d", "change": "added"}]})
    );
    let answer = api.call("GET", &format!("{diff}&values=true"), None).await.json();
    assert_eq!(
        (&answer["before"]["data"]["b"], &answer["after"]["data"]["b"]),
        (&json!("1"), &json!("2"))
    );

    assert_eq!(
        post(&api, "rollback", json!({"version": 1, "cas": 1})).await.problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(
        post(&api, "rollback", json!({"version": 9})).await.problem(),
        (410, "VersionGone".into())
    );
    assert_eq!(
        post(&api, "rollback", json!({"version": 1, "cas": 2})).await.json()["version"],
        3
    );
    assert_eq!(
        get(&api, "").await.json()["data"],
        json!({"a": "1", "b": "1", "c": "1"})
    );

    let copied = post(&api, "copy", json!({"to": "other/copy", "version": 2, "cas": 0})).await;
    assert_eq!(
        (copied.status.as_u16(), copied.header("location")),
        (201, "/api/v1/records/other/copy")
    );
    assert_eq!(
        api.call("GET", "/api/v1/records/other/copy", None).await.json()["data"],
        json!({"a": "1", "b": "2", "d": "1"})
    );
    assert_eq!(
        post(&api, "copy", json!({"to": "other/copy", "cas": 0}))
            .await
            .problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(
        post(&api, "copy", json!({"to": "other/../x"})).await.problem(),
        (400, "InvalidPath".into())
    );

    assert_eq!(
        post(&api, "move", json!({"to": "other/copy"})).await.problem(),
        (409, "CheckAndSetFailed".into())
    );
    assert_eq!(post(&api, "move", json!({"to": "other/moved"})).await.status, 204);
    assert_eq!(get(&api, "").await.problem(), (404, "PathNotFound".into()));
    for (version, b) in [(1, "1"), (2, "2"), (3, "1")] {
        let uri = format!("/api/v1/records/other/moved?version={version}");
        assert_eq!(api.call("GET", &uri, None).await.json()["data"]["b"], b);
    }
}
