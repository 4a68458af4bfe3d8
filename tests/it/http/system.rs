//! The installation by REST: info, jobs, settings of the database, maintenance.

use std::time::Duration;

use serde_json::json;

use super::client::{TestApi, router_of, send_to};

#[tokio::test]
async fn the_installation_says_what_it_is_and_what_it_does() {
    let api = TestApi::new().await;
    api.vault.vault.audit_log().seal().await.unwrap();
    let info = api.call("GET", "/api/v1/system/info", None).await.json();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        info["postgres"].as_i64().unwrap() >= 150_000 && info["schema"].as_i64().unwrap() >= 7,
        "{info}"
    );
    assert!(
        info["audit"]["height"].as_i64().unwrap() >= 1 && info["audit"]["kid"].as_str().unwrap().len() == 16,
        "{info}"
    );
    assert_eq!(info["maintenance"]["readOnly"], false);
    let mut names = Vec::new();
    for _ in 0..100 {
        let jobs = api.call("GET", "/api/v1/system/jobs", None).await.json();
        let done = |job: &&serde_json::Value| job["ok"] == true && job["processId"] == info["processId"];
        names = jobs["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(done)
            .map(|job| job["name"].as_str().unwrap().to_owned())
            .collect();
        if names.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(names, ["audit retention", "audit sealing", "clean-up"]);
}

#[tokio::test]
async fn maintenance_refuses_writes_on_every_process_and_lets_reads_and_its_end_pass() {
    let api = TestApi::new().await;
    let other = api.vault.replica(&api.database).await;
    let other = router_of(&other);
    let body = || Some(json!({"data": {"k": "v"}}));
    assert_eq!(api.call("PUT", "/api/v1/records/shared/a", body()).await.status, 201);
    let value = json!({"value": {"readOnly": true, "notice": "moving the database", "retryAfterSeconds": 300}});
    let answer = api.call("PUT", "/api/v1/system/config/maintenance", Some(value)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);

    for (method, uri, body) in [
        ("PUT", "/api/v1/records/shared/a", body()),
        ("DELETE", "/api/v1/records/shared/a", None),
        ("POST", "/api/v1/users", Some(json!({"name": "ann"}))),
        ("PUT", "/api/v1/policies/team", Some(json!({}))),
        ("POST", "/api/v1/me/api-keys", Some(json!({}))),
    ] {
        let answer = api.call(method, uri, body).await;
        assert_eq!(answer.problem(), (503, "Maintenance".into()), "{method} {uri}");
        assert_eq!(answer.header("retry-after"), "300");
        assert!(answer.detail().contains("moving the database"), "{}", answer.detail());
    }
    assert_eq!(api.call("GET", "/api/v1/records/shared/a", None).await.status, 200);
    let wrong = json!({"username": "admin", "password": "wrong"});
    assert_eq!(
        api.call("POST", "/api/v1/auth/login", Some(wrong)).await.problem(),
        (401, "LoginFailed".into())
    );
    // The other process hears of it by the feed.
    let mut status = 0;
    for _ in 0..100 {
        status = send_to(&other, api.request("PUT", "/api/v1/records/shared/a", body()))
            .await
            .status
            .as_u16();
        if status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 503);
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM audit_entries WHERE action = 'system.config' AND resource = 'maintenance'")
            .await,
        1
    );

    assert_eq!(
        api.call("DELETE", "/api/v1/system/config/maintenance", None)
            .await
            .status,
        200
    );
    assert_eq!(api.call("PUT", "/api/v1/records/shared/a", body()).await.status, 200);
}

#[tokio::test]
async fn r23_settings_of_the_database_are_a_closed_list_of_bounded_values() {
    let api = TestApi::new().await;
    for (key, value) in [
        ("maintenance", json!(true)),
        ("maintenance", json!({"readOnly": true, "retryAfterSeconds": 0})),
        ("audit.noise_per_minute", json!(0)),
        ("database.url", json!("postgres://evil")),
        ("nonsense", json!(1)),
    ] {
        let answer = api
            .call(
                "PUT",
                &format!("/api/v1/system/config/{key}"),
                Some(json!({"value": value})),
            )
            .await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".into()), "{key}");
    }
    assert_eq!(api.database.count("SELECT count(*) FROM system_config").await, 0);
    let config = api.call("GET", "/api/v1/system/config", None).await.json();
    assert_eq!(
        config["items"][0],
        json!({"key": "audit.noise_per_minute", "value": 60})
    );
}
