//! The API as client commands see it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::session_file::{SessionFile, Tokens};
use crate::domain::path::RecordPath;

/// The server to speak to.
#[derive(Args)]
pub(super) struct ServerArgs {
    /// Address of the API
    #[arg(
        long,
        value_name = "URL",
        env = "AETHER_VAULT_ADDR",
        default_value = "http://127.0.0.1:8200",
        help_heading = "Server"
    )]
    address: Url,
    /// PEM file with the certificate authority of the server
    #[arg(long, value_name = "FILE", env = "AETHER_VAULT_CA_FILE", help_heading = "Server")]
    ca_file: Option<PathBuf>,
    /// Send secrets in clear to a server on another machine
    #[arg(long, help_heading = "Server")]
    insecure_http: bool,
}

/// The variable that may hold the token itself: how programs get an API key. There is no argument for it, since arguments are seen by others.
const TOKEN_VARIABLE: &str = "AETHER_VAULT_TOKEN";

/// The server, and the token to show it.
#[derive(Args)]
#[command(after_help = "An API key or a token in the environment variable AETHER_VAULT_TOKEN wins over a token file.")]
pub(super) struct SessionArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// File with the access token, as 'aether-vault login' writes it, or with an API key
    #[arg(long, value_name = "FILE", env = "AETHER_VAULT_TOKEN_FILE", help_heading = "Server")]
    token_file: Option<PathBuf>,
}

impl SessionArgs {
    /// For what is open to everybody.
    pub(super) fn connect_as_nobody(&self) -> Result<Client, Failure> {
        self.server.connect()
    }

    pub(super) fn connect(&self) -> Result<Client, Failure> {
        let mut client = self.server.connect()?;
        if let Some(token) = token_of_environment() {
            client.token = Mutex::new(Some(token));
            return Ok(client);
        }
        let file = self.token_file.as_deref().ok_or_else(|| {
            Failure::usage(
                "no token: give --token-file FILE (or AETHER_VAULT_TOKEN_FILE), or an API key in AETHER_VAULT_TOKEN",
            )
        })?;
        let session = SessionFile::new(file, &client.address);
        client.token = Mutex::new(Some(session.token()?));
        client.session = Some(session);
        Ok(client)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "clap reads variables for arguments only, and a token must not be one"
)]
fn token_of_environment() -> Option<SecretString> {
    std::env::var(TOKEN_VARIABLE)
        .ok()
        .filter(|token| !token.trim().is_empty())
        .map(|token| SecretString::from(token.trim().to_owned()))
}

impl ServerArgs {
    pub(super) fn connect(&self) -> Result<Client, Failure> {
        let local = is_loopback(&self.address);
        match self.address.scheme() {
            "https" => {}
            "http" if local || self.insecure_http => {}
            "http" => {
                return Err(Failure::usage(
                    "the address is http:// on another machine, and secrets would travel in clear; use https://, or --insecure-http if you mean it",
                ));
            }
            _ => return Err(Failure::usage("the address must begin with https:// or http://")),
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("aether-vault/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(60))
            // A redirect would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if local {
            builder = builder.no_proxy();
        }
        if let Some(file) = &self.ca_file {
            let unusable =
                |error: String| Failure::usage(format!("{} is no usable certificate: {error}", file.display()));
            let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| Failure::new(format!("cannot speak HTTP: {error}")))?;
        Ok(Client {
            http,
            address: self.address.clone(),
            token: Mutex::new(None),
            session: None,
        })
    }
}

/// A server, and perhaps a token, and the session that it is of.
pub(super) struct Client {
    http: reqwest::Client,
    address: Url,
    token: Mutex<Option<SecretString>>,
    session: Option<SessionFile>,
}

/// The reason of an access token past its time, which its session outlives.
const TOKEN_EXPIRED: &str = "TokenExpired";
const JSON: &str = "application/json";

/// A request that the server refused.
pub(super) struct Refusal {
    /// The stable reason; empty if the answer has none.
    pub(super) reason: String,
    /// What to tell, for who does not go on.
    pub(super) failure: Failure,
}

/// What the command shows of a problem.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    title: String,
    reason: String,
    detail: String,
    request_id: String,
}

impl Client {
    /// The server's address.
    pub(super) fn address(&self) -> &Url {
        &self.address
    }

    /// Removes the files of the session.
    pub(super) fn forget_session(&self) -> Result<(), Failure> {
        self.session.as_ref().map_or(Ok(()), SessionFile::forget)
    }

    /// Sends a request to an endpoint below `/api/v1/` and answers the body of a 2xx. An access token past its time is refreshed, once.
    pub(super) async fn send(
        &self,
        method: Method,
        endpoint: &str,
        query: &[(&str, &str)],
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.send_as(method, endpoint, query, body, JSON).await
    }

    /// Sends a request without going on with a session, for who goes on after some of the refusals.
    pub(super) async fn ask(
        &self,
        method: Method,
        endpoint: &str,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Result<Zeroizing<Vec<u8>>, Refusal>, Failure> {
        let body = Some(bytes::Bytes::from_owner(body));
        let (status, answer) = self.exchange(method, endpoint, &[], body, JSON).await?;
        if status.is_success() {
            return Ok(Ok(answer));
        }
        Ok(Err(Refusal {
            reason: reason_of(&answer).unwrap_or_default(),
            failure: refused(status, &answer),
        }))
    }

    /// The address of an endpoint below `/api/v1/`.
    pub(super) fn url(&self, endpoint: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.address.clone();
        url.set_path(&format!(
            "{}/api/v1/{endpoint}",
            self.address.path().trim_end_matches('/')
        ));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Sends a JSON Merge Patch.
    pub(super) async fn merge_patch(
        &self,
        endpoint: &str,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.send_as(Method::PATCH, endpoint, &[], Some(body), "application/merge-patch+json")
            .await
    }

    async fn send_as(
        &self,
        method: Method,
        endpoint: &str,
        query: &[(&str, &str)],
        body: Option<Zeroizing<Vec<u8>>>,
        media_type: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let body = body.map(bytes::Bytes::from_owner);
        let (status, answer) = self
            .exchange(method.clone(), endpoint, query, body.clone(), media_type)
            .await?;
        let expired = status == StatusCode::UNAUTHORIZED && reason_of(&answer).as_deref() == Some(TOKEN_EXPIRED);
        let (status, answer) = match expired && self.refresh().await? {
            true => self.exchange(method, endpoint, query, body, media_type).await?,
            false => (status, answer),
        };
        if status.is_success() {
            Ok(answer)
        } else {
            Err(refused(status, &answer))
        }
    }

    /// Goes on with the session by its refresh token; `false` if it has none.
    async fn refresh(&self) -> Result<bool, Failure> {
        let Some(session) = &self.session else { return Ok(false) };
        let _lock = session.lock()?;
        let expired = self.token();
        // Another command may have been faster.
        if expired
            .as_ref()
            .is_some_and(|token| !session.still_holds(token).unwrap_or(true))
        {
            self.set_token(session.token()?);
            return Ok(true);
        }
        let Some(refresh_token) = session.refresh_token()? else {
            return Ok(false);
        };
        let form = serde_json::json!({ "refreshToken": refresh_token.expose_secret() });
        // Texts always serialise.
        let body = bytes::Bytes::from_owner(Zeroizing::new(serde_json::to_vec(&form).unwrap_or_default()));
        self.clear_token();
        let (status, answer) = self
            .exchange(Method::POST, "auth/refresh", &[], Some(body), JSON)
            .await?;
        if !status.is_success() {
            return Err(refused(status, &answer));
        }
        let tokens: Tokens<'_> = parse(&answer)?;
        session.keep(&tokens)?;
        self.set_token(SecretString::from(tokens.token));
        Ok(true)
    }

    fn token(&self) -> Option<SecretString> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_token(&self, token: SecretString) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    fn clear_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn exchange(
        &self,
        method: Method,
        endpoint: &str,
        query: &[(&str, &str)],
        body: Option<bytes::Bytes>,
        media_type: &str,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), Failure> {
        let mut request = self.http.request(method, self.url(endpoint, query));
        if let Some(token) = self.token() {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.header("content-type", media_type).body(body);
        }
        let unreachable = |error: reqwest::Error| {
            Failure::unreachable(format!(
                "cannot reach {}: {}; is the address right, and does the server run?",
                self.address,
                root_cause(&error)
            ))
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = Zeroizing::new(response.bytes().await.map_err(unreachable)?.to_vec());
        Ok((status, body))
    }
}

fn reason_of(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Problem>(body)
        .ok()
        .map(|problem| problem.reason)
}

fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let message = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            format!(
                "{} ({}): {}\nrequest id {}",
                problem.title, problem.reason, problem.detail, problem.request_id
            )
        }
        Err(_) => format!("the server answered {status}, and not as Aether Vault does; is the address right?"),
    };
    Failure::of_status(status.as_u16(), message)
}

/// Parses a record path as an argument.
pub(super) fn record_path(text: &str) -> Result<RecordPath, String> {
    RecordPath::parse(text).map_err(|error| error.to_string())
}

/// Reads an answer of the API.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|_| Failure::new("the server's answer is not understood; are client and server of one release?"))
}

fn is_loopback(url: &Url) -> bool {
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str, insecure_http: bool) -> ServerArgs {
        ServerArgs {
            address: address.parse().unwrap(),
            ca_file: None,
            insecure_http,
        }
    }

    #[test]
    fn secrets_do_not_travel_in_clear_by_accident() {
        crate::lifecycle::prepare_process().unwrap();
        for (address, insecure, fine) in [
            ("http://127.0.0.1:8200", false, true),
            ("http://[::1]:8200", false, true),
            ("http://localhost:8200", false, true),
            ("https://vault.example", false, true),
            ("http://vault.example", false, false),
            ("http://vault.example", true, true),
            ("http://127.0.0.1.example", false, false),
            ("ftp://127.0.0.1", false, false),
        ] {
            assert_eq!(server(address, insecure).connect().is_ok(), fine, "{address}");
        }
    }

    #[test]
    fn a_problem_becomes_a_message_and_an_exit_code() {
        let body = br#"{"type":"t","title":"There is no such record","status":404,"reason":"PathNotFound","detail":"d","requestId":"r"}"#;
        let failure = refused(StatusCode::NOT_FOUND, body);
        assert_eq!(
            failure.message,
            "There is no such record (PathNotFound): d\nrequest id r"
        );
        assert_eq!(failure.code, 4);
        assert!(
            refused(StatusCode::BAD_GATEWAY, b"<html>")
                .message
                .contains("not as Aether Vault does")
        );
    }
}
