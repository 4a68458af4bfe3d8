//! The audit log by REST: queries, export, proofs, for auditors and administrators alone.

use aether_vault::service::context::Clock as _;
use serde_json::json;

use super::client::TestApi;

async fn write(api: &TestApi, path: &str) {
    let uri = format!("/api/v1/records/{path}");
    let answer = api.call("PUT", &uri, Some(json!({"data": {"k": "v"}}))).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

/// Action and resource of the entries that a query gives, newest first.
async fn entries(api: &TestApi, query: &str) -> Vec<String> {
    let answer = api.call("GET", &format!("/api/v1/audit/entries{query}"), None).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    let items = answer.json()["items"].clone();
    let told = |item: &serde_json::Value| {
        format!(
            "{} {}",
            item["action"].as_str().unwrap(),
            item["resource"].as_str().unwrap()
        )
    };
    items.as_array().unwrap().iter().map(told).collect()
}

#[tokio::test]
async fn entries_are_found_by_actor_action_path_decision_reason_and_time() {
    let api = TestApi::new().await;
    for path in ["shared/a", "shared/ab", "shared/a/b", "other/x"] {
        write(&api, path).await;
    }
    assert_eq!(api.call("GET", "/api/v1/records/shared/none", None).await.status, 404);
    assert_eq!(entries(&api, "?path=shared/a").await, ["record.write shared/a"]);
    assert_eq!(
        entries(&api, "?path=shared/&action=record").await,
        [
            "record.read shared/none",
            "record.write shared/a/b",
            "record.write shared/ab",
            "record.write shared/a"
        ]
    );
    assert_eq!(
        entries(&api, "?path=shared/&decision=fail").await,
        ["record.read shared/none"]
    );
    assert_eq!(entries(&api, "?reason=PathNotFound").await, ["record.read shared/none"]);
    assert_eq!(entries(&api, "?actor=admin&action=record.write").await.len(), 4);
    assert_eq!(entries(&api, "?actor=eve").await.len(), 0);
    assert_eq!(
        entries(&api, "?action=record.write&until=2020-01-01T00:00:00Z")
            .await
            .len(),
        0
    );
    assert_eq!(
        entries(&api, "?action=record.write&since=2020-01-01T00:00:00Z")
            .await
            .len(),
        4
    );
    // A look at the log is an entry of the log.
    assert!(entries(&api, "?action=audit").await.len() >= 8);
    for bad in [
        "?decision=maybe",
        "?limit=0",
        "?limit=1001",
        "?after=x",
        "?since=now",
        "?nonsense=1",
        "?actor=",
    ] {
        let answer = api.call("GET", &format!("/api/v1/audit/entries{bad}"), None).await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".into()), "{bad}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let api = TestApi::new().await;
    for n in 0..7 {
        write(&api, &format!("shared/{n}")).await;
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let answer = api
            .call(
                "GET",
                &format!("/api/v1/audit/entries?action=record.write&limit=3{after}"),
                None,
            )
            .await
            .json();
        found.extend(
            answer["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["resource"].as_str().unwrap().to_owned()),
        );
        match answer["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let expected: Vec<_> = (0..7).rev().map(|n| format!("shared/{n}")).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_is_rare_is_found_far_back_and_page_by_page() {
    let api = TestApi::new().await;
    write(&api, "shared/rare").await;
    let database = &api.database;
    // As many as are walked back at most, and some, each a moment older than the one before.
    let many = |resource: &str, count: u32, back: &str| {
        format!(
            "INSERT INTO audit_entries (at, request_id, actor_kind, actor_id, actor_name, door, action, resource, decision, reason)
             SELECT now() - interval '{back}' - n * interval '1 microsecond', gen_random_uuid(), 'user', 'x', 'x', 'http', 'record.read',
                    '{resource}' || n % 1000, 'allow', '' FROM generate_series(1, {count}) n"
        )
    };
    for (resource, count, back) in [
        ("rare/", 1, "1 second"),
        ("common/", 21_000, "2 seconds"),
        ("rare/", 3, "3 seconds"),
    ] {
        database.execute(&many(resource, count, back)).await;
    }
    assert_eq!(entries(&api, "?path=rare/1").await.len(), 2, "near and far");
    assert_eq!(entries(&api, "?path=rare/3").await, ["record.read rare/3"]);
    assert_eq!(entries(&api, "?path=common/7").await.len(), 21);
    assert_eq!(entries(&api, "?path=nowhere").await.len(), 0);
    let first = api
        .call("GET", "/api/v1/audit/entries?path=rare/1&limit=1", None)
        .await
        .json();
    let cursor = first["next"].as_str().unwrap_or_else(|| panic!("{first}"));
    let second = entries(&api, &format!("?path=rare/1&limit=1&after={cursor}")).await;
    assert_eq!(second, ["record.read rare/1"]);
}

#[tokio::test]
async fn an_export_is_whole_in_both_forms_and_is_itself_audited() {
    let api = TestApi::new().await;
    for n in 0..5 {
        write(&api, &format!("shared/{n}")).await;
    }
    // More than one page of the export.
    api.database
        .execute(
            "INSERT INTO audit_entries (request_id, actor_kind, actor_id, actor_name, door, action, resource, decision, reason)
             SELECT gen_random_uuid(), 'system', 's', '=1+1', 'process', 'test.many', 'x,' || n, 'allow', '' FROM generate_series(1, 2500) n",
        )
        .await;
    let answer = api.call("GET", "/api/v1/audit/export?action=test", None).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/x-ndjson")
    );
    let mut seen = std::collections::BTreeSet::new();
    for line in answer.text.lines() {
        seen.insert(
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"]
                .as_i64()
                .unwrap(),
        );
    }
    assert_eq!((seen.len(), answer.text.lines().count()), (2500, 2500));
    let answer = api
        .call("GET", "/api/v1/audit/export?action=test.many&format=csv", None)
        .await;
    assert!(answer.text.starts_with("id,at,requestId"), "{}", &answer.text[..100]);
    assert_eq!(
        answer.text.split("\r\n").count(),
        2502,
        "a header, the lines, and the end of the last"
    );
    assert!(
        answer.text.contains("\"'=1+1\",process,test.many,\"x,7\""),
        "quoted, and no formula"
    );
    assert_eq!(entries(&api, "?action=audit.export").await.len(), 2);
    let answer = api.call("GET", "/api/v1/audit/export?limit=5", None).await;
    assert_eq!(answer.problem(), (400, "InvalidRequest".into()));
}

#[tokio::test]
async fn r26_a_proof_and_a_checkpoint_are_had_for_what_is_sealed() {
    let api = TestApi::new().await;
    write(&api, "shared/a").await;
    api.vault.vault.audit_log().seal().await.unwrap();
    let id = api
        .database
        .count("SELECT id FROM audit_entries WHERE action = 'record.write'")
        .await;
    let proof = format!("/api/v1/audit/entries/{id}/proof");
    let answer = api.call("GET", &proof, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let proof: aether_vault::domain::audit::proof::Proof = serde_json::from_str(&answer.text).unwrap();
    let keys = api.vault.vault.audit_log().public_keys().clone();
    assert_eq!(
        proof.verify(&|kid, message, signature| keys.check(kid, message, signature)),
        Ok(())
    );
    assert_eq!(proof.entry.resource, "shared/a");
    let checkpoint = api.call("GET", "/api/v1/audit/checkpoint", None).await.json();
    assert!(checkpoint["height"].as_i64().unwrap() >= proof.block.header.height);
    let answer = api.call("GET", "/api/v1/audit/entries/999999/proof", None).await;
    assert_eq!(answer.problem(), (404, "AuditEntryNotFound".into()));
    for bad in ["0", "-1", "x", "99999999999999999999"] {
        let answer = api
            .call("GET", &format!("/api/v1/audit/entries/{bad}/proof"), None)
            .await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".into()), "{bad}");
    }
}

#[tokio::test]
async fn r08_nobody_but_auditors_and_administrators_looks_at_the_log_and_refusals_are_entries() {
    let api = TestApi::new().await;
    for (role, status) in [("user", 403), ("auditor", 200)] {
        let caller = api.as_new_user(role).await;
        for uri in [
            "/api/v1/audit/entries",
            "/api/v1/audit/export",
            "/api/v1/audit/checkpoint",
            "/api/v1/reports/access",
            "/api/v1/system/info",
            "/api/v1/system/jobs",
            "/api/v1/system/config",
        ] {
            api.vault.vault.audit_log().seal().await.unwrap();
            let answer = caller.call("GET", uri, None).await;
            assert_eq!(answer.status.as_u16(), status, "{role} {uri}: {}", answer.text);
            if status == 403 {
                assert_eq!(answer.problem().1, "RoleRequired", "{uri}");
            }
        }
        let value = Some(json!({"value": {"readOnly": true}}));
        let answer = caller.call("PUT", "/api/v1/system/config/maintenance", value).await;
        assert_eq!(answer.problem(), (403, "AdministratorRequired".into()), "{role}");
    }
    assert_eq!(entries(&api, "?decision=deny&reason=RoleRequired").await.len(), 7);
    assert_eq!(
        entries(&api, "?decision=deny&reason=AdministratorRequired").await.len(),
        2
    );
}

#[tokio::test]
async fn r25_no_route_sets_a_sink_or_anything_else_of_the_audit_log() {
    for endpoint in aether_vault::http::endpoints() {
        let audit = endpoint.path.contains("audit") || endpoint.path.contains("sink");
        assert!(
            !audit || endpoint.method == "GET",
            "{} {}",
            endpoint.method,
            endpoint.path
        );
    }
    let api = TestApi::new().await;
    for key in [
        "audit.stdout",
        "audit.syslog",
        "audit.webhook.url",
        "audit.webhook",
        "audit.retention_days",
        "sinks",
    ] {
        let answer = api
            .call(
                "PUT",
                &format!("/api/v1/system/config/{key}"),
                Some(json!({"value": "udp://evil.example:514"})),
            )
            .await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".into()), "{key}");
    }
    assert_eq!(api.database.count("SELECT count(*) FROM system_config").await, 0);
}

#[tokio::test]
async fn failed_logins_beyond_a_rate_become_one_counted_entry() {
    let api = TestApi::new().await;
    let set = api
        .call(
            "PUT",
            "/api/v1/system/config/audit.noise_per_minute",
            Some(json!({"value": 3})),
        )
        .await;
    assert_eq!(set.status, 200, "{}", set.text);
    // From the beginning of a minute, so that it is one minute's.
    let into_minute = api.vault.clock.now().as_second().rem_euclid(60).unsigned_abs();
    api.vault
        .clock
        .advance(std::time::Duration::from_secs(60 - into_minute));
    for n in 0..10 {
        let body = json!({"username": format!("nobody-{n}"), "password": "x"});
        let answer = api.call("POST", "/api/v1/auth/login", Some(body)).await;
        assert_eq!(answer.problem(), (401, "LoginFailed".into()));
    }
    let own = "SELECT count(*) FROM audit_entries WHERE action = 'auth.login' AND decision = 'deny'";
    assert_eq!(api.database.count(own).await, 3);
    api.vault.clock.advance(std::time::Duration::from_secs(60));
    let counted = "SELECT COALESCE(sum(count), 0)::bigint FROM audit_entries WHERE action = 'auth.noise' AND client = '192.0.2.0/24'";
    for _ in 0..200 {
        if api.database.count(counted).await > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(api.database.count(counted).await, 7);
    assert_eq!(
        api.database
            .count("SELECT count(*) FROM audit_entries WHERE action = 'auth.noise'")
            .await,
        1
    );
}

#[tokio::test]
async fn the_access_report_tells_unused_grants_old_records_and_lone_factors() {
    let api = TestApi::new().await;
    for path in ["shared/used", "shared/unused"] {
        write(&api, path).await;
    }
    let user = api.as_new_user("user").await;
    let policy = json!({
        "subjects": [{"kind": "User", "name": "user-1"}],
        "rules": [
            {"effect": "allow", "paths": ["shared/used"], "capabilities": ["read"]},
            {"effect": "allow", "paths": ["shared/unused"], "capabilities": ["read"]},
        ],
    });
    let answer = api.call("PUT", "/api/v1/policies/readers", Some(policy)).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    assert_eq!(user.call("GET", "/api/v1/records/shared/used", None).await.status, 200);
    api.database
        .execute("UPDATE secrets SET created_at = now() - interval '100 days'; UPDATE secret_versions SET created_at = now() - interval '100 days'")
        .await;
    api.vault.vault.audit_log().seal().await.unwrap();
    let answer = api
        .call("GET", "/api/v1/reports/access?days=30&path=shared/used", None)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let report = answer.json();
    let uses: Vec<_> = report["grants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|grant| grant["uses"].as_i64().unwrap())
        .collect();
    assert_eq!(uses, [1, 0], "{report}");
    let unread: Vec<_> = report["unread"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["path"].as_str().unwrap())
        .collect();
    assert_eq!(unread, ["shared/unused"]);
    assert_eq!(report["unrotated"].as_array().unwrap().len(), 2);
    let holders: Vec<_> = report["holders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|holder| holder["name"].as_str().unwrap())
        .collect();
    assert_eq!(holders, ["admin", "user-1"]);
    let lone: Vec<_> = report["withoutSecondFactor"]
        .as_array()
        .unwrap()
        .iter()
        .map(|account| account["name"].as_str().unwrap())
        .collect();
    assert_eq!(lone, ["admin", "user-1"]);
    for bad in ["?days=0", "?days=401", "?days=-1", "?path=..%2F"] {
        assert_eq!(
            api.call("GET", &format!("/api/v1/reports/access{bad}"), None)
                .await
                .status,
            400,
            "{bad}"
        );
    }
}
