//! Canaries that the vault makes itself for a person: secrets of second factors, tokens of every kind, wrapped values.

use aether_vault::domain::sealed::SealingPublicKey;
use reqwest::Method;
use serde_json::{Value, json};
use totp_rs::Totp;

use super::needle::Needle;
use super::requests::Sent;
use crate::support::client::{Answer, Client};

/// A person who is invited, sets up an authenticator, logs in with it, makes a key and wraps a value.
pub async fn live_a_day(admin: &Client, nobody: &Client, sent: &mut Sent) {
    let post =
        async |client: &Client, uri: &str, body: Value| client.request(Method::POST, uri, Some(&body)).await.unwrap();
    let mut keep = |label: &str, answer: &Answer, pointer: &str| {
        let text = answer
            .body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{pointer}: {}", answer.text));
        sent.secrets.push(Needle::of(label, text));
        text.to_owned()
    };
    let invited = post(admin, "/api/v1/users", json!({"name": "canary"})).await.ok();
    let invitation = keep("invitation", &invited, "/invitation/token");
    let password = Needle::new("password of a person");
    let login = json!({"username": "canary", "password": password.text()});
    post(
        nobody,
        "/api/v1/auth/redeem",
        json!({"token": invitation, "newPassword": password.text()}),
    )
    .await
    .ok();
    let first = post(nobody, "/api/v1/auth/login", login.clone()).await.ok();
    keep("refresh token", &first, "/refreshToken");
    let person = nobody.with_token(first.body["token"].as_str().unwrap());

    let factor = "/api/v1/me/second-factor/totp";
    let enrolment = post(&person, factor, json!({"password": password.text()})).await.ok();
    keep("secret of an authenticator", &enrolment, "/secret");
    let totp = Totp::from_url(enrolment.body["uri"].as_str().unwrap()).unwrap();
    let confirmed = post(&person, &format!("{factor}/confirm"), json!({"code": code(&totp, 0)}))
        .await
        .ok();
    let recovery = keep("recovery code", &confirmed, "/recoveryCodes/0");
    keep("recovery code that is not used", &confirmed, "/recoveryCodes/1");

    let challenge = post(nobody, "/api/v1/auth/login", login.clone()).await;
    let challenge = keep("challenge", &challenge, "/challenge");
    let wrong = json!({"challenge": challenge, "recoveryCode": recovery.chars().rev().collect::<String>()});
    let refused = post(nobody, "/api/v1/auth/second-factor", wrong).await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let second = post(
        nobody,
        "/api/v1/auth/second-factor",
        json!({"challenge": challenge, "code": code(&totp, 1)}),
    )
    .await
    .ok();
    let refresh = keep("second refresh token", &second, "/refreshToken");
    let third = post(nobody, "/api/v1/auth/refresh", json!({"refreshToken": refresh}))
        .await
        .ok();
    keep("refresh token that followed", &third, "/refreshToken");
    let person = nobody.with_token(third.body["token"].as_str().unwrap());
    post(&person, "/api/v1/auth/step-up", json!({"recoveryCode": recovery}))
        .await
        .ok();
    let scopes = json!([{"paths": ["**"], "capabilities": ["read"]}]);
    let key = post(
        &person,
        "/api/v1/me/api-keys",
        json!({"name": "canary", "scopes": scopes}),
    )
    .await
    .ok();
    let key = keep("API key", &key, "/token");
    nobody
        .with_token(key)
        .request(Method::GET, "/api/v1/me", None)
        .await
        .unwrap()
        .ok();

    let value = Needle::new("value that is wrapped");
    admin
        .write("shared/wrapped", &json!({"value": value.text()}))
        .await
        .ok();
    let wrapped = post(admin, "/api/v1/wrap/shared/wrapped", json!({})).await.ok();
    let token = keep("token of a wrapped value", &wrapped, "/token");
    post(&person, "/api/v1/unwrap", json!({"token": token})).await.ok();
    let again = post(&person, "/api/v1/unwrap", json!({"token": token})).await;
    assert_eq!(again.reason(), "WrapGone", "{}", again.text);
    sent.refusals.extend([refused, again]);
    sent.secrets.extend([password, value]);
}

/// The key that values are sealed to.
pub async fn sealing_key(nobody: &Client) -> SealingPublicKey {
    let keys = nobody
        .request(Method::GET, "/api/v1/sealing-keys", None)
        .await
        .unwrap()
        .ok();
    keys.body["keys"][0]["publicKey"].as_str().unwrap().parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "an authenticator goes by the clock")]
fn code(totp: &Totp, ahead: u64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    totp.generate(now.as_secs() + 30 * ahead).to_string()
}
