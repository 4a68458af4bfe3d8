//! What a flow came to is fetched, and somebody is logged in.

use jiff::Timestamp;
use secrecy::SecretString;

use super::people::Arrival;
use super::{CODE_PREFIX, Outcome, SsoProvider, context, expose, own_path, worthless};
use crate::crypto::{pkce, token};
use crate::service::auth::login::{request_context, user_actor};
use crate::service::auth::{Auth, LoggedIn, Method, RequestInfo, SecondFactor, WayIn};
use crate::service::error::{Error, Result};
use crate::service::failure::store_failed;
use crate::store::{self, sso};

/// The one-time code that a browser came back with, and the verifier of whoever began the login.
pub struct SsoExchange {
    /// The code.
    pub code: SecretString,
    /// The verifier of the challenge.
    pub verifier: SecretString,
}

impl Auth<'_> {
    /// Logs somebody in who came back from a provider: to a session, or to a challenge for the second factor, which is asked for unless the
    /// settings say that the provider's word counts and the provider says that it saw one (R2).
    ///
    /// # Errors
    /// [`crate::service::error::Reason::SsoFlowInvalid`], `IdentityUnknown`, `AccountExists`, `LoginFailed` for a user who may not log in,
    /// `LastAdministrator`, and those of the store.
    pub async fn exchange_sso(&self, exchange: SsoExchange, info: RequestInfo) -> Result<LoggedIn> {
        let (provider, outcome) = self.take_outcome(&exchange).await?;
        match self.log_in_by(provider, &outcome, &info).await {
            Ok(logged_in) => Ok(logged_in),
            Err(error) => {
                self.refused_sso(&info, &provider.name, &error).await?;
                Err(error)
            }
        }
    }

    async fn log_in_by(&self, provider: &SsoProvider, outcome: &Outcome, info: &RequestInfo) -> Result<LoggedIn> {
        let now = self.vault.clock.now();
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let arrival = self.arrive(&mut tx, provider, &outcome.profile, info, now).await?;
        let Arrival {
            user,
            name,
            role,
            identity,
        } = arrival;
        let actor = user_actor(user, &name, role.as_str(), None, Vec::new())?;
        let ctx = request_context(now, actor, info);
        let way = WayIn {
            method: Method::Sso,
            identity: Some(identity),
            provider_session: outcome.provider_session.clone(),
        };
        self.proceed(tx, &ctx, way, seen_factor(provider, outcome, now)).await
    }

    /// Takes an outcome out. A code with another verifier than that of the flow's beginning is used up all the same.
    pub(super) async fn take_outcome(&self, exchange: &SsoExchange) -> Result<(&SsoProvider, Outcome)> {
        let code_hash = token::parse(CODE_PREFIX, expose(&exchange.code)).map_err(|_| worthless())?;
        let row = sso::take_outcome(&self.vault.pool, code_hash.as_bytes()).await;
        let row = row.map_err(store_failed)?.ok_or_else(worthless)?;
        if !pkce::matches(&row.challenge, expose(&exchange.verifier)) {
            return Err(worthless());
        }
        let provider = self.sso_provider(&row.provider)?;
        let path = own_path()?;
        let sealed = context("sso_outcomes", row.id, &path);
        let plaintext = self
            .vault
            .keys
            .unseal(&sealed, &row.wrapped_dek, &row.ciphertext)
            .await?;
        let outcome = serde_json::from_slice(&plaintext).map_err(Error::internal)?;
        Ok((provider, outcome))
    }
}

/// Whether the second factor is settled by the provider's word.
fn seen_factor(provider: &SsoProvider, outcome: &Outcome, now: Timestamp) -> SecondFactor {
    match provider.trust_second_factor && outcome.profile.second_factor {
        true => SecondFactor::Settled(Some(now)),
        false => SecondFactor::Open,
    }
}
