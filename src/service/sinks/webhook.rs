//! A webhook: entries as JSON, with a keyed hash by which the receiver knows that they are the vault's.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretSlice};

use super::Sink;
use crate::crypto::mac::webhook_signature;
use crate::domain::audit::leaf::StoredEntry;
use crate::service::context::Clock;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Entries of one request.
const ENTRIES: usize = 500;

/// The sink.
pub struct Webhook {
    url: String,
    secret: SecretSlice<u8>,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// Posts to `url`, signing with `secret`. Redirects are not followed: the entries are for the one that was named.
    ///
    /// # Errors
    /// If no client can be made.
    pub fn new(url: String, secret: SecretSlice<u8>, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            url,
            secret,
            http,
            clock,
        })
    }

    async fn post(&self, height: i64, entries: &[StoredEntry]) -> Result<(), String> {
        let body = serde_json::to_vec(&serde_json::json!({ "block": height, "entries": entries }))
            .map_err(|error| error.to_string())?;
        let time = self.clock.now().as_second();
        let signature = webhook_signature(self.secret.expose_secret(), time, &body);
        let answer = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("x-aether-vault-timestamp", time.to_string())
            .header("x-aether-vault-signature", format!("v1={signature}"))
            .body(body)
            .send()
            .await
            // The URL may hold a token of the receiver's.
            .map_err(|error| error.without_url().to_string())?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("the receiver answered {}", answer.status()))
        }
    }
}

impl Sink for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn send<'a>(&'a self, height: i64, entries: &'a [StoredEntry]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            for part in entries.chunks(ENTRIES) {
                self.post(height, part).await?;
            }
            Ok(())
        })
    }
}
