//! A person's whole way, over HTTP against running servers, as somebody would go it with `curl`: from the first administrator to the end of
//! every credential.

use aether_vault::crypto::pkce;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::authenticator::Authenticator;
use crate::support::client::{Answer, Client};
use crate::support::database::TestDatabase;
use crate::support::process::Installation;
use crate::support::provider::{Browser, Provider, client};

const PASSWORD: &str = "seven plain words that only ann knows";
/// What her browser's side of single sign-on keeps to itself.
const VERIFIER: &str = "a-verifier-that-nobody-else-has-0123456789abcdef";

async fn post(client: &Client, uri: &str, body: Value) -> Answer {
    client.request(Method::POST, uri, Some(&body)).await.unwrap()
}

fn text(answer: &Answer, field: &str) -> String {
    answer.body[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field}: {}", answer.text))
        .to_owned()
}

/// Goes through single sign-on in a browser; answers where it came back from the provider, and the one-time code.
async fn sign_on(address: &str) -> (Browser, String, String) {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("redirect", "https://ui.test/done")
        .append_pair("codeChallenge", &pkce::challenge(VERIFIER))
        .finish();
    let mut browser = Browser::new();
    let start = format!("{address}/api/v1/auth/sso/corp/start?{query}");
    let provider = browser.visit(&start).await.location;
    let back = browser.log_in(&provider, "a-1").await;
    let done = browser.visit(&back).await.location;
    let (_, code) = done.split_once("?code=").unwrap_or_else(|| panic!("{done}"));
    let code = code.to_owned();
    (browser, back, code)
}

#[tokio::test]
async fn from_the_first_administrator_to_the_end_of_every_credential() {
    let database = TestDatabase::new().await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    let vault = format!("http://{}", installation.api_address());
    let Some(provider) = Provider::start_for(&json!([client("vault", &vault, "corp")])).await else {
        return;
    };
    provider
        .account("a-1", json!({"preferred_username": "ann.a"}), &["pwd"])
        .await;
    let mut corp = serde_json::to_value(provider.settings("corp", "vault")).unwrap();
    corp["just_in_time"] = false.into();
    installation.set("http.public_url", &vault);
    installation.set("auth.sso.providers", &json!([corp]).to_string());
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
    let authenticator = Authenticator::of_uri(&text(&enrolment, "uri"));
    let confirmed = post(
        &before,
        "/api/v1/me/second-factor/totp/confirm",
        json!({"code": authenticator.code_ahead(0)}),
    )
    .await
    .ok();
    let recovery: Vec<String> = serde_json::from_value(confirmed.body["recoveryCodes"].clone()).unwrap();
    assert_eq!(before.read("shared/vip/db").await.reason(), "SessionEnded");

    // Logging in takes both now.
    let challenge = post(&nobody, "/api/v1/auth/login", login.clone()).await;
    assert_eq!(challenge.status, 202, "{}", challenge.text);
    assert!(challenge.body.get("token").is_none());
    let used = authenticator.code_ahead(1);
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

    // Nobody at the provider is her, until she says who is. Then she logs in there; her second factor is asked for all the same.
    let exchange = |code: &str| json!({"code": code, "verifier": VERIFIER});
    let (_, _, code) = sign_on(&vault).await;
    let unknown = post(&nobody, "/api/v1/auth/sso/exchange", exchange(&code)).await;
    assert_eq!((unknown.status, unknown.reason()), (403, "IdentityUnknown"));
    let (_, _, code) = sign_on(&vault).await;
    let link = json!({"code": code, "verifier": VERIFIER, "password": PASSWORD});
    post(&ann_again, "/api/v1/me/identities", link).await.ok();
    let (mut browser, back, code) = sign_on(&vault).await;
    let signed_on = post(&nobody, "/api/v1/auth/sso/exchange", exchange(&code)).await;
    assert_eq!(signed_on.status, 202, "{}", signed_on.text);
    let answer_to_provider = json!({"challenge": text(&signed_on, "challenge"), "recoveryCode": recovery[1]});
    let third = post(&nobody, "/api/v1/auth/second-factor", answer_to_provider.clone())
        .await
        .ok();
    let ann_by_provider = nobody.with_token(text(&third, "token"));
    ann_by_provider.read(&own).await.ok();
    ann_by_provider.read("shared/vip/db").await.ok();

    // All sessions are revoked, however they began; what is a credential of its own is still one.
    let address = format!("/api/v1/users/{}", me.body["id"].as_str().unwrap());
    let revoked = admin
        .request(Method::DELETE, &format!("{address}/sessions"), None)
        .await
        .unwrap()
        .ok();
    assert_eq!(revoked.body["ended"], 2, "by password and by the provider");
    for (what, client) in [
        ("first", &before),
        ("second", &ann),
        ("refreshed", &ann_again),
        ("by the provider", &ann_by_provider),
    ] {
        assert_eq!(client.read(&own).await.reason(), "SessionEnded", "{what}");
    }
    program.read(&own).await.ok();

    // The account is disabled, which ends its keys, and enabled again, which brings nothing back.
    for disabled in [true, false] {
        admin
            .request(Method::PATCH, &address, Some(&json!({"disabled": disabled})))
            .await
            .unwrap()
            .ok();
        for (what, client) in [("refreshed", &ann_again), ("by the provider", &ann_by_provider)] {
            assert_eq!(client.read(&own).await.status, 401, "{what}, disabled: {disabled}");
        }
        if disabled {
            assert_eq!(program.read(&own).await.status, 401, "her key, while she is disabled");
        }
    }
    let key_address = format!("/api/v1/me/api-keys/{}", text(&key, "id"));
    let login_again = async |code: Value| {
        let challenge = post(&nobody, "/api/v1/auth/login", login.clone()).await;
        let mut body = json!({"challenge": text(&challenge, "challenge")});
        body.as_object_mut().unwrap().extend(code.as_object().unwrap().clone());
        post(&nobody, "/api/v1/auth/second-factor", body).await
    };
    let last = login_again(json!({"recoveryCode": recovery[2]})).await.ok();
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
        ("token by the provider", &ann_by_provider),
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
        (
            "refresh token of a session by the provider",
            post(
                &nobody,
                "/api/v1/auth/refresh",
                json!({"refreshToken": text(&third, "refreshToken")}),
            )
            .await,
        ),
        (
            "challenge of a login by the provider",
            post(&nobody, "/api/v1/auth/second-factor", answer_to_provider).await,
        ),
        ("code that was used", login_again(json!({"code": used})).await),
        (
            "recovery code that was used",
            login_again(json!({"recoveryCode": recovery[0]})).await,
        ),
        ("another one", login_again(json!({"recoveryCode": recovery[1]})).await),
        ("a third", login_again(json!({"recoveryCode": recovery[2]})).await),
    ] {
        assert_eq!(refused.status, 401, "{what}: {}", refused.text);
    }
    let again = post(&nobody, "/api/v1/auth/sso/exchange", exchange(&code)).await;
    assert_eq!(again.reason(), "SsoFlowInvalid", "the code of a login by the provider");
    let again = browser.visit(&back).await;
    assert_eq!(
        (again.status, again.location.as_str()),
        (400, ""),
        "the state of that login"
    );
    let live = "SELECT (SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.name = 'ann' AND s.revoked_at IS NULL)
                     + (SELECT count(*) FROM api_keys WHERE revoked_at IS NULL)";
    assert_eq!(database.count(live).await, 0);
}
