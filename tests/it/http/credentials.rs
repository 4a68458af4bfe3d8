//! R13: our own credentials, good ones that are in force, go to whoever they were made for and nowhere else. R22: what is meant for the
//! inside has no door here. R9: who may not act does not, whatever the role.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{TestApi, router_of};
use super::leaks::assert_without;
use crate::support::authenticator::Authenticator;
use crate::support::client::{Answer, Client};
use crate::support::database::TestDatabase;
use crate::support::process::{ADMIN_PASSWORD, Installation};

const ANNS_PASSWORD: &str = "seven plain words that only ann knows";

#[tokio::test]
async fn r13_credentials_in_force_are_in_no_later_answer_no_log_no_metric_and_no_row() {
    let database = TestDatabase::new().await;
    let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
    installation.set("log.filter", "trace");
    let api = installation.api().await;
    let other = installation.beside();
    let other_api = other.api().await;
    let one_time = std::fs::read_to_string(installation.folder().join("admin-credential")).unwrap();
    let admin = installation.administrator().await;
    let send = async |client: &Client, method: Method, uri: &str, body: Value| -> Answer {
        client.request(method, uri, Some(&body)).await.unwrap().ok()
    };

    let made = send(&admin, Method::POST, "/api/v1/users", json!({"name": "ann"})).await;
    let invitation = made.body["invitation"]["token"].as_str().unwrap().to_owned();
    let redemption = json!({"token": invitation, "newPassword": ANNS_PASSWORD});
    send(&installation.client(), Method::POST, "/api/v1/auth/redeem", redemption).await;
    let nobody = installation.client();
    let first = nobody.log_in("ann", ANNS_PASSWORD, None).await;

    // A second factor, a login with it, and a session that was refreshed at the other process.
    let totp = "/api/v1/me/second-factor/totp";
    let enrolment = send(&first, Method::POST, totp, json!({"password": ANNS_PASSWORD})).await;
    let authenticator = Authenticator::of_uri(&text(&enrolment, "uri"));
    let confirm = json!({"code": authenticator.code_ahead(0)});
    let confirmed = send(&first, Method::POST, &format!("{totp}/confirm"), confirm).await;
    let recovery: Vec<String> = serde_json::from_value(confirmed.body["recoveryCodes"].clone()).unwrap();
    let login = json!({"username": "ann", "password": ANNS_PASSWORD});
    let waiting = send(&nobody, Method::POST, "/api/v1/auth/login", login.clone()).await;
    let challenge = send(&nobody, Method::POST, "/api/v1/auth/login", login).await;
    let shown = json!({"challenge": text(&challenge, "challenge"), "recoveryCode": recovery[0]});
    let session = send(&nobody, Method::POST, "/api/v1/auth/second-factor", shown).await;
    let refresh = json!({"refreshToken": text(&session, "refreshToken")});
    let refreshed = send(&other.client(), Method::POST, "/api/v1/auth/refresh", refresh).await;
    let ann = nobody.with_token(text(&refreshed, "token"));
    let scopes = json!([{"paths": ["**"], "capabilities": ["list", "read", "create", "update"]}]);
    let made = send(
        &ann,
        Method::POST,
        "/api/v1/me/api-keys",
        json!({"name": "deploy", "scopes": scopes}),
    )
    .await;
    let key = made.body["token"].as_str().unwrap().to_owned();
    let user = made_id(&ann).await;

    // Everything is used, well and badly, and what can be listed is listed.
    let program = installation.client().with_token(key.clone());
    program
        .write(&format!("users/{user}/mail"), &json!({"password": "p"}))
        .await
        .ok();
    let mut later = vec![
        program.read(&format!("users/{user}/mail")).await,
        program.read("shared/not-mine").await,
        installation
            .client()
            .with_token(format!("{key}x"))
            .read("shared/x")
            .await,
    ];
    for (client, uri) in [
        (&ann, "/api/v1/me"),
        (&ann, "/api/v1/me/api-keys"),
        (&ann, "/api/v1/list"),
        (&admin, "/api/v1/users"),
        (&admin, &format!("/api/v1/users/{user}")),
        (&admin, &format!("/api/v1/users/{user}/api-keys")),
        (&admin, "/api/v1/policies"),
        (&admin, "/api/v1/nothing"),
    ] {
        later.push(client.request(Method::GET, uri, None).await.unwrap());
    }
    let again = json!({"token": invitation, "newPassword": ANNS_PASSWORD});
    later.push(
        installation
            .client()
            .request(Method::POST, "/api/v1/auth/redeem", Some(&again))
            .await
            .unwrap(),
    );
    let worthless = text(&session, "refreshToken");
    for (client, uri, body) in [
        (&ann, "/api/v1/auth/step-up", json!({"recoveryCode": recovery[1]})),
        (&ann, "/api/v1/auth/step-up", json!({"recoveryCode": recovery[1]})),
        (
            &nobody,
            "/api/v1/auth/refresh",
            json!({"refreshToken": format!("{worthless}x")}),
        ),
        (
            &other.client(),
            "/api/v1/auth/second-factor",
            json!({"challenge": text(&waiting, "challenge"), "recoveryCode": recovery[1]}),
        ),
    ] {
        later.push(client.request(Method::POST, uri, Some(&body)).await.unwrap());
    }
    later.push(other.client().with_token(key.clone()).read("shared/not-mine").await);
    later.push(
        ann.request(Method::GET, "/api/v1/me/second-factor", None)
            .await
            .unwrap(),
    );

    let metrics = installation.metrics(&api).await + &other.metrics(&other_api).await;
    let log = api.log() + &other_api.log();
    assert!(log.contains("DEBUG"), "the log is at its most talkative");
    let rows = "SELECT query_to_xml('SELECT * FROM ' || quote_ident(relname), true, false, '')::text FROM pg_class \
                WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY relname";
    let tables: Vec<String> = sqlx::query_scalar(rows).fetch_all(&database.superuser).await.unwrap();
    assert!(tables.concat().contains("deploy"), "the tables were read");
    let credentials = [
        one_time.trim().to_owned(),
        ADMIN_PASSWORD.to_owned(),
        ANNS_PASSWORD.to_owned(),
        invitation,
        admin.token().to_owned(),
        first.token().to_owned(),
        text(&session, "token"),
        text(&session, "refreshToken"),
        text(&refreshed, "token"),
        text(&refreshed, "refreshToken"),
        text(&waiting, "challenge"),
        text(&challenge, "challenge"),
        text(&enrolment, "secret"),
        key,
    ];
    for credential in credentials.iter().chain(&recovery) {
        for answer in &later {
            assert_without("an answer", &answer.text, credential);
        }
        assert_without("the log", &log, credential);
        assert_without("the metrics", &metrics, credential);
        for table in &tables {
            assert_without("the database", table, credential);
        }
    }
}

fn text(answer: &Answer, field: &str) -> String {
    answer.body[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field}: {}", answer.text))
        .to_owned()
}

async fn made_id(client: &Client) -> String {
    let me = client.request(Method::GET, "/api/v1/me", None).await.unwrap().ok();
    me.body["id"].as_str().unwrap().to_owned()
}

/// Nothing under `src/http` names what operators do from the command line, and an administrator who looks for it finds no route.
#[tokio::test]
async fn r22_what_is_meant_for_the_inside_has_no_route() {
    let source = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let inside: Vec<String> = [
        "src/service/maintenance.rs",
        "src/service/recovery.rs",
        "src/service/auth/bootstrap.rs",
    ]
    .into_iter()
    .flat_map(|file| public_functions(&source(file)))
    .collect();
    assert!(inside.iter().any(|name| name == "recover_administrator"), "{inside:?}");
    assert!(inside.iter().any(|name| name == "adopt_root"), "{inside:?}");
    let mut files = vec![std::path::PathBuf::from(format!(
        "{}/src/http",
        env!("CARGO_MANIFEST_DIR")
    ))];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        read += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        for name in &inside {
            assert!(!text.contains(&format!(".{name}(")), "{} calls {name}", path.display());
        }
    }
    assert!(read > 30, "the sources were read");

    let api = TestApi::new().await;
    for uri in [
        "/metrics",
        "/debug/pprof",
        "/api/v1/recover",
        "/api/v1/roots/adopt",
        "/api/v1/syncs/confirm",
        "/api/v1/migrate",
        "/api/v1/keys",
        "/api/v1/bootstrap",
        "/api/v1/auth/bootstrap",
        "/api/v1/audit/verify",
        "/api/v1/settings",
    ] {
        for method in ["GET", "POST", "PUT"] {
            let answer = api.call(method, uri, None).await;
            assert_eq!(answer.problem(), (404, "RouteNotFound".to_owned()), "{method} {uri}");
        }
    }
}

fn public_functions(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            let rest = line
                .strip_prefix("pub async fn ")
                .or_else(|| line.strip_prefix("pub fn "))?;
            rest.split(['(', '<']).next().map(str::to_owned)
        })
        .collect()
}

/// Whoever is pending, disabled or deleted acts by no credential at any process, whatever the role says.
#[tokio::test]
async fn r09_an_administrator_who_may_not_act_administers_nothing() {
    let api = TestApi::new().await;
    let replica = api.vault.replica(&api.database).await;
    let processes = [api.router.clone(), router_of(&replica)];
    let invited = api
        .call("POST", "/api/v1/users", Some(json!({"name": "bob", "role": "admin"})))
        .await;
    let invitation = invited.json()["invitation"]["token"].as_str().unwrap().to_owned();
    let login = |name: &str| Some(json!({"username": name, "password": ADMIN_PASSWORD}));
    for process in &processes {
        let answer = api.call_at(process, &invitation, "GET", "/api/v1/users", None).await;
        assert_eq!(
            answer.problem(),
            (401, "TokenInvalid".to_owned()),
            "an invitation is no credential"
        );
        let pending = api
            .call_at(process, "", "POST", "/api/v1/auth/login", login("bob"))
            .await;
        assert_eq!(pending.problem(), (401, "LoginFailed".to_owned()), "pending");
    }

    let ann = api.person("ann", "admin").await;
    let body = json!({
        "name": "deploy", "administers": true, "scopes": [{"paths": ["**"], "capabilities": ["read"]}],
    });
    let key = api
        .call_as(&api.token_of("ann").await, "POST", "/api/v1/me/api-keys", Some(body))
        .await;
    let key = key.json()["token"].as_str().unwrap().to_owned();
    let address = format!("/api/v1/users/{ann}");
    let (disable, enable) = (json!({"disabled": true}), json!({"disabled": false}));
    for (method, uri, body) in [
        ("PATCH", address.clone(), Some(disable)),
        ("DELETE", address.clone(), None),
    ] {
        let token = api.token_of("ann").await;
        for process in &processes {
            for credential in [&token, &key] {
                let answer = api.call_at(process, credential, "GET", "/api/v1/users", None).await;
                assert_eq!(answer.status, 200);
            }
        }
        assert!(api.call(method, &uri, body).await.status.is_success());
        for process in &processes {
            for (credential, reason) in [(&token, "SessionEnded"), (&key, "ApiKeyEnded")] {
                for (method, uri) in [
                    ("POST", "/api/v1/groups"),
                    ("GET", "/api/v1/users"),
                    ("GET", "/api/v1/me"),
                ] {
                    let answer = api
                        .call_at(process, credential, method, uri, Some(json!({"name": "mallory"})))
                        .await;
                    assert_eq!(answer.problem(), (401, reason.to_owned()), "{method} {uri}");
                }
            }
            let login = api
                .call_at(process, "", "POST", "/api/v1/auth/login", login("ann"))
                .await;
            assert_eq!(login.problem(), (401, "LoginFailed".to_owned()));
        }
        api.call("PATCH", &address, Some(enable.clone())).await;
    }
    assert_eq!(api.database.count("SELECT count(*) FROM groups").await, 0);
    let refused = api.database.audit().await;
    let refused = refused
        .iter()
        .filter(|entry| *entry == "auth.login deny LoginFailed ann");
    assert_eq!(
        refused.count(),
        4,
        "each refusal is an entry, disabled and deleted, at both processes"
    );
}
