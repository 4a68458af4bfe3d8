//! Requests to a provider: bounded in number, time and size.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::service::identity_provider::ProviderError;

/// Requests to one provider at a time; more are refused, so that a slow provider holds no more than these.
const PLACES: usize = 16;
/// How long a provider may take to accept a connection, and for the whole answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(8);
/// Bytes of an answer at most.
const MAX_BYTES: usize = 512 << 10;

pub(super) struct Fetcher {
    http: Client,
    places: Semaphore,
}

impl Fetcher {
    /// `ca` is a PEM file with authorities to trust beside the system's.
    pub(super) fn new(issuer: &Url, ca: Option<&Path>) -> Result<Self, String> {
        let mut builder = Client::builder()
            .user_agent(concat!("aether-vault/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A redirect would carry the client's secret elsewhere (R13).
            .redirect(reqwest::redirect::Policy::none());
        if is_this_machine(issuer) {
            builder = builder.no_proxy();
        }
        if let Some(file) = ca {
            let pem = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| format!("{} holds no usable certificate: {error}", file.display()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        Ok(Self {
            http: builder.build().map_err(|error| error.to_string())?,
            places: Semaphore::new(PLACES),
        })
    }

    pub(super) fn get(&self, url: &Url) -> RequestBuilder {
        self.http.get(url.clone()).header("accept", "application/json")
    }

    pub(super) fn post(&self, url: &Url) -> RequestBuilder {
        self.http.post(url.clone()).header("accept", "application/json")
    }

    /// Sends a request; answers status and JSON, or null for an answer that is none.
    pub(super) async fn send(&self, what: &str, request: RequestBuilder) -> Result<(StatusCode, Value), ProviderError> {
        let unavailable = |cause: String| ProviderError::Unavailable(format!("{what}: {cause}"));
        let _place = self
            .places
            .try_acquire()
            .map_err(|_| unavailable("too many requests to it are under way".to_owned()))?;
        let mut response = request
            .send()
            .await
            .map_err(|error| unavailable(root_cause(&error.without_url())))?;
        let status = response.status();
        if status.is_server_error() || status.is_redirection() {
            return Err(unavailable(format!("answered {status}")));
        }
        // What a provider answers to a code is as good as a password.
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| unavailable(root_cause(&error.without_url())))?
        {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(unavailable(format!("answered with more than {MAX_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

/// Whether an address is of this machine, where encryption adds nothing.
pub(super) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
