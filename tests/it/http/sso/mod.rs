//! Single sign-on at a real OpenID provider, as a browser and a client go through it.

mod flow;
mod identities;
mod logout;
mod outage;
mod people;

use std::collections::BTreeMap;

use aether_vault::crypto::pkce;
use aether_vault::settings::SsoProvider;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::client::{Answer, router_of, send_to};
use crate::support::database::TestDatabase;
use crate::support::provider::{Browser, PUBLIC_URL, Provider, sso};
use crate::support::vault::TestVault;

/// What the client keeps, and its challenge shows.
pub const VERIFIER: &str = "a-verifier-that-nobody-else-has-0123456789abcdef";
/// Where browsers are sent in the end.
pub const DONE: &str = "https://ui.test/done";

/// A vault, its provider, and an administrator who is logged in by password.
pub struct Stage {
    pub database: TestDatabase,
    pub vault: TestVault,
    pub router: Router,
    pub provider: Provider,
    pub admin: String,
}

/// A browser that has been at the provider and is on its way back.
pub struct Flow {
    /// Path and query at the vault.
    pub back: String,
    /// The cookie that the vault gave it.
    pub cookie: String,
}

impl Stage {
    /// Sets it, with a provider called 'corp' whose settings the test may change; `None` where there is no Node.js.
    pub async fn set(change: impl FnOnce(&mut SsoProvider)) -> Option<Self> {
        let provider = Provider::start().await?;
        let mut corp = provider.settings("corp", "vault");
        change(&mut corp);
        let other = provider.settings("other", "another");
        Some(Self::with(provider, &[corp, other]).await)
    }

    /// Sets it with these providers of the vault.
    pub async fn with(provider: Provider, providers: &[SsoProvider]) -> Self {
        let database = TestDatabase::new().await;
        let first = TestVault::open(&database).await;
        let admin = first.admin_token().await.expose_secret().to_owned();
        let vault = first
            .replica_with(&database, |config| config.sso = sso(providers))
            .await;
        let router = router_of(&vault);
        Self {
            database,
            vault,
            router,
            provider,
            admin,
        }
    }

    /// Makes an account at the provider.
    pub async fn account(&self, sub: &str, claims: Value) {
        self.provider.account(sub, claims, &["pwd"]).await;
    }

    /// Sends a browser to a provider.
    pub async fn start(&self, provider: &str, redirect: &str, cookie: Option<&str>) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("redirect", redirect)
            .append_pair("codeChallenge", &pkce::challenge(VERIFIER))
            .finish();
        self.visit(&format!("/api/v1/auth/sso/{provider}/start?{query}"), cookie)
            .await
    }

    /// A request of a browser.
    pub async fn visit(&self, uri: &str, cookie: Option<&str>) -> Answer {
        let mut request = Request::get(uri);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        send_to(&self.router, request.body(Body::empty()).unwrap()).await
    }

    /// Goes to the provider and logs in there; `change` may meddle with the address on the way.
    pub async fn flow(&self, account: &str, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Flow {
        let started = self.start("corp", DONE, None).await;
        assert_eq!(started.status, 303, "{}", started.text);
        let address = meddle(started.header("location"), change);
        let back = Browser::new().log_in(&address, account).await;
        Flow {
            back: at_vault(&back),
            cookie: cookie_of(&started),
        }
    }

    /// The whole way to the one-time code.
    pub async fn code(&self, account: &str) -> String {
        let flow = self.flow(account, |_| {}).await;
        let answer = self.visit(&flow.back, Some(&flow.cookie)).await;
        let location = answer.header("location");
        parameters(location)
            .remove("code")
            .unwrap_or_else(|| panic!("{location} {}", answer.text))
    }

    /// Fetches the outcome of a code.
    pub async fn exchange(&self, code: &str, verifier: &str) -> Answer {
        let body = json!({"code": code, "verifier": verifier});
        self.post("/api/v1/auth/sso/exchange", None, body).await
    }

    /// The whole way to what a login answers.
    pub async fn log_in(&self, account: &str) -> Answer {
        let code = self.code(account).await;
        self.exchange(&code, VERIFIER).await
    }

    /// The whole way to an access token.
    pub async fn token(&self, account: &str) -> String {
        let answer = self.log_in(account).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// A request with a token.
    pub async fn call(&self, method: &str, uri: &str, token: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {token}"));
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        send_to(&self.router, request.unwrap()).await
    }

    /// A request with a body and perhaps a token.
    pub async fn post(&self, uri: &str, token: Option<&str>, body: Value) -> Answer {
        let mut request = Request::post(uri).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        send_to(&self.router, request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Makes a user as the administrator, who sets a password; answers the id.
    pub async fn user(&self, user: Value) -> String {
        let made = self.post("/api/v1/users", Some(&self.admin), user).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let made = made.json();
        let redemption = json!({"token": made["invitation"]["token"], "newPassword": PASSWORD});
        assert_eq!(self.post("/api/v1/auth/redeem", None, redemption).await.status, 204);
        made["user"]["id"].as_str().unwrap().to_owned()
    }

    /// Logs in by password; answers the access token.
    pub async fn password(&self, name: &str) -> String {
        let answer = self
            .post(
                "/api/v1/auth/login",
                None,
                json!({"username": name, "password": PASSWORD}),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// What `me` says of a token: the name, or the reason.
    pub async fn me(&self, token: &str) -> String {
        let answer = self.call("GET", "/api/v1/me", token, None).await.json();
        let said = answer["name"].as_str().or(answer["reason"].as_str());
        said.unwrap().to_owned()
    }

    /// Sessions by single sign-on that are in force.
    pub async fn sessions(&self) -> i64 {
        self.database
            .count("SELECT count(*) FROM sessions WHERE method = 'sso' AND revoked_at IS NULL")
            .await
    }
}

pub const PASSWORD: &str = "four plain words will do";

/// The cookie that an answer sets, as a browser sends it.
pub fn cookie_of(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// Path and query of an address at the vault.
pub fn at_vault(address: &str) -> String {
    address
        .strip_prefix(PUBLIC_URL)
        .expect("an address at the vault")
        .to_owned()
}

/// The parameters of an address.
pub fn parameters(address: &str) -> BTreeMap<String, String> {
    url::Url::parse(address).unwrap().query_pairs().into_owned().collect()
}

/// An address with other parameters.
pub fn meddle(address: &str, change: impl FnOnce(&mut BTreeMap<String, String>)) -> String {
    let mut url = url::Url::parse(address).unwrap();
    let mut parameters = parameters(address);
    change(&mut parameters);
    url.query_pairs_mut().clear().extend_pairs(&parameters);
    url.into()
}
