//! One provider: what the vault asks of it, carried out.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::cached::Cached;
use super::discovery::Metadata;
use super::fetch::{Fetcher, is_this_machine};
use crate::crypto::id_token::{self, IdTokenError, Parties, ProviderKeys};
use crate::domain::sso::ClaimRules;
use crate::service::identity_provider::{AuthorizationRequest, IdentityProvider, LoggedOut, ProviderError, Redemption};

/// A provider, as the settings have it.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its issuer, to the letter.
    pub issuer: String,
    /// Our own name at it.
    pub client_id: String,
    /// A file with our secret at it; none for a public client. Read at each use, so that it can be replaced.
    pub client_secret_file: Option<PathBuf>,
    /// What to ask for; `openid` is among it.
    pub scopes: Vec<String>,
    /// A PEM file with authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Why a provider cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadProvider(String);

/// A provider of OpenID Connect.
pub struct OidcProvider {
    config: ProviderConfig,
    fetcher: Fetcher,
    metadata: Cached<Metadata>,
    keys: Cached<ProviderKeys>,
}

impl OidcProvider {
    /// Sets a provider up. It is not asked anything yet: it may be down while the vault starts.
    ///
    /// # Errors
    /// [`BadProvider`] for settings that cannot work, with what to do.
    pub fn new(config: ProviderConfig) -> Result<Self, BadProvider> {
        let issuer = Url::parse(&config.issuer).map_err(|_| BadProvider("the issuer is no address".to_owned()))?;
        let fine = issuer.scheme() == "https" || (issuer.scheme() == "http" && is_this_machine(&issuer));
        if !fine || issuer.query().is_some() || issuer.fragment().is_some() {
            return Err(BadProvider(
                "the issuer must be an https:// address without query (http:// on this machine only)".to_owned(),
            ));
        }
        if let Some(file) = &config.client_secret_file {
            std::fs::metadata(file)
                .map_err(|error| BadProvider(format!("cannot read client_secret_file {}: {error}", file.display())))?;
        }
        let fetcher = Fetcher::new(&issuer, config.ca_file.as_deref()).map_err(BadProvider)?;
        Ok(Self {
            config,
            fetcher,
            metadata: Cached::default(),
            keys: Cached::default(),
        })
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        self.metadata
            .get(async || Metadata::fetch(&self.fetcher, &self.config.issuer).await)
            .await
    }

    async fn fetch_keys(&self) -> Result<ProviderKeys, ProviderError> {
        let metadata = self.metadata().await?;
        let (status, body) = self
            .fetcher
            .send("its keys", self.fetcher.get(&metadata.jwks_uri))
            .await?;
        if !status.is_success() {
            return Err(ProviderError::Unavailable(format!("its keys: answered {status}")));
        }
        ProviderKeys::parse(&body).map_err(|error| ProviderError::Unavailable(error.to_string()))
    }

    /// Verifies with the keys that are known, and once more with those of now if the key is not among them.
    async fn verify<T>(&self, verify: impl Fn(&ProviderKeys) -> Result<T, IdTokenError>) -> Result<T, ProviderError> {
        let refused = |error: IdTokenError| ProviderError::Refused(format!("its token: {error}"));
        let keys = self.keys.get(async || self.fetch_keys().await).await?;
        match verify(&keys) {
            Err(IdTokenError::UnknownKey) => {
                let keys = self.keys.renew(&keys, async || self.fetch_keys().await).await?;
                verify(&keys).map_err(refused)
            }
            verified => verified.map_err(refused),
        }
    }

    fn parties(&self) -> Parties<'_> {
        Parties {
            issuer: &self.config.issuer,
            client_id: &self.config.client_id,
        }
    }

    /// The request that exchanges a code, with our secret where the provider takes it.
    fn token_request(
        &self,
        metadata: &Metadata,
        redemption: &Redemption<'_>,
        secret: Option<&SecretString>,
    ) -> RequestBuilder {
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(1024));
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", redemption.code.expose_secret())
            .append_pair("redirect_uri", redemption.redirect_uri)
            .append_pair("code_verifier", redemption.verifier.expose_secret());
        let mut request = self.fetcher.post(&metadata.token_endpoint);
        match secret {
            Some(secret) if !metadata.secret_in_body() => {
                // Both halves are encoded first (RFC 6749, section 2.3.1).
                let user = encoded(&self.config.client_id);
                let password = Zeroizing::new(encoded(secret.expose_secret()));
                request = request.basic_auth(user, Some(password.as_str()));
            }
            Some(secret) => {
                form.append_pair("client_id", &self.config.client_id)
                    .append_pair("client_secret", secret.expose_secret());
            }
            None => {
                form.append_pair("client_id", &self.config.client_id);
            }
        }
        let body = Zeroizing::new(form.finish().into_bytes());
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(bytes::Bytes::from_owner(body))
    }

    /// The token endpoint's answer to a code.
    async fn exchange(&self, metadata: &Metadata, redemption: &Redemption<'_>) -> Result<Value, ProviderError> {
        let secret = self.secret().await?;
        let request = self.token_request(metadata, redemption, secret.as_ref());
        let (status, answer) = self.fetcher.send("its token endpoint", request).await?;
        if status == StatusCode::UNAUTHORIZED || told(&answer) == "invalid_client" {
            // Ours to mend, not the user's.
            return Err(ProviderError::Unavailable(format!(
                "its token endpoint does not accept client_id and client_secret_file ({status} {})",
                told(&answer)
            )));
        }
        if !status.is_success() {
            let told = told(&answer);
            return Err(ProviderError::Refused(format!(
                "its token endpoint answered {status} {told}"
            )));
        }
        Ok(answer)
    }

    async fn secret(&self) -> Result<Option<SecretString>, ProviderError> {
        let Some(file) = &self.config.client_secret_file else {
            return Ok(None);
        };
        let text = tokio::fs::read_to_string(file).await.map(Zeroizing::new);
        let text = text.map_err(|error| {
            ProviderError::Unavailable(format!("cannot read client_secret_file {}: {error}", file.display()))
        })?;
        Ok(Some(SecretString::from(text.trim_end_matches(['\r', '\n']))))
    }

    /// Adds what the ID token does not have from the userinfo endpoint (OpenID Connect Core 1.0, section 5.3).
    async fn add_userinfo(
        &self,
        metadata: &Metadata,
        access_token: &str,
        claims: &mut Map<String, Value>,
    ) -> Result<(), ProviderError> {
        let Some(endpoint) = &metadata.userinfo_endpoint else {
            return Ok(());
        };
        let request = self.fetcher.get(endpoint).bearer_auth(access_token);
        let (status, answer) = self.fetcher.send("its userinfo endpoint", request).await?;
        let Value::Object(more) = answer else {
            return Err(ProviderError::Unavailable(format!(
                "its userinfo endpoint: answered {status}, and not with a JSON object"
            )));
        };
        if !status.is_success() {
            return Err(ProviderError::Refused(format!(
                "its userinfo endpoint answered {status}"
            )));
        }
        // It may be somebody else's (section 5.3.2); what the ID token says is signed, and stays.
        if more.get("sub") != claims.get("sub") {
            return Err(ProviderError::Refused("its userinfo are of another subject".to_owned()));
        }
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }

    async fn redeem_code(&self, redemption: Redemption<'_>) -> Result<Map<String, Value>, ProviderError> {
        let metadata = self.metadata().await?;
        let issuer_is_right = match redemption.issuer {
            Some(issuer) => issuer == self.config.issuer,
            None => !metadata.authorization_response_iss_parameter_supported,
        };
        if !issuer_is_right {
            return Err(ProviderError::Refused(
                "the browser came back from another issuer (RFC 9207)".to_owned(),
            ));
        }
        let answer = self.exchange(&metadata, &redemption).await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let id_token =
            text("id_token").ok_or_else(|| ProviderError::Refused("it answered without an ID token".to_owned()))?;
        let (parties, nonce, now) = (self.parties(), redemption.nonce, redemption.now);
        let mut claims = self
            .verify(|keys| id_token::verify(id_token, keys, parties, nonce, now))
            .await?;
        let complete = redemption.wanted.iter().all(|name| ClaimRules::has(&claims, name));
        if let Some(access_token) = text("access_token").filter(|_| !complete) {
            self.add_userinfo(&metadata, access_token, &mut claims).await?;
        }
        Ok(claims)
    }
}

impl IdentityProvider for OidcProvider {
    fn authorization_url<'a>(
        &'a self,
        request: AuthorizationRequest<'a>,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        async move {
            let mut url = self.metadata().await?.authorization_endpoint.clone();
            url.query_pairs_mut()
                .append_pair("response_type", "code")
                .append_pair("client_id", &self.config.client_id)
                .append_pair("redirect_uri", request.redirect_uri)
                .append_pair("scope", &self.config.scopes.join(" "))
                .append_pair("state", request.state)
                .append_pair("nonce", request.nonce)
                .append_pair("code_challenge", request.challenge)
                .append_pair("code_challenge_method", "S256");
            Ok(url.into())
        }
        .boxed()
    }

    fn redeem<'a>(&'a self, redemption: Redemption<'a>) -> BoxFuture<'a, Result<Map<String, Value>, ProviderError>> {
        self.redeem_code(redemption).boxed()
    }

    fn end_session_url<'a>(&'a self, back_to: Option<&'a str>) -> BoxFuture<'a, Result<Option<String>, ProviderError>> {
        async move {
            let Some(mut url) = self.metadata().await?.end_session_endpoint.clone() else {
                return Ok(None);
            };
            // Our name and no ID token: a token in an address ends up in logs. The provider asks the user instead.
            let mut query = url.query_pairs_mut();
            query.append_pair("client_id", &self.config.client_id);
            if let Some(back_to) = back_to {
                query.append_pair("post_logout_redirect_uri", back_to);
            }
            drop(query);
            Ok(Some(url.into()))
        }
        .boxed()
    }

    fn logged_out<'a>(
        &'a self,
        token: &'a SecretString,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<LoggedOut, ProviderError>> {
        async move {
            let parties = self.parties();
            self.verify(|keys| id_token::verify_logout(token.expose_secret(), keys, parties, now))
                .await
        }
        .boxed()
    }
}

/// The error code of an answer, if it looks like one (RFC 6749, section 5.2); anything else of it may be anything.
fn told(answer: &Value) -> &str {
    let code = answer.get("error").and_then(Value::as_str).unwrap_or_default();
    let formed = code.len() <= 40 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if formed { code } else { "" }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
