//! A real OpenID provider (tests/oidc), and a browser that logs in at it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use aether_vault::domain::sso::RedirectRules;
use aether_vault::oidc::{OidcProvider, ProviderConfig};
use aether_vault::service::auth::{SsoProvider, SsoSettings};
use aether_vault::settings;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::servers::project;

/// Where browsers reach the vault of these tests, which is nowhere: what is sent there is handed to its router.
pub const PUBLIC_URL: &str = "https://vault.test";
/// Our secret at the provider. Long enough to be found wherever it should not be.
pub const CLIENT_SECRET: &str = "canary-of-the-clients-secret-0123456789";

/// A provider. It ends with the test.
pub struct Provider {
    open: bool,
    pub issuer: String,
    clients: Value,
    folder: TempDir,
    http: reqwest::Client,
}

impl Provider {
    /// Starts one; `None`, after saying why, where there is no Node.js. In CI there has to be.
    pub async fn start() -> Option<Self> {
        Self::start_for(&json!([
            client("vault", PUBLIC_URL, "corp"),
            client("another", PUBLIC_URL, "other")
        ]))
        .await
    }

    /// Starts one with other clients.
    #[expect(
        clippy::unused_async,
        reason = "its callers wait for it like for the rest of their set-up"
    )]
    pub async fn start_for(clients: &Value) -> Option<Self> {
        let modules = modules()?;
        let issuer = open(modules, 0, clients, "one");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), format!("{CLIENT_SECRET}\n")).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Some(Self {
            open: true,
            issuer,
            clients: clients.clone(),
            folder,
            http,
        })
    }

    /// Closes it; nobody answers at its address.
    pub fn stop(&mut self) {
        if std::mem::take(&mut self.open) {
            let closed = order(modules().unwrap(), &json!({"close": self.port()}));
            assert_eq!(closed, format!("closed {}", self.port()));
        }
    }

    /// Opens it again at the same address, with a new key of this name. Its accounts are gone.
    pub fn start_again(&mut self, kid: &str) {
        open(modules().unwrap(), self.port(), &self.clients, kid);
        self.open = true;
    }

    fn port(&self) -> u16 {
        self.issuer.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Makes or changes an account.
    pub async fn account(&self, sub: &str, claims: Value, amr: &[&str]) {
        let account = json!({"sub": sub, "claims": claims, "amr": amr});
        let made = self
            .http
            .post(format!("{}/test/accounts", self.issuer))
            .body(account.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(made.status(), 204);
    }

    /// The settings of a vault for it.
    pub fn settings(&self, name: &str, client_id: &str) -> settings::SsoProvider {
        settings::SsoProvider {
            name: name.to_owned(),
            issuer: self.issuer.clone(),
            client_id: client_id.to_owned(),
            client_secret_file: Some(self.folder.path().join("secret")),
            scopes: ["openid", "profile", "email", "groups"].map(str::to_owned).to_vec(),
            redirects: vec!["https://ui.test/done".to_owned()],
            just_in_time: true,
            ..settings::SsoProvider::default()
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A client as the provider has it registered, for a vault's provider of this name.
pub fn client(id: &str, public_url: &str, name: &str) -> Value {
    json!({
        "client_id": id,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [format!("{public_url}/api/v1/auth/sso/{name}/callback")],
        "post_logout_redirect_uris": ["https://ui.test/bye"],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
    })
}

/// Providers as a vault takes them.
pub fn sso(providers: &[settings::SsoProvider]) -> SsoSettings {
    let provider = |settings: &settings::SsoProvider| {
        let client = OidcProvider::new(ProviderConfig {
            issuer: settings.issuer.clone(),
            client_id: settings.client_id.clone(),
            client_secret_file: settings.client_secret_file.clone(),
            scopes: settings.scopes.clone(),
            ca_file: None,
        });
        Arc::new(SsoProvider {
            name: settings.name.clone(),
            display_name: settings.name.clone(),
            claims: settings.claim_rules(),
            redirects: RedirectRules::new(&settings.redirects, settings.loopback).unwrap(),
            just_in_time: settings.just_in_time,
            link_verified_email: settings.link_verified_email,
            trust_second_factor: settings.second_factor.trust,
            logout_redirect: settings.logout_redirect.clone(),
            client: Arc::new(client.unwrap()),
        })
    };
    SsoSettings {
        public_url: Some(PUBLIC_URL.to_owned()),
        providers: providers.iter().map(provider).collect(),
    }
}

/// Where a visit leads.
pub struct Visited {
    pub status: u16,
    /// Where the browser is sent, or nothing.
    pub location: String,
}

/// A browser, as far as the provider and the vault see it.
pub struct Browser {
    http: reqwest::Client,
    jar: BTreeMap<String, String>,
}

impl Browser {
    pub fn new() -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            http,
            jar: BTreeMap::new(),
        }
    }

    /// Logs in as an account at the address that the vault sent the browser to, and answers where the browser is sent back to.
    pub async fn log_in(&mut self, address: &str, account: &str) -> String {
        let mut next = format!("{address}&login_hint={account}");
        for _ in 0..12 {
            let answer = self.get(&next).await;
            let Some(location) = answer.headers().get("location") else {
                panic!("{}: {}", answer.status(), answer.text().await.unwrap());
            };
            let location = url::Url::parse(&next)
                .unwrap()
                .join(location.to_str().unwrap())
                .unwrap();
            if location.origin() != url::Url::parse(address).unwrap().origin() {
                return location.into();
            }
            next = location.into();
        }
        panic!("the provider sends the browser in circles");
    }

    /// Goes to an address, and no further.
    pub async fn visit(&mut self, address: &str) -> Visited {
        let answer = self.get(address).await;
        let location = answer.headers().get("location");
        Visited {
            status: answer.status().as_u16(),
            location: location
                .map(|location| location.to_str().unwrap().to_owned())
                .unwrap_or_default(),
        }
    }

    /// Logs out at the provider: its page, and its button.
    pub async fn log_out(&mut self, address: &str) {
        let page = self.get(address).await.text().await.unwrap();
        let (_, xsrf) = page.split_once("name=\"xsrf\" value=\"").expect("a page that asks");
        let (xsrf, _) = xsrf.split_once('"').unwrap();
        let action = url::Url::parse(address).unwrap().join("/session/end/confirm").unwrap();
        let request = self
            .http
            .post(action)
            .header("cookie", self.cookies())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("xsrf={xsrf}&logout=yes"));
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_redirection(), "{}", answer.status());
    }

    async fn get(&mut self, address: &str) -> reqwest::Response {
        let request = self.http.get(address).header("cookie", self.cookies());
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            self.jar.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    fn cookies(&self) -> String {
        let pairs = self.jar.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }
}

/// Opens a provider and answers its address.
fn open(modules: &str, port: u16, clients: &Value, kid: &str) -> String {
    let answer = order(
        modules,
        &json!({"open": {"port": port, "clients": clients, "kid": kid}}),
    );
    answer.strip_prefix("listening ").expect("where it listens").to_owned()
}

/// Gives an order to the process that holds the providers of all tests, started with the first order, and answers what it says. The process ends
/// when this one does, since its input does then.
fn order(modules: &str, order: &Value) -> String {
    static PROCESS: Mutex<Option<(Child, BufReader<ChildStdout>)>> = Mutex::new(None);
    let mut process = PROCESS.lock().unwrap();
    let (child, output) = process.get_or_insert_with(|| {
        let mut child = Command::new("node")
            .arg(project("tests/oidc/provider.mjs"))
            .arg(modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        (child, output)
    });
    writeln!(child.stdin.as_mut().unwrap(), "{order}").unwrap();
    let mut answer = String::new();
    output.read_line(&mut answer).unwrap();
    answer.trim_end().to_owned()
}

/// The folder with the provider's modules.
#[expect(clippy::disallowed_methods, reason = "CI tells that it is CI by the environment")]
fn modules() -> Option<&'static str> {
    static FOLDER: OnceLock<Option<String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let output = Command::new(project("hack/oidc"))
            .arg("install")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if output.status.success() {
            return Some(String::from_utf8(output.stdout).unwrap().trim().to_owned());
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(3) && std::env::var("CI").is_err(), "{why}");
        say(&format!("skipped: {why}"));
        None
    });
    folder.as_deref()
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
fn say(what: &str) {
    eprintln!("{what}");
}
