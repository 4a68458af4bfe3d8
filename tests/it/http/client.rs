//! The API's router, called without a socket.

use std::net::SocketAddr;
use std::time::Duration;

use aether_vault::http::{Api, Browsers, HttpMetrics, Limits, Rates, Readiness, router};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use futures::FutureExt as _;
use prometheus::Registry;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::database::TestDatabase;
use crate::support::vault::TestVault;

/// Bytes that a body of these tests may have.
pub const BODY_LIMIT: usize = 3 << 20;

/// A vault behind its REST door.
pub struct TestApi {
    pub database: TestDatabase,
    pub vault: TestVault,
    pub router: Router,
    pub token: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON; null if there is none.
    pub fn json(&self) -> Value {
        if self.text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&self.text).unwrap()
        }
    }

    /// Status and reason of a problem.
    pub fn problem(&self) -> (u16, String) {
        let reason = self.json()["reason"].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), reason)
    }

    /// What a problem says.
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Somebody else at the same door.
pub struct Caller {
    router: Router,
    pub token: String,
}

impl Caller {
    /// Sends a request.
    pub async fn call(&self, method: &str, uri: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        send_to(&self.router, request.body(body).unwrap()).await
    }
}

impl TestApi {
    /// Opens a new vault with an administrator who is logged in.
    pub async fn new() -> Self {
        let database = TestDatabase::new().await;
        let vault = TestVault::open(&database).await;
        let token = vault.admin_token().await.expose_secret().to_owned();
        let router = router_of(&vault);
        Self {
            database,
            vault,
            router,
            token,
        }
    }

    /// Makes a user `<role>-1` with a password, and logs in.
    pub async fn as_new_user(&self, role: &str) -> Caller {
        let (name, password) = (format!("{role}-1"), "four plain words will do");
        let made = self
            .call("POST", "/api/v1/users", Some(json!({"name": name, "role": role})))
            .await
            .json();
        let caller = Caller {
            router: self.router.clone(),
            token: String::new(),
        };
        let redemption = json!({"token": made["invitation"]["token"], "newPassword": password});
        caller.call("POST", "/api/v1/auth/redeem", Some(redemption)).await;
        let login = json!({"username": name, "password": password});
        let answer = caller.call("POST", "/api/v1/auth/login", Some(login)).await;
        Caller {
            token: answer.json()["token"].as_str().unwrap().to_owned(),
            ..caller
        }
    }

    /// Sends a request as the administrator.
    pub async fn call(&self, method: &str, uri: &str, body: Option<Value>) -> Answer {
        self.send(self.request(method, uri, body)).await
    }

    /// A request as the administrator.
    pub fn request(&self, method: &str, uri: &str, body: Option<Value>) -> Request<Body> {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {}", self.token));
        match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()))
                .unwrap(),
            None => request.body(Body::empty()).unwrap(),
        }
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        send_to(&self.router, request).await
    }
}

/// Sends any request to a process, from 192.0.2.7.
pub async fn send_to(router: &Router, mut request: Request<Body>) -> Answer {
    request
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 4711))));
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// The router over a vault, registered with its metrics.
pub fn router_of(vault: &TestVault) -> Router {
    let metrics = HttpMetrics::register(&vault.registry).unwrap();
    build(vault, metrics, Rates::default(), Browsers::default())
}

/// The router with bounds on how often clients may ask, and metrics of its own.
pub fn router_with(vault: &TestVault, rates: Rates) -> Router {
    let metrics = HttpMetrics::register(&Registry::new()).unwrap();
    build(vault, metrics, rates, Browsers::default())
}

/// The router with rules for browsers, and metrics of its own.
pub fn router_for(vault: &TestVault, browsers: Browsers) -> Router {
    let metrics = HttpMetrics::register(&Registry::new()).unwrap();
    build(vault, metrics, Rates::default(), browsers)
}

fn build(vault: &TestVault, metrics: HttpMetrics, rates: Rates, browsers: Browsers) -> Router {
    let readiness = readiness_of(vault);
    let limits = Limits {
        body: BODY_LIMIT,
        request_timeout: Duration::from_secs(20),
        trusted_proxies: Vec::new(),
        rates,
        browsers,
    };
    router(Api::new(vault.vault.clone(), readiness, limits, metrics))
}

/// What the vault says of its readiness.
pub fn readiness_of(vault: &TestVault) -> Readiness {
    let seen = vault.vault.clone();
    Readiness::new(move || {
        let vault = seen.clone();
        async move { vault.readiness().await }.boxed()
    })
}
