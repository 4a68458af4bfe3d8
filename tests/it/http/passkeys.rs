//! Passkeys over REST, with an authenticator in software: registered, used alone and as a second factor, copied, removed.

use aether_vault::crypto::passkey::PasskeySettings;
use axum::Router;
use serde_json::{Value, json};

use super::client::{Answer, TestApi, router_with, send_to};
use crate::support::passkey::{Authenticator, Kind};
use crate::support::vault::TestVault;

const ORIGIN: &str = "https://vault.example.org";
const DOMAIN: &str = "vault.example.org";
const PASSKEYS: &str = "/api/v1/me/passkeys";

/// A vault with passkeys, in two processes.
struct Stage {
    api: TestApi,
    _one: TestVault,
    _two: TestVault,
    here: Router,
    there: Router,
}

impl Stage {
    async fn set() -> Self {
        let api = TestApi::new().await;
        let process = async || {
            api.vault
                .replica_with(&api.database, |config| {
                    config.passkeys = Some(PasskeySettings {
                        rp_id: DOMAIN.to_owned(),
                        origins: vec![ORIGIN.to_owned()],
                        name: "Aether Vault".to_owned(),
                    });
                })
                .await
        };
        let (one, two) = (process().await, process().await);
        let rates = aether_vault::http::Rates::default;
        let (here, there) = (router_with(&one, rates()), router_with(&two, rates()));
        api.person("ann", "user").await;
        Self {
            api,
            _one: one,
            _two: two,
            here,
            there,
        }
    }

    async fn send(&self, router: &Router, token: &str, method: &str, uri: &str, body: Option<Value>) -> Answer {
        let mut request = self.api.request(method, uri, body);
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        send_to(router, request).await
    }

    /// Registers a passkey of a person, begun at one process and ended at another.
    async fn register(&self, token: &str, authenticator: &mut Authenticator, name: &str) -> Answer {
        let uri = format!("{PASSKEYS}/start");
        let begun = self.send(&self.here, token, "POST", &uri, None).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        let body = json!({
            "ceremony": begun.json()["ceremony"], "name": name, "credential": authenticator.create(&begun.json()["options"]),
        });
        self.send(&self.there, token, "POST", PASSKEYS, Some(body)).await
    }

    async fn ann(&self) -> String {
        self.api.token_of("ann").await
    }

    async fn challenge(&self, uri: &str, body: Option<Value>) -> Value {
        let begun = self.send(&self.here, "", "POST", uri, body).await;
        assert_eq!(begun.status, 200, "{begun:?}");
        begun.json()
    }

    async fn answer(&self, challenge: &Value, credential: Value) -> Answer {
        let body = json!({"ceremony": challenge["ceremony"], "credential": credential});
        self.send(&self.there, "", "POST", "/api/v1/auth/passkey", Some(body))
            .await
    }

    /// Logs in by a passkey alone.
    async fn log_in(&self, authenticator: &mut Authenticator) -> Answer {
        let challenge = self.challenge("/api/v1/auth/passkey/start", None).await;
        let credential = authenticator.get(&challenge["options"]);
        self.answer(&challenge, credential).await
    }
}

#[tokio::test]
async fn a_passkey_is_registered_used_alone_renamed_and_removed_and_each_change_ends_sessions() {
    let stage = Stage::set().await;
    let mut laptop = Authenticator::new(ORIGIN, DOMAIN);
    let ann = stage.ann().await;
    let made = stage.register(&ann, &mut laptop, " laptop ").await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["name"], "laptop");
    let address = made.header("location").to_owned();
    let me = stage.send(&stage.here, &ann, "GET", "/api/v1/me", None).await;
    assert_eq!(
        me.problem(),
        (401, "SessionEnded".to_owned()),
        "R7: another second factor"
    );

    let logged_in = stage.log_in(&mut laptop).await;
    assert_eq!(logged_in.status, 200, "{logged_in:?}");
    let ann = logged_in.json()["token"].as_str().unwrap().to_owned();
    let me = stage.send(&stage.here, &ann, "GET", "/api/v1/me", None).await.json();
    assert_eq!(
        (&me["name"], &me["secondFactor"]["passkeys"]),
        (&json!("ann"), &json!(1))
    );
    let both = "SELECT count(*) FROM sessions WHERE method = 'passkey' AND second_factor_at IS NOT NULL AND revoked_at IS NULL";
    assert_eq!(stage.api.database.count(both).await, 1, "it stands for both factors");

    let list = stage.send(&stage.here, &ann, "GET", PASSKEYS, None).await.json();
    assert_eq!(list["items"][0]["name"], "laptop");
    assert!(list["items"][0]["lastUsedAt"].is_string());
    let renamed = stage
        .send(
            &stage.here,
            &ann,
            "PATCH",
            &address,
            Some(json!({"name": "old laptop"})),
        )
        .await;
    assert_eq!(renamed.status, 204, "{renamed:?}");
    for name in ["", "a\nb", &"x".repeat(65)] {
        let refused = stage
            .send(&stage.here, &ann, "PATCH", &address, Some(json!({"name": name})))
            .await;
        assert_eq!(refused.problem(), (400, "InvalidRequest".to_owned()), "R23");
    }
    let removed = stage.send(&stage.here, &ann, "DELETE", &address, None).await;
    assert_eq!(removed.status, 204, "{removed:?}");
    let me = stage.send(&stage.there, &ann, "GET", "/api/v1/me", None).await;
    assert_eq!(me.problem(), (401, "SessionEnded".to_owned()), "R7: one factor less");
    assert_eq!(
        stage.log_in(&mut laptop).await.problem(),
        (401, "LoginFailed".to_owned())
    );
    let entries = stage.api.database.audit().await;
    for action in ["passkey.add allow", "passkey.rename allow", "passkey.remove allow"] {
        assert!(
            entries.iter().any(|line| line.starts_with(action)),
            "{action}: {entries:?}"
        );
    }
}

#[tokio::test]
async fn passkeys_of_every_kind_of_key_that_is_asked_for_log_their_owner_in_and_no_signature_but_theirs_does() {
    let stage = Stage::set().await;
    let begun = stage
        .send(
            &stage.here,
            &stage.ann().await,
            "POST",
            &format!("{PASSKEYS}/start"),
            None,
        )
        .await
        .json();
    let asked: Vec<_> = begun["options"]["publicKey"]["pubKeyCredParams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["alg"].as_i64().unwrap())
        .collect();
    assert_eq!(asked, [-8, -7, -257], "EdDSA, ES256, RS256");

    // Registering ends sessions, so each is registered with the login of the one before.
    let mut token = stage.ann().await;
    for kind in [Kind::EdDsa, Kind::Es256, Kind::Rs256] {
        let mut passkey = Authenticator::of_kind(kind, ORIGIN, DOMAIN);
        let made = stage.register(&token, &mut passkey, &format!("{kind:?}")).await;
        assert_eq!(made.status, 201, "{kind:?}: {made:?}");
        let challenge = stage.challenge("/api/v1/auth/passkey/start", None).await;
        let mut forged = passkey.get(&challenge["options"]);
        let signature = forged["response"]["signature"].as_str().unwrap();
        let (first, rest) = signature.split_at(10);
        let other = if rest.starts_with('A') { "B" } else { "A" };
        forged["response"]["signature"] = format!("{first}{other}{}", &rest[1..]).into();
        assert_eq!(
            stage.answer(&challenge, forged).await.problem(),
            (401, "LoginFailed".to_owned()),
            "{kind:?}: one bit or more of the signature is another"
        );
        let logged_in = stage.log_in(&mut passkey).await;
        assert_eq!(logged_in.status, 200, "{kind:?}: {logged_in:?}");
        token = logged_in.json()["token"].as_str().unwrap().to_owned();
    }
    let list = stage.send(&stage.here, &token, "GET", PASSKEYS, None).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_its_challenge_logs_nobody_in() {
    let stage = Stage::set().await;
    let mut laptop = Authenticator::new(ORIGIN, DOMAIN);
    assert_eq!(
        stage.register(&stage.ann().await, &mut laptop, "laptop").await.status,
        201
    );
    let failed = (401, "LoginFailed".to_owned());
    let begin = async || stage.challenge("/api/v1/auth/passkey/start", None).await;

    // The challenge is good once, also for two processes at a time, and for its own answer alone.
    let challenge = begin().await;
    let credential = laptop.get(&challenge["options"]);
    let (a, b) = tokio::join!(
        stage.answer(&challenge, credential.clone()),
        stage.answer(&challenge, credential.clone())
    );
    let good = [&a, &b].iter().filter(|answer| answer.status == 200).count();
    assert_eq!(good, 1, "{a:?} {b:?}");
    assert_eq!(
        stage.answer(&begin().await, credential).await.problem(),
        failed,
        "of another challenge"
    );

    let mut elsewhere = laptop.copy().at("https://vault.example.org.evil.example");
    assert_eq!(
        stage.log_in(&mut elsewhere).await.problem(),
        failed,
        "a page that looks the same"
    );
    let mut other_domain = Authenticator::new(ORIGIN, "evil.example");
    assert_eq!(stage.log_in(&mut other_domain).await.problem(), failed, "unknown");

    let challenge = begin().await;
    laptop.flags = 0x01;
    let unverified = laptop.get(&challenge["options"]);
    assert_eq!(
        stage.answer(&challenge, unverified).await.problem(),
        failed,
        "nobody verified the user"
    );
    laptop.flags = 0x05;

    // The signature of one passkey under the name of another user.
    stage.api.person("bob", "user").await;
    let mut bobs = Authenticator::new(ORIGIN, DOMAIN);
    let bob = stage.api.token_of("bob").await;
    assert_eq!(stage.register(&bob, &mut bobs, "phone").await.status, 201);
    let challenge = begin().await;
    let mut stolen = laptop.get(&challenge["options"]);
    stolen["response"]["userHandle"] = bobs.get(&challenge["options"])["response"]["userHandle"].clone();
    assert_eq!(
        stage.answer(&challenge, stolen).await.problem(),
        failed,
        "whose it is, and says it is"
    );

    for body in [json!({}), json!({"ceremony": "x", "credential": {}})] {
        let answer = stage
            .send(&stage.here, "", "POST", "/api/v1/auth/passkey", Some(body))
            .await;
        assert_eq!(answer.problem(), (400, "InvalidRequest".to_owned()));
    }
    stage
        .api
        .database
        .execute("UPDATE users SET disabled_at = now() WHERE name = 'ann'")
        .await;
    assert_eq!(stage.log_in(&mut laptop).await.problem(), failed, "R9: disabled");
}

#[tokio::test]
async fn a_copied_passkey_is_not_taken_any_more_once_both_were_used() {
    let stage = Stage::set().await;
    let mut laptop = Authenticator::new(ORIGIN, DOMAIN);
    assert_eq!(
        stage.register(&stage.ann().await, &mut laptop, "laptop").await.status,
        201
    );
    assert_eq!(stage.log_in(&mut laptop).await.status, 200);
    let mut copy = laptop.copy();
    assert_eq!(stage.log_in(&mut laptop).await.status, 200);
    let failed = (401, "LoginFailed".to_owned());
    assert_eq!(stage.log_in(&mut copy).await.problem(), failed, "its counter is behind");
    assert_eq!(
        stage.log_in(&mut laptop).await.problem(),
        failed,
        "whichever is the copy"
    );
    let suspect = "SELECT count(*) FROM passkeys WHERE suspect_at IS NOT NULL";
    assert_eq!(stage.api.database.count(suspect).await, 1);

    // One that never counts is no copy of itself.
    let mut synced = Authenticator::new(ORIGIN, DOMAIN);
    synced.counts = false;
    stage.api.database.execute("DELETE FROM passkeys").await;
    assert_eq!(
        stage.register(&stage.ann().await, &mut synced, "phone").await.status,
        201
    );
    for _ in 0..3 {
        assert_eq!(stage.log_in(&mut synced).await.status, 200);
    }
}

#[tokio::test]
async fn a_passkey_is_registered_once_and_by_its_own_person_in_a_session_that_is_fresh() {
    let stage = Stage::set().await;
    let mut laptop = Authenticator::new(ORIGIN, DOMAIN);
    let start = format!("{PASSKEYS}/start");

    // Another person does not end what this one began.
    let ann = stage.ann().await;
    stage.api.person("bob", "user").await;
    let bob = stage.api.token_of("bob").await;
    let begun = stage.send(&stage.here, &ann, "POST", &start, None).await.json();
    let body = json!({"ceremony": begun["ceremony"], "name": "x", "credential": laptop.create(&begun["options"])});
    let refused = stage
        .send(&stage.here, &bob, "POST", PASSKEYS, Some(body.clone()))
        .await;
    assert_eq!(refused.problem(), (422, "PasskeyRefused".to_owned()));
    let made = stage
        .send(&stage.here, &ann, "POST", PASSKEYS, Some(body.clone()))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    // The same authenticator is one passkey, whoever asks.
    let taken = stage.register(&bob, &mut laptop, "mine").await;
    assert_eq!(taken.problem(), (422, "PasskeyRefused".to_owned()));

    // A session that was begun long ago changes no factor, an API key never.
    stage
        .api
        .database
        .execute("UPDATE sessions SET created_at = now() - interval '16 minutes'")
        .await;
    let stale = stage.send(&stage.here, &bob, "POST", &start, None).await;
    assert_eq!(stale.problem(), (403, "StepUpRequired".to_owned()));
    let key = json!({"name": "k", "scopes": [{"paths": ["**"], "capabilities": ["read"]}]});
    let key = stage
        .send(&stage.here, &bob, "POST", "/api/v1/me/api-keys", Some(key))
        .await;
    let key = key.json()["token"].as_str().unwrap().to_owned();
    for (method, uri) in [("POST", start.as_str()), ("GET", PASSKEYS)] {
        let refused = stage.send(&stage.here, &key, method, uri, None).await;
        assert_eq!(refused.problem(), (403, "SessionRequired".to_owned()), "{method} {uri}");
    }

    // Without a domain there are no passkeys.
    let off = stage.api.call("POST", &start, None).await;
    assert_eq!(off.problem(), (409, "PasskeysOff".to_owned()));
}

/// As the second factor of a login, and as a fresh one within a session: by challenges of the account itself.
#[tokio::test]
async fn a_passkey_is_the_second_factor_after_a_password_and_steps_a_session_up() {
    let stage = Stage::set().await;
    let mut laptop = Authenticator::new(ORIGIN, DOMAIN);
    assert_eq!(
        stage.register(&stage.ann().await, &mut laptop, "laptop").await.status,
        201
    );
    let password = async |name: &str| {
        let body = json!({"username": name, "password": crate::support::vault::ADMIN_PASSWORD});
        stage
            .send(&stage.here, "", "POST", "/api/v1/auth/login", Some(body))
            .await
    };
    let waiting = password("ann").await;
    assert_eq!(waiting.status, 202, "R2: {waiting:?}");
    assert_eq!(waiting.json()["methods"], json!(["passkey"]));
    let challenge = waiting.json()["challenge"].clone();
    let begun = stage
        .challenge(
            "/api/v1/auth/second-factor/passkey",
            Some(json!({"challenge": challenge})),
        )
        .await;
    let answer = json!({
        "challenge": challenge,
        "passkey": {"ceremony": begun["ceremony"], "credential": laptop.get(&begun["options"])},
    });
    let complete = async |body: Value| {
        stage
            .send(&stage.there, "", "POST", "/api/v1/auth/second-factor", Some(body))
            .await
    };
    let done = complete(answer.clone()).await;
    assert_eq!(done.status, 200, "{done:?}");
    let again = complete(answer).await;
    assert_eq!(again.status, 401, "the challenge is good once: {again:?}");
    let ann = done.json()["token"].as_str().unwrap().to_owned();

    // Nobody else's passkey will do, whoever has the password.
    stage.api.person("bob", "user").await;
    let mut phone = Authenticator::new(ORIGIN, DOMAIN);
    assert_eq!(
        stage
            .register(&stage.api.token_of("bob").await, &mut phone, "phone")
            .await
            .status,
        201
    );
    let challenge = password("ann").await.json()["challenge"].clone();
    let begun = stage
        .challenge(
            "/api/v1/auth/second-factor/passkey",
            Some(json!({"challenge": challenge})),
        )
        .await;
    let stolen = json!({
        "challenge": challenge,
        "passkey": {"ceremony": begun["ceremony"], "credential": phone.get(&begun["options"])},
    });
    assert_eq!(complete(stolen).await.problem(), (401, "SecondFactorFailed".to_owned()));

    stage
        .api
        .database
        .execute("UPDATE sessions SET second_factor_at = now() - interval '1 day', revision = revision + 1 WHERE second_factor_at IS NOT NULL")
        .await;
    let begun = stage
        .send(&stage.here, &ann, "POST", "/api/v1/auth/step-up/passkey", None)
        .await
        .json();
    let body = json!({"passkey": {"ceremony": begun["ceremony"], "credential": laptop.get(&begun["options"])}});
    let stepped = stage
        .send(&stage.there, &ann, "POST", "/api/v1/auth/step-up", Some(body))
        .await;
    assert_eq!(stepped.status, 204, "{stepped:?}");
    let fresh =
        "SELECT count(*) FROM sessions WHERE second_factor_at > now() - interval '1 minute' AND revoked_at IS NULL";
    assert_eq!(stage.api.database.count(fresh).await, 1);
}
