//! A person's whole way, over HTTP against running servers, as somebody would go it with `curl`: from the first administrator to the end of
//! every credential.

use aws_lc_rs::hmac;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::database::TestDatabase;
use crate::support::process::Installation;

const PASSWORD: &str = "seven plain words that only ann knows";

async fn post(client: &Client, uri: &str, body: Value) -> Answer {
    client.request(Method::POST, uri, Some(&body)).await.unwrap()
}

fn text(answer: &Answer, field: &str) -> String {
    answer.body[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field}: {}", answer.text))
        .to_owned()
}

/// What an authenticator shows (RFC 6238): `ahead` steps of half a minute from now.
#[expect(clippy::disallowed_methods, reason = "an authenticator goes by the clock")]
fn code(secret: &str, ahead: i64) -> String {
    let step = jiff::Timestamp::now().as_second() / 30 + ahead;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &base32(secret));
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let at = usize::from(bytes[19] & 0x0f);
    let number = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn base32(text: &str) -> Vec<u8> {
    let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
    for c in text.bytes().filter(|c| *c != b'=') {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
            .iter()
            .position(|known| *known == c)
            .unwrap();
        bits = bits << 5 | u32::try_from(value).unwrap();
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    out
}

#[tokio::test]
async fn from_the_first_administrator_to_the_end_of_every_credential() {
    let database = TestDatabase::new().await;
    let installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let _api = installation.api().await;
    let nobody = installation.client();

    // The first administrator replaces the one-time password, and keeps a record that wants a fresh second factor.
    let admin = installation.administrator().await;
    admin.write("shared/vip/db", &json!({"password": "guarded"})).await.ok();
    let policy = json!({
        "subjects": [{"kind": "User", "name": "ann"}],
        "rules": [{"effect": "allow", "paths": ["shared/vip/**"], "capabilities": ["read"], "conditions": {"secondFactorWithin": "15m"}}],
    });

    // Ann is invited and sets a password.
    let invited = post(&admin, "/api/v1/users", json!({"name": "ann"})).await.ok();
    let invitation = invited.body["invitation"]["token"].as_str().unwrap().to_owned();
    let redemption = json!({"token": invitation, "newPassword": PASSWORD});
    post(&nobody, "/api/v1/auth/redeem", redemption.clone()).await.ok();
    admin
        .request(Method::PUT, "/api/v1/policies/vip", Some(&policy))
        .await
        .unwrap()
        .ok();

    // She logs in and enrols an authenticator, which ends the session that was begun without it.
    let login = json!({"username": "ann", "password": PASSWORD});
    let first = post(&nobody, "/api/v1/auth/login", login.clone()).await.ok();
    let before = nobody.with_token(text(&first, "token"));
    assert_eq!(before.read("shared/vip/db").await.reason(), "StepUpRequired");
    let enrolment = post(&before, "/api/v1/me/second-factor/totp", json!({"password": PASSWORD}))
        .await
        .ok();
    let secret = text(&enrolment, "secret");
    let confirmed = post(
        &before,
        "/api/v1/me/second-factor/totp/confirm",
        json!({"code": code(&secret, 0)}),
    )
    .await
    .ok();
    let recovery: Vec<String> = serde_json::from_value(confirmed.body["recoveryCodes"].clone()).unwrap();
    assert_eq!(before.read("shared/vip/db").await.reason(), "SessionEnded");

    // Logging in takes both now.
    let challenge = post(&nobody, "/api/v1/auth/login", login.clone()).await;
    assert_eq!(challenge.status, 202, "{}", challenge.text);
    assert!(challenge.body.get("token").is_none());
    let used = code(&secret, 1);
    let answer = json!({"challenge": text(&challenge, "challenge"), "code": used});
    let second = post(&nobody, "/api/v1/auth/second-factor", answer.clone()).await.ok();
    let ann = nobody.with_token(text(&second, "token"));
    ann.read("shared/vip/db").await.ok();

    // An hour later the policy wants to see the second factor again.
    database
        .execute("UPDATE sessions SET second_factor_at = now() - interval '1 hour', revision = revision + 1 WHERE second_factor_at IS NOT NULL")
        .await;
    assert_eq!(ann.read("shared/vip/db").await.reason(), "StepUpRequired");
    post(&ann, "/api/v1/auth/step-up", json!({"recoveryCode": recovery[0]}))
        .await
        .ok();
    let guarded = ann.read("shared/vip/db").await.ok();
    assert_eq!(guarded.body["data"]["password"], "guarded");

    // A program of hers reads what is hers, and not what wants a second factor.
    let me = ann.request(Method::GET, "/api/v1/me", None).await.unwrap().ok();
    let own = format!("users/{}/mail", me.body["id"].as_str().unwrap());
    ann.write(&own, &json!({"password": "mine"})).await.ok();
    let scopes = json!([{"paths": ["**"], "capabilities": ["read"]}]);
    let key = post(&ann, "/api/v1/me/api-keys", json!({"name": "laptop", "scopes": scopes}))
        .await
        .ok();
    let program = nobody.with_token(text(&key, "token"));
    program.read(&own).await.ok();
    assert_eq!(
        program.read("shared/vip/db").await.status,
        403,
        "a key shows no second factor"
    );

    // The session goes on by its refresh token, which is good once.
    let refreshed = post(
        &nobody,
        "/api/v1/auth/refresh",
        json!({"refreshToken": text(&second, "refreshToken")}),
    )
    .await
    .ok();
    let ann_again = nobody.with_token(text(&refreshed, "token"));
    ann_again.read(&own).await.ok();

    // Everything is taken back: the account is disabled, and enabled again.
    let address = format!("/api/v1/users/{}", me.body["id"].as_str().unwrap());
    for disabled in [true, false] {
        admin
            .request(Method::PATCH, &address, Some(&json!({"disabled": disabled})))
            .await
            .unwrap()
            .ok();
        for (what, client) in [("first", &before), ("second", &ann), ("refreshed", &ann_again)] {
            assert_eq!(client.read(&own).await.status, 401, "{what}, disabled: {disabled}");
        }
    }
    let key_address = format!("/api/v1/me/api-keys/{}", text(&key, "id"));
    let login_again = async |code: Value| {
        let challenge = post(&nobody, "/api/v1/auth/login", login.clone()).await;
        let mut body = json!({"challenge": text(&challenge, "challenge")});
        body.as_object_mut().unwrap().extend(code.as_object().unwrap().clone());
        post(&nobody, "/api/v1/auth/second-factor", body).await
    };
    let last = login_again(json!({"recoveryCode": recovery[1]})).await.ok();
    let last_session = nobody.with_token(text(&last, "token"));
    last_session
        .request(Method::DELETE, &key_address, None)
        .await
        .unwrap()
        .ok();
    post(&last_session, "/api/v1/auth/logout", json!({})).await.ok();

    // No credential that ever was opens anything.
    for (what, client) in [
        ("first token", &before),
        ("second token", &ann),
        ("refreshed token", &ann_again),
        ("last token", &last_session),
        ("API key", &program),
    ] {
        for path in [own.as_str(), "shared/vip/db"] {
            assert_eq!(client.read(path).await.status, 401, "{what}");
        }
    }
    for (what, refused) in [
        ("invitation", post(&nobody, "/api/v1/auth/redeem", redemption).await),
        ("challenge", post(&nobody, "/api/v1/auth/second-factor", answer).await),
        (
            "refresh token that was used",
            post(
                &nobody,
                "/api/v1/auth/refresh",
                json!({"refreshToken": text(&second, "refreshToken")}),
            )
            .await,
        ),
        (
            "refresh token of an ended session",
            post(
                &nobody,
                "/api/v1/auth/refresh",
                json!({"refreshToken": text(&refreshed, "refreshToken")}),
            )
            .await,
        ),
        (
            "refresh token of a session that was logged out",
            post(
                &nobody,
                "/api/v1/auth/refresh",
                json!({"refreshToken": text(&last, "refreshToken")}),
            )
            .await,
        ),
        ("code that was used", login_again(json!({"code": used})).await),
        (
            "recovery code that was used",
            login_again(json!({"recoveryCode": recovery[0]})).await,
        ),
        ("another one", login_again(json!({"recoveryCode": recovery[1]})).await),
    ] {
        assert_eq!(refused.status, 401, "{what}: {}", refused.text);
    }
    let live = "SELECT (SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.name = 'ann' AND s.revoked_at IS NULL)
                     + (SELECT count(*) FROM api_keys WHERE revoked_at IS NULL)";
    assert_eq!(database.count(live).await, 0);
}
