//! Policies by REST: who may write them, what they do at the next call, why, and what they would do.

mod answers;
mod force;
mod writing;

use aether_vault::service::auth::LoginRequest;
use aether_vault::service::auth::RequestInfo;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::http::client::{Answer, TestApi};
use crate::support::vault::ADMIN_PASSWORD;

/// Makes a user with the administrator's password, and logs them in.
async fn join(api: &TestApi, name: &str, role: &str) -> String {
    let sql = format!(
        "INSERT INTO users (id, name, role, password_hash) SELECT gen_random_uuid(), '{name}', '{role}', password_hash FROM users WHERE name = 'admin'"
    );
    api.database.execute(&sql).await;
    log_in(api, name).await
}

async fn log_in(api: &TestApi, name: &str) -> String {
    let request = LoginRequest {
        name: name.to_owned(),
        password: ADMIN_PASSWORD.into(),
        new_password: None,
    };
    let outcome = api
        .vault
        .vault
        .auth()
        .login(request, RequestInfo::default())
        .await
        .unwrap();
    outcome.session().unwrap().token.expose_secret().to_owned()
}

async fn call_as(api: &TestApi, token: &str, method: &str, uri: &str, body: Option<Value>) -> Answer {
    let mut request = api.request(method, uri, body);
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    api.send(request).await
}

fn rule(subject: &Value, effect: &str, path: &str, capabilities: &[&str]) -> Value {
    json!({"subjects": [subject], "rules": [{"effect": effect, "paths": [path], "capabilities": capabilities}]})
}

fn ann() -> Value {
    json!({"kind": "User", "name": "Ann"})
}
