//! Groups over REST: what they are called, who belongs to them, and what ends with them.

use axum::Router;
use serde_json::{Value, json};

use super::client::{Answer, TestApi, router_of, send_to};
use crate::support::vault::ADMIN_PASSWORD;

impl TestApi {
    /// A person with the administrator's password, as an administrator would make one; answers the id.
    pub async fn person(&self, name: &str, role: &str) -> String {
        let made = self
            .call("POST", "/api/v1/users", Some(json!({"name": name, "role": role})))
            .await;
        let token = made.json()["invitation"]["token"].clone();
        let redeemed = json!({"token": token, "newPassword": ADMIN_PASSWORD});
        let redeemed = self.call("POST", "/api/v1/auth/redeem", Some(redeemed)).await;
        assert_eq!(redeemed.status, 204, "{redeemed:?}");
        made.json()["user"]["id"].as_str().unwrap().to_owned()
    }

    /// An access token of a person.
    pub async fn token_of(&self, name: &str) -> String {
        let body = json!({"username": name, "password": ADMIN_PASSWORD});
        let answer = self.call("POST", "/api/v1/auth/login", Some(body)).await;
        answer.json()["token"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer:?}"))
            .to_owned()
    }

    /// Sends a request with somebody else's token.
    pub async fn call_as(&self, token: &str, method: &str, uri: &str, body: Option<Value>) -> Answer {
        self.call_at(&self.router, token, method, uri, body).await
    }

    /// The same to another process.
    pub async fn call_at(&self, process: &Router, token: &str, method: &str, uri: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, uri, body);
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        send_to(process, request).await
    }
}

#[tokio::test]
async fn a_group_is_made_filled_renamed_and_removed() {
    let api = TestApi::new().await;
    let ann = api.person("ann", "user").await;
    let made = api.call("POST", "/api/v1/groups", Some(json!({"name": " OPS "}))).await;
    assert_eq!(made.status, 201, "{made:?}");
    let address = made.header("location").to_owned();
    assert_eq!(made.json()["name"], "ops");
    let again = api.call("POST", "/api/v1/groups", Some(json!({"name": "Ｏps"}))).await;
    assert_eq!(
        again.problem(),
        (409, "GroupExists".to_owned()),
        "R15: every spelling is taken"
    );
    for name in ["", "system", "a b", "a/b"] {
        let refused = api.call("POST", "/api/v1/groups", Some(json!({"name": name}))).await;
        assert_eq!(refused.problem(), (400, "InvalidRequest".to_owned()), "{name:?}");
    }

    let membership = format!("{address}/members/{ann}");
    assert_eq!(api.call("PUT", &membership, None).await.status, 204);
    assert_eq!(
        api.call("PUT", &membership, None).await.status,
        204,
        "once more changes nothing"
    );
    let members = api.call("GET", &format!("{address}/members"), None).await.json();
    assert_eq!(
        members["items"],
        json!([{"id": ann, "name": "ann", "origins": ["local"]}])
    );
    assert_eq!(api.call("GET", &address, None).await.json()["members"], 1);
    let nobody = format!("{address}/members/{}", uuid::Uuid::nil());
    assert_eq!(
        api.call("PUT", &nobody, None).await.problem(),
        (404, "UserNotFound".to_owned())
    );
    assert_eq!(
        api.call("DELETE", &nobody, None).await.problem(),
        (404, "MemberNotFound".to_owned())
    );
    let nowhere = format!("/api/v1/groups/{}/members/{ann}", uuid::Uuid::nil());
    assert_eq!(
        api.call("PUT", &nowhere, None).await.problem(),
        (404, "GroupNotFound".to_owned())
    );

    let renamed = api.call("PATCH", &address, Some(json!({"name": "platform"}))).await;
    assert_eq!(
        (renamed.status.as_u16(), &renamed.json()["name"]),
        (200, &json!("platform"))
    );
    let user = api.call("GET", &format!("/api/v1/users/{ann}"), None).await.json();
    assert_eq!(user["groups"], json!(["platform"]));

    // A membership that single sign-on made is the provider's to end.
    let by_provider = format!(
        "INSERT INTO group_members (group_id, user_id, origin) SELECT id, '{ann}', 'corp' FROM groups WHERE name = 'platform'"
    );
    api.database.execute(&by_provider).await;
    assert_eq!(api.call("DELETE", &membership, None).await.status, 204);
    let left = api.call("GET", &format!("{address}/members"), None).await.json();
    assert_eq!(left["items"][0]["origins"], json!(["corp"]));
    assert_eq!(
        api.call("DELETE", &membership, None).await.problem(),
        (404, "MemberNotFound".to_owned())
    );

    assert_eq!(api.call("DELETE", &address, None).await.status, 204);
    assert_eq!(
        api.call("GET", &address, None).await.problem(),
        (404, "GroupNotFound".to_owned())
    );
    let user = api.call("GET", &format!("/api/v1/users/{ann}"), None).await.json();
    assert_eq!(user["groups"], json!([]));
}

#[tokio::test]
async fn lists_go_on_after_names_of_any_script() {
    let api = TestApi::new().await;
    for name in ["jürgen", "ops", "ärzte"] {
        assert_eq!(
            api.call("POST", "/api/v1/groups", Some(json!({"name": name})))
                .await
                .status,
            201
        );
    }
    let (mut names, mut uri) = (Vec::new(), "/api/v1/groups?limit=1".to_owned());
    loop {
        let page = api.call("GET", &uri, None).await.json();
        names.push(page["items"][0]["name"].as_str().unwrap().to_owned());
        let Some(next) = page["next"].as_str() else { break };
        uri = format!("/api/v1/groups?limit=1&after={next}");
    }
    assert_eq!(names, ["jürgen", "ops", "ärzte"], "in the order of bytes");
    for limit in ["0", "-1", "1001"] {
        let answer = api.call("GET", &format!("/api/v1/groups?limit={limit}"), None).await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".to_owned()), "R23: {limit}");
    }
}

#[tokio::test]
async fn r07_joining_leaving_and_another_name_of_a_group_end_sessions_on_every_process() {
    let api = TestApi::new().await;
    let replica = api.vault.replica(&api.database).await;
    let processes = [api.router.clone(), router_of(&replica)];
    let ann = api.person("ann", "user").await;
    api.person("bob", "user").await;
    let made = api.call("POST", "/api/v1/groups", Some(json!({"name": "ops"}))).await;
    let group = made.header("location").to_owned();
    let bobs = api.token_of("bob").await;
    api.call("PUT", "/api/v1/records/shared/smtp", Some(json!({"data": {"a": "b"}})))
        .await;
    let policy = json!({
        "subjects": [{"kind": "Group", "name": "ops"}],
        "rules": [{"effect": "allow", "paths": ["shared/**"], "capabilities": ["read"]}],
    });
    let put = api.call("PUT", "/api/v1/policies/ops-read", Some(policy)).await;
    assert!(put.status.is_success(), "{put:?}");
    let scopes = json!([{"paths": ["**"], "capabilities": ["read"]}]);
    let key = api
        .call_as(
            &api.token_of("ann").await,
            "POST",
            "/api/v1/me/api-keys",
            Some(json!({"name": "deploy", "scopes": scopes})),
        )
        .await;
    let key = key.json()["token"].as_str().unwrap().to_owned();
    let me = async |process: &Router, token: &str| {
        let answer = api.call_at(process, token, "GET", "/api/v1/me", None).await;
        (
            answer.status.as_u16(),
            answer.json()["reason"].as_str().unwrap_or_default().to_owned(),
        )
    };
    // A key whose owner's rights have changed is asked to come again, and then has the new ones.
    let read = async |process: &Router| {
        let ask = || api.call_at(process, &key, "GET", "/api/v1/records/shared/smtp", None);
        let answer = ask().await;
        let answer = if answer.problem() == (503, "Busy".to_owned()) {
            ask().await
        } else {
            answer
        };
        answer.status.as_u16()
    };

    let membership = format!("{group}/members/{ann}");
    let ended = (401, "SessionEnded".to_owned());
    for (method, uri, body, reads) in [
        ("PUT", &membership, None, 200),
        ("DELETE", &membership, None, 403),
        ("PUT", &membership, None, 200),
        // The policy was written for the group of the old name.
        ("PATCH", &group, Some(json!({"name": "platform"})), 403),
        ("DELETE", &group, None, 403),
    ] {
        // Known to both processes, so that neither answers from what it does not have in memory.
        let anns = api.token_of("ann").await;
        for process in &processes {
            assert_eq!(me(process, &anns).await.0, 200);
            read(process).await;
        }
        let changed = api.call(method, uri, body).await;
        assert!(changed.status.is_success(), "{method} {uri}: {changed:?}");
        for (n, process) in processes.iter().enumerate() {
            assert_eq!(me(process, &anns).await, ended, "{method} {uri}, process {n}");
            assert_eq!(read(process).await, reads, "a key of hers: {method} {uri}, process {n}");
        }
    }
    for process in &processes {
        assert_eq!(me(process, &bobs).await.0, 200, "bob was in none of it");
    }
}

/// What a group was granted is not granted to another of the same name, made later.
#[tokio::test]
async fn r40_a_group_made_again_under_the_same_name_is_nobody_to_older_policies() {
    let api = TestApi::new().await;
    let ann = api.person("ann", "user").await;
    api.call("PUT", "/api/v1/records/shared/smtp", Some(json!({"data": {"a": "b"}})))
        .await;
    let join = async || {
        let made = api.call("POST", "/api/v1/groups", Some(json!({"name": "ops"}))).await;
        let address = made.header("location").to_owned();
        api.call("PUT", &format!("{address}/members/{ann}"), None).await;
        address
    };
    let reads = async || {
        let token = api.token_of("ann").await;
        api.call_as(&token, "GET", "/api/v1/records/shared/smtp", None)
            .await
            .status
            .as_u16()
    };
    let first = join().await;
    let policy = json!({
        "subjects": [{"kind": "Group", "name": "ops"}],
        "rules": [{"effect": "allow", "paths": ["shared/**"], "capabilities": ["read"]}],
    });
    assert!(
        api.call("PUT", "/api/v1/policies/ops-read", Some(policy))
            .await
            .status
            .is_success()
    );
    assert_eq!(reads().await, 200);
    assert_eq!(api.call("DELETE", &first, None).await.status, 204);
    assert_eq!(reads().await, 403);
    let second = join().await;
    assert_eq!(reads().await, 403, "another group of the same name");
    api.call("PATCH", &second, Some(json!({"name": "other"}))).await;
    api.call("PATCH", &second, Some(json!({"name": "ops"}))).await;
    assert_eq!(reads().await, 403, "nor by a name that it took back");
}
