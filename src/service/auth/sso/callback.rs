//! The browser is back from a provider.

use secrecy::SecretString;
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::{
    BROWSER_PREFIX, CODE_PREFIX, CODE_SECONDS, FlowSecrets, Outcome, STATE_PREFIX, SsoProvider, context, expose,
    own_path, provider_failed, worthless,
};
use crate::crypto::{random, token};
use crate::domain::actor::Actor;
use crate::domain::audit::{Action, Outcome as Ending};
use crate::domain::sso::RedirectTarget;
use crate::service::auth::login::request_context;
use crate::service::auth::{Auth, RequestInfo};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::service::identity_provider::Redemption;
use crate::store::audit::Confirm;
use crate::store::sso::{self, FlowRow, OutcomeRow};

/// Characters of a provider's session that are kept.
const MAX_SESSION_CHARS: usize = 255;

/// What a browser brings back from a provider.
pub struct SsoReturn {
    /// The provider's name, by the address that it came back to.
    pub provider: String,
    /// The state.
    pub state: Option<SecretString>,
    /// The code.
    pub code: Option<SecretString>,
    /// The provider's error.
    pub error: Option<String>,
    /// The issuer (RFC 9207).
    pub issuer: Option<String>,
    /// The browser's cookie.
    pub browser: Option<SecretString>,
}

impl Auth<'_> {
    /// Ends a flow, and answers where the browser goes on to: to the address that was accepted when it began, with a one-time code or with
    /// the reason why there is none. Nothing that the provider or the browser says is repeated there.
    ///
    /// # Errors
    /// [`Reason::SsoFlowInvalid`] if state or browser are not those of a flow under way, [`Reason::ProviderNotFound`], and those of the
    /// store.
    pub async fn finish_sso(&self, back: SsoReturn, info: &RequestInfo) -> Result<String> {
        let provider = self.sso_provider(&back.provider)?;
        let state = back.state.as_ref().ok_or_else(worthless)?;
        let state_hash = token::parse(STATE_PREFIX, expose(state)).map_err(|_| worthless())?;
        let browser = back.browser.as_ref().ok_or_else(worthless)?;
        let browser_hash = token::parse(BROWSER_PREFIX, expose(browser)).map_err(|_| worthless())?;
        // Taken out first: whatever is wrong with it, it is not good again.
        let flow = sso::take(&self.vault.pool, state_hash.as_bytes()).await;
        let flow = flow.map_err(store_failed)?.ok_or_else(worthless)?;
        let same_browser = bool::from(browser_hash.as_bytes().ct_eq(flow.browser_hash.as_slice()));
        if !same_browser || flow.provider != provider.name {
            return Err(worthless());
        }
        let return_to = RedirectTarget::stored(&flow.return_to).map_err(Error::internal)?;
        let location = match self.outcome_of(provider, &flow, &back).await {
            Ok(code) => return_to.with("code", expose(&code)),
            Err(error) => {
                self.refused_sso(info, &provider.name, &error).await?;
                return_to.with("error", error.reason().as_str())
            }
        };
        Ok(location.as_str().to_owned())
    }

    /// Verifies what came back, keeps who it is, and answers the code that it is fetched with.
    async fn outcome_of(&self, provider: &SsoProvider, flow: &FlowRow, back: &SsoReturn) -> Result<SecretString> {
        let refused = |cause: &'static str| {
            let message = format!("'{}' did not let the login pass", provider.name);
            Error::new(Reason::ProviderRefused, message).because(cause)
        };
        if back.error.is_some() {
            return Err(refused("it answered with an error"));
        }
        let code = back
            .code
            .as_ref()
            .ok_or_else(|| refused("it answered without a code"))?;
        let path = own_path()?;
        let keys = &self.vault.keys;
        let context_of_flow = context("sso_flows", flow.id, &path);
        let secrets = keys
            .unseal(&context_of_flow, &flow.wrapped_dek, &flow.ciphertext)
            .await?;
        let secrets: FlowSecrets = serde_json::from_slice(&secrets).map_err(Error::internal)?;
        let redirect_uri = self.callback_url(provider)?;
        let now = self.vault.clock.now();
        let redemption = Redemption {
            code,
            redirect_uri: &redirect_uri,
            verifier: &SecretString::from(secrets.verifier.as_str()),
            nonce: &secrets.nonce,
            issuer: back.issuer.as_deref(),
            wanted: &provider.claims.wanted(),
            now,
        };
        let claims = provider.client.redeem(redemption).await;
        let claims = claims.map_err(|error| provider_failed(provider, error))?;
        let profile = provider
            .claims
            .profile(&claims)
            .map_err(|error| Error::new(Reason::ProviderRefused, error.to_string()).because(error))?;
        let session = claims.get("sid").and_then(Value::as_str);
        let outcome = Outcome {
            profile,
            provider_session: session
                .filter(|session| session.len() <= MAX_SESSION_CHARS && !session.contains('\0'))
                .map(str::to_owned),
        };
        let id = random::uuid_v7(now);
        let plaintext = zeroize::Zeroizing::new(serde_json::to_vec(&outcome).map_err(Error::internal)?);
        let sealed = keys.seal_own(&context("sso_outcomes", id, &path), &plaintext).await?;
        let row = OutcomeRow {
            id,
            provider: provider.name.clone(),
            challenge: flow.challenge.clone(),
            wrapped_dek: sealed.wrapped_dek,
            ciphertext: sealed.ciphertext,
        };
        let (code, code_hash) = token::generate(CODE_PREFIX);
        sso::keep_outcome(&self.vault.pool, &row, code_hash.as_bytes(), CODE_SECONDS)
            .await
            .map_err(store_failed)?;
        Ok(code)
    }

    /// Writes down that a login by a provider came to nothing.
    pub(super) async fn refused_sso(&self, info: &RequestInfo, provider: &str, error: &Error) -> Result<()> {
        self.vault.metrics.logins.with_label_values(&["failed"]).inc();
        if !self.vault.has_own_entry(info.client, "unknown") {
            return Ok(());
        }
        tracing::info!(
            provider,
            reason = error.reason().as_str(),
            cause = error.source_for_log(),
            "single sign-on failed"
        );
        let ctx = request_context(self.vault.clock.now(), Actor::System, info);
        // What the provider told of somebody who is not let in is not written down.
        let mut entry = ctx
            .entry(Action::SsoLogin, provider)
            .ended(Ending::Deny, error.reason().as_str());
        entry.actor_kind = "anonymous";
        entry.actor_id = String::new();
        "unknown".clone_into(&mut entry.actor_name);
        self.vault.audit.commit(entry, Confirm::default()).await?;
        Ok(())
    }
}
