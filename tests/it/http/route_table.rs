//! Every route of the API, driven as everybody, on objects of somebody else. The statuses are a committed snapshot; a route that is new
//! has to say here what it is called with.

use std::fmt::Write as _;

use aether_vault::http::{Access, Endpoint, endpoints};
use aether_vault::service::door::ClusterIssuer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Answer, TestApi};
use crate::support::vault::ADMIN_PASSWORD;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    /// Somebody with a token of another vault.
    Stranger,
    User,
    Auditor,
    Admin,
    /// A user's API key, with scopes for everything.
    Key,
    /// A workload, logged in with its service account token.
    Account,
}

const EVERYBODY: [Who; 7] = [
    Who::Nobody,
    Who::Stranger,
    Who::User,
    Who::Auditor,
    Who::Admin,
    Who::Key,
    Who::Account,
];

/// What is somebody else's, and what each caller has of it.
type Seen = (Foreign, Vec<(Who, Option<String>)>);

/// A vault with a cluster, and what a test needs to call it as anybody.
struct Stage {
    api: TestApi,
    cluster: EcdsaKeyPair,
    /// For calls that only look, which see nothing of each other: somebody else, and everybody's tokens.
    seen: Option<Seen>,
}

/// Somebody else, with one of everything that a route may name.
struct Foreign {
    user: Uuid,
    name: String,
    group: Uuid,
    key: Uuid,
    passkey: Uuid,
    session: Uuid,
    identity: Uuid,
    policy: String,
    path: String,
}

fn fresh() -> Uuid {
    Uuid::from_bytes(aether_vault::crypto::random::bytes())
}

impl Stage {
    async fn set() -> Self {
        let api = TestApi::new().await;
        let cluster = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        api.database
            .execute(
                "INSERT INTO clusters (id, prefix, kube_system_uid, platform) VALUES (gen_random_uuid(), 'k8s', 'u', true);
                 INSERT INTO cluster_namespaces (cluster_id, name, uid, created_at, seen_at)
                 SELECT id, 'shop', 'uid-shop', now() - interval '1 day', now() + interval '1 day' FROM clusters",
            )
            .await;
        let point = cluster.public_key().as_ref();
        let (x, y) = (
            URL_SAFE_NO_PAD.encode(&point[1..33]),
            URL_SAFE_NO_PAD.encode(&point[33..]),
        );
        let key = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k", "x": x, "y": y});
        let issuer = ClusterIssuer {
            issuer: "https://kubernetes.default.svc".to_owned(),
            jwks: json!({"keys": [key]}),
        };
        api.vault.vault.publish_issuer("k8s", &issuer).await.unwrap();
        let mut stage = Self {
            api,
            cluster,
            seen: None,
        };
        let mut tokens = Vec::new();
        for who in EVERYBODY {
            tokens.push((who, stage.token(who).await));
        }
        stage.seen = Some((stage.foreign().await, tokens));
        stage
    }

    #[expect(clippy::disallowed_methods, reason = "tokens of the test's cluster carry times")]
    fn service_account_token(&self) -> String {
        let now = Timestamp::now().as_second();
        let claims = json!({
            "iss": "https://kubernetes.default.svc", "aud": ["aether-vault"], "sub": "system:serviceaccount:shop:web",
            "iat": now - 10, "nbf": now - 10, "exp": now + 3600,
            "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "web", "uid": "su"}},
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&json!({"alg": "ES256", "kid": "k"})), encode(&claims));
        let signature = self.cluster.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A person of a role with the administrator's password.
    async fn account(&self, role: &str) -> (Uuid, String) {
        let (id, name) = (fresh(), format!("{role}-{}", fresh().simple()));
        let sql = format!(
            "INSERT INTO users (id, name, role, password_hash) SELECT '{id}', '{name}', '{role}', password_hash FROM users WHERE name = 'admin'"
        );
        self.api.database.execute(&sql).await;
        (id, name)
    }

    /// A token of somebody who has just come, so that no call sees what another one did.
    async fn token(&self, who: Who) -> Option<String> {
        let person = async |role: &str| {
            let (_, name) = self.account(role).await;
            self.api.token_of(&name).await
        };
        Some(match who {
            Who::Nobody => return None,
            Who::Stranger => format!("{}AAAA", &self.api.token[..self.api.token.len() - 4]),
            Who::User => person("user").await,
            Who::Auditor => person("auditor").await,
            Who::Admin => person("admin").await,
            Who::Key => {
                let owner = person("user").await;
                let capabilities = ["list", "read", "create", "update", "delete", "undelete", "destroy"];
                let scopes = json!([{"paths": ["**"], "capabilities": capabilities}]);
                let body = json!({"name": "k", "scopes": scopes});
                let made = self
                    .api
                    .call_as(&owner, "POST", "/api/v1/me/api-keys", Some(body))
                    .await;
                made.json()["token"].as_str().unwrap().to_owned()
            }
            Who::Account => {
                let body = json!({"token": self.service_account_token()});
                let answer = self.api.call("POST", "/api/v1/auth/kubernetes", Some(body)).await;
                answer.json()["token"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{answer:?}"))
                    .to_owned()
            }
        })
    }

    /// Somebody else with one of everything.
    async fn foreign(&self) -> Foreign {
        let (user, name) = self.account("user").await;
        let foreign = Foreign {
            user,
            policy: format!("policy-{}", user.simple()),
            path: format!("users/{user}/mail"),
            name,
            group: fresh(),
            key: fresh(),
            passkey: fresh(),
            session: fresh(),
            identity: fresh(),
        };
        let Foreign {
            group,
            key,
            passkey,
            session,
            identity,
            policy,
            ..
        } = &foreign;
        self.api
            .database
            .execute(&format!(
                "INSERT INTO groups (id, name) VALUES ('{group}', 'group-{group}');
                 INSERT INTO api_keys (id, user_id, name, hash, hint, scopes, expires_at)
                 VALUES ('{key}', '{user}', 'k', sha256('{key}'::bytea), 'avk_', '[]', now() + interval '1 day');
                 INSERT INTO passkeys (id, user_id, name, credential_id, credential) VALUES ('{passkey}', '{user}', 'p', '{passkey}'::bytea, '{{}}');
                 INSERT INTO sessions (id, user_id, expires_at, ends_at) VALUES ('{session}', '{user}', now() + interval '1 day', now() + interval '1 day');
                 INSERT INTO identities (id, user_id, provider, subject) VALUES ('{identity}', '{user}', 'corp', '{identity}');
                 INSERT INTO policies (id, namespace, name, generation, scope, document)
                 VALUES (gen_random_uuid(), '', '{policy}', 1, '', '{{\"subjects\": [], \"rules\": []}}')"
            ))
            .await;
        let written = self
            .api
            .call(
                "PUT",
                &format!("/api/v1/records/{}", foreign.path),
                Some(json!({"data": {"k": "v"}})),
            )
            .await;
        assert!(written.status.is_success(), "{written:?}");
        foreign
    }

    /// Calls a route as somebody, on what is somebody else's.
    async fn call(&self, endpoint: &Endpoint, who: Who) -> Answer {
        let (made, token);
        let foreign = match &self.seen {
            Some((foreign, tokens)) if endpoint.method == "GET" => {
                token = tokens
                    .iter()
                    .find(|(known, _)| *known == who)
                    .and_then(|(_, token)| token.clone());
                foreign
            }
            _ => {
                token = self.token(who).await;
                made = self.foreign().await;
                &made
            }
        };
        let mut request = Request::builder()
            .method(endpoint.method)
            .uri(address(endpoint, foreign));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let records = ["/api/v1/records/{*path}", "/api/v1/metadata/{*path}"];
        let media_type = match endpoint.method == "PATCH" && records.contains(&endpoint.path) {
            true => "application/merge-patch+json",
            false => "application/json",
        };
        let request = match self.body(endpoint, foreign) {
            Some(body) => request
                .header("content-type", media_type)
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.api.send(request.unwrap()).await
    }

    /// What a route is called with.
    fn body(&self, endpoint: &Endpoint, foreign: &Foreign) -> Option<Value> {
        let read = json!([{"paths": ["**"], "capabilities": ["read"]}]);
        let policy = json!({"subjects": [{"kind": "User", "name": "nobody-here"}], "rules": [
            {"effect": "allow", "paths": ["shared/x"], "capabilities": ["read"]}]});
        let answer = json!({"ceremony": Uuid::nil(), "credential": {}});
        Some(match (endpoint.method, endpoint.path) {
            ("POST", "/api/v1/auth/login") => json!({"username": foreign.name, "password": ADMIN_PASSWORD}),
            ("POST", "/api/v1/auth/kubernetes") => json!({"token": self.service_account_token()}),
            ("POST", "/api/v1/auth/redeem") => json!({"token": "avo_none", "newPassword": "four plain words will do"}),
            ("POST", "/api/v1/me/password") => json!({"password": "wrong", "newPassword": "four plain words will do"}),
            ("PATCH", "/api/v1/me") => json!({"displayName": "Somebody"}),
            ("POST", "/api/v1/me/api-keys" | "/api/v1/users/{id}/api-keys") => json!({"name": "k", "scopes": read}),
            ("POST", path) if path.ends_with("/rotate") => json!({}),
            ("POST", "/api/v1/users") => json!({"name": format!("made-{}", fresh().simple())}),
            ("PATCH", "/api/v1/users/{id}") => json!({"displayName": "Somebody"}),
            ("POST", "/api/v1/groups") | ("PATCH", "/api/v1/groups/{id}") => {
                json!({"name": format!("made-{}", fresh().simple())})
            }
            ("PUT" | "PATCH", "/api/v1/records/{*path}") => json!({"data": {"k": "v"}}),
            ("PUT" | "PATCH", "/api/v1/metadata/{*path}") => json!({"description": "mail"}),
            ("POST", "/api/v1/rollback/{*path}") => json!({"version": 1}),
            ("POST", "/api/v1/copy/{*path}" | "/api/v1/move/{*path}") => json!({"to": format!("{}-2", foreign.path)}),
            ("POST", "/api/v1/wrap/{*path}") => json!({}),
            ("POST", path) if path.starts_with("/api/v1/unwrap") => json!({"token": "avw_none"}),
            ("POST", "/api/v1/batch/read") => json!({"records": [{"path": foreign.path}]}),
            ("PUT", "/api/v1/quotas/{*root}") => json!({"records": 1000}),
            ("POST", "/api/v1/shred/{*root}") => json!({"confirm": format!("users/{}", foreign.user)}),
            ("PUT", path) if path.starts_with("/api/v1/path-settings") => json!({"maxVersions": 20}),
            ("POST", "/api/v1/undelete/{*path}" | "/api/v1/destroy/{*path}") => json!({"versions": [1]}),
            ("PUT", "/api/v1/policies/{*name}") => policy,
            ("POST", "/api/v1/policies/explain") => json!({"capability": "read", "path": "shared/x"}),
            ("POST", "/api/v1/policies/preview") => json!({"name": "preview-x", "policy": policy}),
            ("POST", "/api/v1/me/passkeys") => {
                json!({"ceremony": Uuid::nil(), "credential": {}, "name": "laptop"})
            }
            ("PATCH", "/api/v1/me/passkeys/{passkey}") => json!({"name": "laptop"}),
            ("POST", "/api/v1/auth/passkey") => answer,
            ("POST", "/api/v1/sealing-keys/rewrap") => {
                json!({"cluster": "k8s", "namespace": "shop", "name": "orders", "key": "K", "sealed": "avs1.none"})
            }
            ("PUT", "/api/v1/system/config/{setting}") => {
                json!({"value": {"readOnly": false, "notice": "", "retryAfterSeconds": 60}})
            }
            ("POST", "/api/v1/auth/refresh") => json!({"refreshToken": "avr_none"}),
            ("POST", "/api/v1/auth/second-factor") => json!({"challenge": "avc_none", "code": "000000"}),
            ("POST", path) if path.starts_with("/api/v1/auth/second-factor/") => json!({"challenge": "avc_none"}),
            ("POST", "/api/v1/auth/step-up" | "/api/v1/me/second-factor/totp/confirm") => json!({"code": "000000"}),
            ("POST", "/api/v1/auth/sso/exchange") => json!({"code": "avsc_none", "verifier": "v"}),
            ("POST", "/api/v1/me/identities") => {
                json!({"code": "avsc_none", "verifier": "v", "password": ADMIN_PASSWORD})
            }
            ("POST", "/api/v1/me/identities/{id}/unlink") => json!({"password": ADMIN_PASSWORD}),
            ("POST", "/api/v1/auth/device/token") => json!({"deviceCode": "avd_none"}),
            ("POST", path) if path.starts_with("/api/v1/me/devices/") => json!({"userCode": "BBBB-BBBB"}),
            ("POST", "/api/v1/me/second-factor/totp") => json!({"password": ADMIN_PASSWORD}),
            _ => return None,
        })
    }
}

/// The route with what is somebody else's in its places. A place that is not known here fails: say which foreign object it stands for.
fn address(endpoint: &Endpoint, foreign: &Foreign) -> String {
    let mut out = String::new();
    for segment in endpoint.path.split('/').skip(1) {
        out.push('/');
        let Some(place) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            out.push_str(segment);
            continue;
        };
        out.push_str(&match (place, endpoint.path) {
            ("id", path) if path.starts_with("/api/v1/users/") => foreign.user.to_string(),
            ("id", path) if path.starts_with("/api/v1/groups/") => foreign.group.to_string(),
            ("id", path) if path.starts_with("/api/v1/me/identities/") => foreign.identity.to_string(),
            ("provider", _) => "corp".to_owned(),
            ("user", _) => foreign.user.to_string(),
            ("key", _) => foreign.key.to_string(),
            ("passkey", _) => foreign.passkey.to_string(),
            ("session", _) => foreign.session.to_string(),
            ("id", path) if path.contains("/sessions/") => foreign.session.to_string(),
            ("identity", _) => foreign.identity.to_string(),
            ("*name", path) if path.starts_with("/api/v1/policies/") => foreign.policy.clone(),
            ("*path", _) => foreign.path.clone(),
            ("*prefix" | "*root", _) => format!("users/{}", foreign.user),
            ("number", _) => "1".to_owned(),
            ("setting", _) => "maintenance".to_owned(),
            ("*file", "/docs/{*file}") => "index.html".to_owned(),
            (place, route) => panic!("say in route_table.rs which foreign object stands for {place} of {route}"),
        });
    }
    match endpoint.path {
        "/api/v1/me/capabilities" => write!(out, "?path={}", foreign.path).unwrap(),
        "/api/v1/diff/{*path}" => out.push_str("?from=1"),
        "/api/v1/me/devices" => out.push_str("?userCode=BBBB-BBBB"),
        _ => {}
    }
    out
}

/// The committed table of who gets which status from which route. Objects are somebody else's, in good standing.
#[tokio::test]
async fn r08_r28_the_table_of_routes_and_callers_is_this() {
    let stage = Stage::set().await;
    let mut table = String::from("Statuses for: nobody, stranger, user, auditor, admin, API key, service account.\n\n");
    for endpoint in endpoints() {
        write!(table, "{:<6} {:<48}", endpoint.method, endpoint.path).unwrap();
        for who in EVERYBODY {
            let answer = stage.call(&endpoint, who).await;
            let at = format!("{} {} as {who:?}", endpoint.method, endpoint.path);
            assert!(!answer.status.is_server_error(), "{at}: {answer:?}");
            assert!(
                !matches!(answer.status.as_u16(), 405 | 413 | 415),
                "{at}: say in route_table.rs what it is called with: {answer:?}"
            );
            if endpoint.access == Access::Session && matches!(who, Who::Nobody | Who::Stranger) {
                assert_eq!(answer.status, 401, "{at}");
            }
            write!(table, " {}", answer.status.as_u16()).unwrap();
        }
        table.push('\n');
    }
    insta::assert_snapshot!("routes_and_callers", table);
}

/// Whatever names an object of somebody else, in whichever way, gets 403 or 404: an id is no authority (R21).
#[tokio::test]
async fn r08_r21_every_route_refuses_what_is_somebody_else_s() {
    let stage = Stage::set().await;
    let mut seen = 0;
    for endpoint in endpoints().iter().filter(|endpoint| endpoint.access == Access::Session) {
        if !endpoint.path.contains('{') {
            continue;
        }
        let own = endpoint.path.starts_with("/api/v1/me/");
        for who in EVERYBODY {
            let looks = endpoint.method == "GET" && !endpoint.path.ends_with("/api-keys");
            let administers = match who {
                Who::Nobody | Who::Stranger => continue,
                // An administrator has nothing of others either where it is about one's own.
                Who::Admin => !own,
                Who::Auditor => looks && !endpoint.path.contains("{*p"),
                Who::User | Who::Key | Who::Account => false,
            };
            if administers {
                continue;
            }
            seen += 1;
            let answer = stage.call(endpoint, who).await;
            let at = format!("{} {} as {who:?}: {answer:?}", endpoint.method, endpoint.path);
            // A list is not refused: it shows nothing.
            if endpoint.path == "/api/v1/list/{*prefix}" && answer.status == 200 {
                assert_eq!(answer.json()["items"], json!([]), "{at}");
                continue;
            }
            assert!(matches!(answer.status.as_u16(), 403 | 404), "{at}");
            for secret in [&stage.api.token, ADMIN_PASSWORD] {
                assert!(!answer.text.contains(secret), "{at}");
            }
        }
    }
    assert!(seen > 60, "{seen}");
}
