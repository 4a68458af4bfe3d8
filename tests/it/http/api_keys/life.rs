//! From the making of a key to its end.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{KEYS, everything};
use crate::http::client::TestApi;

#[tokio::test]
async fn r14_the_text_of_a_key_is_shown_once_and_stored_as_a_hash() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    let key = admin.make(KEYS, everything("deploy")).await;
    assert!(
        key.text.starts_with("avk_") && key.text.len() == 60,
        "a prefix for scanners, and 280 bits"
    );
    let list = admin.call("GET", KEYS, None).await;
    assert_eq!(list.json()["items"][0]["name"], "deploy");
    assert!(!list.text.contains(&key.text));
    let whole = format!(
        "SELECT count(*) FROM api_keys k WHERE k::text LIKE '%{}%'",
        &key.text[20..]
    );
    assert_eq!(api.database.count(&whole).await, 0);
    assert_eq!(
        api.with(&key.text).call("GET", "/api/v1/me", None).await.json()["name"],
        "admin"
    );

    // A typing error is told by the checksum: the database is not asked.
    let other = if key.text.ends_with('7') { "8" } else { "7" };
    let mistyped = format!("{}{other}", &key.text[..59]);
    let answer = api.with(&mistyped).call("GET", "/api/v1/me", None).await;
    assert_eq!(answer.problem(), (401, "TokenInvalid".into()));
    assert!(answer.detail().contains("checksum"), "{}", answer.detail());
    let (stranger, _) = aether_vault::crypto::token::generate("avk");
    let answer = api.with(stranger.expose_secret()).call("GET", "/api/v1/me", None).await;
    assert_eq!(answer.problem(), (401, "TokenInvalid".into()));
    assert_eq!(
        api.database
            .audit()
            .await
            .iter()
            .filter(|entry| entry.starts_with("api_key."))
            .count(),
        2,
        "made and listed"
    );
}

#[tokio::test]
async fn r07_a_revoked_key_is_refused_at_the_very_next_call_on_every_process() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    let replica = api.vault.replica(&api.database).await;
    let key = admin.make(KEYS, everything("deploy")).await;
    let here = api.with(&key.text);
    let there = here.through(&replica);
    let path = "/api/v1/records/shared/smtp";
    assert_eq!(
        here.call("PUT", path, Some(json!({"data": {"a": "1"}}))).await.status,
        201
    );
    assert_eq!(there.call("GET", path, None).await.status, 200);
    assert_eq!(
        admin.call("DELETE", &format!("{KEYS}/{}", key.id), None).await.status,
        204
    );
    for process in [&there, &here] {
        for (method, uri, body) in [
            ("GET", path, None),
            ("PUT", path, Some(json!({"data": {"a": "2"}}))),
            ("PUT", "/api/v1/records/shared/new", Some(json!({"data": {"a": "2"}}))),
            ("DELETE", path, None),
            ("GET", "/api/v1/list", None),
            ("GET", "/api/v1/me", None),
        ] {
            let answer = process.call(method, uri, body).await;
            assert_eq!(answer.problem(), (401, "ApiKeyEnded".into()), "{method} {uri}");
        }
    }
    assert_eq!(api.database.count("SELECT count(*) FROM secret_versions").await, 1);
    assert_eq!(
        admin
            .call("DELETE", &format!("{KEYS}/{}", key.id), None)
            .await
            .problem(),
        (404, "ApiKeyNotFound".into())
    );
}

#[tokio::test]
async fn r07_what_happens_to_the_owner_happens_to_the_key_on_every_process() {
    let api = TestApi::new().await;
    let owner = api.user("ann", "admin", "person").await;
    let key = api.log_in("ann").await.make(KEYS, everything("deploy")).await;
    let replica = api.vault.replica(&api.database).await;
    let here = api.with(&key.text);
    let there = here.through(&replica);
    let path = "/api/v1/records/shared/smtp";
    assert_eq!(
        here.call("PUT", path, Some(json!({"data": {"a": "1"}}))).await.status,
        201
    );
    assert_eq!(there.call("GET", path, None).await.status, 200);

    // An administrator no more: what each process remembers of the key is worth nothing.
    api.database
        .execute(&format!("UPDATE users SET role = 'user' WHERE id = '{owner}'"))
        .await;
    for process in [&here, &there] {
        let answer = process.call("GET", path, None).await;
        assert_eq!(
            answer.problem(),
            (503, "Busy".into()),
            "asked to try again, and not answered"
        );
        assert_eq!(
            process.call("GET", path, None).await.problem(),
            (403, "PolicyDenied".into())
        );
    }
    let member = format!(
        "INSERT INTO groups (id, name) VALUES ('{owner}', 'ops'); INSERT INTO group_members (group_id, user_id) VALUES ('{owner}', '{owner}')"
    );
    api.database.execute(&member).await;
    assert_eq!(here.call("GET", path, None).await.problem(), (503, "Busy".into()));
    assert_eq!(
        here.call("GET", path, None).await.problem(),
        (403, "PolicyDenied".into())
    );

    api.database
        .execute(&format!("UPDATE users SET disabled_at = now() WHERE id = '{owner}'"))
        .await;
    for process in [&here, &there] {
        assert_eq!(
            process.call("GET", path, None).await.problem(),
            (401, "ApiKeyEnded".into())
        );
    }
}

#[tokio::test]
async fn r40_the_keys_of_a_removed_user_end_with_them() {
    let api = TestApi::new().await;
    let owner = api.user("ann", "user", "person").await;
    let key = api.log_in("ann").await.make(KEYS, everything("deploy")).await;
    let path = format!("/api/v1/records/users/{owner}/mail");
    let bearer = api.with(&key.text);
    assert_eq!(
        bearer
            .call("PUT", &path, Some(json!({"data": {"a": "1"}})))
            .await
            .status,
        201
    );
    api.database
        .execute(&format!("DELETE FROM users WHERE id = '{owner}'"))
        .await;
    assert_eq!(
        bearer.call("GET", &path, None).await.problem(),
        (401, "ApiKeyEnded".into())
    );
    // Somebody of the same name is somebody else, and so are their keys.
    api.user("ann", "user", "person").await;
    assert_eq!(
        bearer.call("GET", &path, None).await.problem(),
        (401, "TokenInvalid".into())
    );
    let again = api.log_in("ann").await.make(KEYS, everything("deploy")).await;
    assert_eq!(
        api.with(&again.text).call("GET", &path, None).await.problem(),
        (403, "PolicyDenied".into())
    );
}

#[tokio::test]
async fn r23_ends_overlaps_scopes_and_numbers_of_keys_are_bounded() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    let end = |time: &str| {
        let mut wanted = everything("bounded");
        wanted["expiresAt"] = time.into();
        wanted
    };
    for body in [
        end("2020-01-01T00:00:00Z"),
        end("2999-01-01T00:00:00Z"),
        end("tomorrow"),
        json!({"name": "", "scopes": everything("x")["scopes"]}),
        json!({"name": "x", "scopes": []}),
        json!({"name": "x", "scopes": [{"paths": ["shared/../x"], "capabilities": ["read"]}]}),
        json!({"name": "x", "scopes": [{"paths": ["shared/**"], "capabilities": ["rule"]}]}),
        json!({"name": "x", "scopes": everything("x")["scopes"], "networks": ["10.0.0.0/33"]}),
        json!({"name": "x", "scopes": everything("x")["scopes"], "owner": "somebody"}),
    ] {
        let answer = admin.call("POST", KEYS, Some(body.clone())).await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".into()), "{body}");
    }
    let key = admin.make(KEYS, everything("deploy")).await;
    let rotate = format!("{KEYS}/{}/rotate", key.id);
    for overlap in [json!(604_801), json!(-1), json!(4_294_967_296_u64), json!("1d")] {
        let answer = admin
            .call("POST", &rotate, Some(json!({"overlapSeconds": overlap})))
            .await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".into()), "{overlap}");
    }
    let fill = "INSERT INTO api_keys (id, user_id, name, hash, hint, scopes, expires_at)
                SELECT gen_random_uuid(), u.id, 'x', decode(md5(n::text), 'hex'), 'x', '[]', now() + interval '1 day'
                FROM users u, generate_series(1, 98) n";
    api.database.execute(fill).await;
    let (a, b) = tokio::join!(
        admin.call("POST", KEYS, Some(everything("hundredth"))),
        admin.call("POST", KEYS, Some(everything("hundredth")))
    );
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "the last place is given once");
}

#[tokio::test]
async fn a_key_is_rotated_with_an_overlap() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    let mut wanted = everything("deploy");
    wanted["networks"] = json!(["192.0.2.0/24"]);
    let old = admin.make(KEYS, wanted).await;
    let rotate = |id: &str, body: Value| {
        let uri = format!("{KEYS}/{id}/rotate");
        let admin = &admin;
        async move { admin.make(&uri, body).await }
    };
    let new = rotate(&old.id, json!({"overlapSeconds": 3600})).await;
    for key in [&old, &new] {
        assert_eq!(api.with(&key.text).call("GET", "/api/v1/me", None).await.status, 200);
    }
    let listed = admin.call("GET", KEYS, None).await.json();
    let (first, second) = (&listed["items"][0], &listed["items"][1]);
    assert_eq!((&first["replaces"], &first["name"]), (&json!(old.id), &json!("deploy")));
    assert_eq!(
        (&first["scopes"], &first["networks"]),
        (&second["scopes"], &second["networks"])
    );
    let hour = "SELECT count(*) FROM api_keys WHERE expires_at <= now() + interval '1 hour'";
    assert_eq!(api.database.count(hour).await, 1, "the old one ends with the overlap");
    let year = "SELECT count(*) FROM api_keys WHERE expires_at > now() + interval '364 days'";
    assert_eq!(
        api.database.count(year).await,
        1,
        "the new one lives as long as the old one was made for"
    );

    // An answer may be lost on its way: rotating again makes another successor, of the same life.
    rotate(&old.id, json!({"overlapSeconds": 60})).await;
    assert_eq!(api.database.count(year).await, 2);
    // Without an overlap the old one ends at once.
    let newest = rotate(&new.id, json!({"overlapSeconds": 0})).await;
    assert_eq!(
        api.with(&new.text).call("GET", "/api/v1/me", None).await.problem(),
        (401, "ApiKeyEnded".into())
    );
    assert_eq!(api.with(&newest.text).call("GET", "/api/v1/me", None).await.status, 200);
    let answer = admin
        .call("POST", &format!("{KEYS}/{}/rotate", new.id), Some(json!({})))
        .await;
    assert_eq!(
        answer.problem(),
        (404, "ApiKeyNotFound".into()),
        "what has ended is not rotated"
    );
}

#[tokio::test]
async fn the_day_of_the_last_use_is_noted_once() {
    let api = TestApi::new().await;
    let admin = api.with(&api.token);
    let key = admin.make(KEYS, everything("deploy")).await;
    let today = "SELECT count(*) FROM api_keys WHERE last_used_on = (now() AT TIME ZONE 'UTC')::date";
    let writes = "SELECT n_tup_upd::bigint FROM pg_stat_user_tables WHERE relname = 'api_keys'";
    let bearer = api.with(&key.text);
    for _ in 0..5 {
        assert_eq!(bearer.call("GET", "/api/v1/me", None).await.status, 200);
    }
    for attempt in 0.. {
        if api.database.count(today).await == 1 {
            break;
        }
        assert!(attempt < 100, "the use is not noted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let used = admin.call("GET", KEYS, None).await.json()["items"][0]["lastUsedOn"].clone();
    assert_eq!(used.as_str().map(str::len), Some(10));
    assert!(api.database.count(writes).await <= 1, "one write a day");
}
