//! API keys, from their making to their end.

mod life;
mod rights;

use aether_vault::http::Rates;
use axum::Router;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::client::{Answer, TestApi, router_with, send_to};
use crate::support::vault::{ADMIN_PASSWORD, TestVault};

const KEYS: &str = "/api/v1/me/api-keys";

fn everything(name: &str) -> Value {
    json!({"name": name, "scopes": [{"paths": ["**"], "capabilities": ["list", "read", "create", "update", "delete"]}]})
}

struct Made {
    id: String,
    text: String,
}

impl TestApi {
    /// A user with the administrator's password; answers the id.
    async fn user(&self, name: &str, role: &str, kind: &str) -> Uuid {
        let id = Uuid::from_bytes(aether_vault::crypto::random::bytes());
        let password = if kind == "machine" { "NULL" } else { "password_hash" };
        let sql = format!(
            "INSERT INTO users (id, name, role, kind, password_hash)
             SELECT '{id}', '{name}', '{role}', '{kind}', {password} FROM users WHERE name = 'admin'"
        );
        self.database.execute(&sql).await;
        id
    }

    /// The same API as somebody else, or with an API key.
    fn with(&self, token: &str) -> Caller<'_> {
        Caller {
            api: self,
            token: token.to_owned(),
            router: self.router.clone(),
        }
    }

    async fn log_in(&self, name: &str) -> Caller<'_> {
        let body = json!({"username": name, "password": ADMIN_PASSWORD});
        let answer = self.call("POST", "/api/v1/auth/login", Some(body)).await;
        self.with(answer.json()["token"].as_str().unwrap_or_else(|| panic!("{answer:?}")))
    }
}

struct Caller<'a> {
    api: &'a TestApi,
    token: String,
    router: Router,
}

impl Caller<'_> {
    /// The same through another process.
    fn through(&self, vault: &TestVault) -> Self {
        Self {
            api: self.api,
            token: self.token.clone(),
            router: router_with(vault, Rates::default()),
        }
    }

    async fn call(&self, method: &str, uri: &str, body: Option<Value>) -> Answer {
        let mut request = self.api.request(method, uri, body);
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        send_to(&self.router, request).await
    }

    async fn make(&self, uri: &str, body: Value) -> Made {
        let answer = self.call("POST", uri, Some(body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let body = answer.json();
        Made {
            id: body["id"].as_str().unwrap().to_owned(),
            text: body["token"].as_str().unwrap().to_owned(),
        }
    }
}
