//! Logging out at the provider too, and being told by it that somebody did.

use secrecy::SecretString;

use super::provider_failed;
use crate::domain::actor::Actor;
use crate::domain::audit::Action;
use crate::service::auth::login::request_context;
use crate::service::auth::{Auth, RequestInfo};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::{self, audit, identities};

impl Auth<'_> {
    /// Ends the caller's session, and answers where to send the browser so that it is logged out at the provider too; `None` if the session
    /// did not come by one, or the provider has no such place or is down: the session has ended all the same.
    ///
    /// # Errors
    /// Those of [`Auth::logout`].
    pub async fn logout_sso(&self, ctx: &OpContext) -> Result<Option<String>> {
        let name = match ctx.session() {
            Some(session) => {
                let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
                identities::provider_of_session(&mut tx, session)
                    .await
                    .map_err(store_failed)?
            }
            None => None,
        };
        self.logout(ctx).await?;
        // One that was taken out of the settings has no place any more.
        let Some(provider) = name.and_then(|name| self.sso_provider(&name).ok()) else {
            return Ok(None);
        };
        match provider
            .client
            .end_session_url(provider.logout_redirect.as_deref())
            .await
        {
            Ok(url) => Ok(url),
            Err(error) => {
                tracing::warn!(provider = provider.name, %error, "the provider cannot be asked where to log out");
                Ok(None)
            }
        }
    }

    /// Ends the sessions that came by somebody who logged out at a provider, by a token that the provider signed (OpenID Connect
    /// Back-Channel Logout 1.0). The same token again ends nothing more, so it needs not be remembered.
    ///
    /// # Errors
    /// [`Reason::ProviderNotFound`], [`Reason::InvalidRequest`] for what the provider did not sign, [`Reason::ProviderUnavailable`], and those
    /// of the store.
    pub async fn provider_logged_out(&self, provider: &str, token: &SecretString, info: &RequestInfo) -> Result<()> {
        let provider = self.sso_provider(provider)?;
        let now = self.vault.clock.now();
        let out = provider.client.logged_out(token, now).await.map_err(|error| {
            let failed = provider_failed(provider, error);
            match failed.reason() {
                Reason::ProviderRefused => Error::new(
                    Reason::InvalidRequest,
                    "this is no logout token of the provider for this vault",
                ),
                _ => failed,
            }
        })?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let (subject, session) = (out.subject.as_deref(), out.session.as_deref());
        if [subject, session].into_iter().flatten().any(|text| text.contains('\0')) {
            return Err(Error::new(
                Reason::InvalidRequest,
                "the logout token names what cannot be",
            ));
        }
        let ended = identities::end_sessions(&mut tx, &provider.name, subject, session)
            .await
            .map_err(store_failed)?;
        let ctx = request_context(now, Actor::System, info);
        for (_, user) in &ended {
            let resource = format!("{user} by {}", provider.name);
            audit::insert(&mut tx, &ctx.entry(Action::Logout, &resource))
                .await
                .map_err(store_failed)?;
        }
        store::commit(tx).await.map_err(store_failed)?;
        for (session, _) in ended {
            self.vault.actors.invalidate(&session);
        }
        Ok(())
    }
}
