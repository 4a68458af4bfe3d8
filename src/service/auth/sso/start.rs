//! A browser is sent to a provider.

use secrecy::SecretString;

use super::{BROWSER_PREFIX, FLOW_SECONDS, FlowSecrets, STATE_PREFIX, context, expose, own_path, provider_failed};
use crate::crypto::{pkce, random, token};
use crate::service::auth::Auth;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::service::identity_provider::AuthorizationRequest;
use crate::store::sso::{self, NewFlow};

/// A login by single sign-on that somebody wants to begin.
pub struct SsoStart {
    /// The provider's name.
    pub provider: String,
    /// Where the browser is to be sent in the end.
    pub redirect: String,
    /// The challenge of the verifier that the outcome is fetched with (RFC 7636, S256).
    pub challenge: String,
    /// The browser's cookie, if it has one.
    pub browser: Option<SecretString>,
}

/// A login that has begun.
pub struct SsoStarted {
    /// Where the browser goes next: the provider.
    pub location: String,
    /// The cookie that binds the browser.
    pub browser: SecretString,
    /// Seconds for which it is good.
    pub seconds: u32,
}

impl Auth<'_> {
    /// Begins a login by single sign-on.
    ///
    /// # Errors
    /// [`Reason::ProviderNotFound`], [`Reason::RedirectNotAllowed`], [`Reason::InvalidRequest`] for a challenge that is none,
    /// [`Reason::ProviderUnavailable`], [`Reason::Busy`], and those of the store.
    pub async fn start_sso(&self, request: SsoStart) -> Result<SsoStarted> {
        let provider = self.sso_provider(&request.provider)?;
        let return_to = provider.redirects.accept(&request.redirect).ok_or_else(|| {
            Error::new(
                Reason::RedirectNotAllowed,
                "browsers are not sent to this address: it has to be one of 'redirects' of the provider in the settings, to the letter, \
                 or http://127.0.0.1:PORT/ of a program on the same machine where 'loopback' allows it",
            )
        })?;
        if !pkce::is_challenge(&request.challenge) {
            return Err(Error::new(
                Reason::InvalidRequest,
                "codeChallenge must be the base64url SHA-256 of a verifier (RFC 7636, S256), 43 characters",
            ));
        }
        // The same for all logins of a browser, so that two at a time do not end each other.
        let known = request
            .browser
            .filter(|cookie| token::parse(BROWSER_PREFIX, expose(cookie)).is_ok());
        let browser = known.unwrap_or_else(|| token::generate(BROWSER_PREFIX).0);
        let (state, state_hash) = token::generate(STATE_PREFIX);
        let secrets = FlowSecrets {
            nonce: expose(&token::generate("avsn").0).to_owned(),
            verifier: expose(&token::generate("avsv").0).to_owned(),
        };
        let redirect_uri = self.callback_url(provider)?;
        let authorization = AuthorizationRequest {
            redirect_uri: &redirect_uri,
            state: expose(&state),
            nonce: &secrets.nonce,
            challenge: &pkce::challenge(&secrets.verifier),
        };
        let location = provider.client.authorization_url(authorization).await;
        let location = location.map_err(|error| provider_failed(provider, error))?;

        let (id, path) = (random::uuid_v7(self.vault.clock.now()), own_path()?);
        let plaintext = zeroize::Zeroizing::new(serde_json::to_vec(&secrets).map_err(Error::internal)?);
        let sealed = self
            .vault
            .keys
            .seal_own(&context("sso_flows", id, &path), &plaintext)
            .await?;
        let flow = NewFlow {
            id,
            provider: &provider.name,
            state_hash: state_hash.as_bytes(),
            browser_hash: &token::sha256(expose(&browser).as_bytes()),
            challenge: &request.challenge,
            wrapped_dek: &sealed.wrapped_dek,
            ciphertext: &sealed.ciphertext,
            return_to: return_to.as_str(),
        };
        let begun = sso::begin(&self.vault.pool, &flow, FLOW_SECONDS.into()).await;
        if !begun.map_err(store_failed)? {
            return Err(Error::new(
                Reason::Busy,
                "too many logins are under way; try again shortly",
            ));
        }
        Ok(SsoStarted {
            location,
            browser,
            seconds: FLOW_SECONDS,
        })
    }
}
