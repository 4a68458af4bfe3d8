//! Passkeys to log in with: alone, or after a password; and for a fresh second factor within a session.

use secrecy::SecretString;
use uuid::Uuid;

use super::{PasskeyAnswer, PasskeyChallenge};
use crate::domain::actor::Actor;
use crate::domain::audit::{Action, Outcome};
use crate::service::auth::begin::{SecondFactor, WayIn};
use crate::service::auth::login::{login_failed, request_context};
use crate::service::auth::{Auth, LoggedIn, Method, RequestInfo};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::audit::Confirm;
use crate::store::passkeys::{self, Kind};
use crate::store::{self, second_factors};

impl Auth<'_> {
    /// Begins a login by a passkey alone; whose it is, its answer says.
    ///
    /// # Errors
    /// [`Reason::PasskeysOff`], and those of the store.
    pub async fn start_passkey_login(&self) -> Result<PasskeyChallenge> {
        let ceremony = self.relying_party()?.start_assertion(&[]);
        self.begin_ceremony(None, Kind::Login, ceremony).await
    }

    /// Logs in by a passkey alone. It stands for both factors.
    ///
    /// # Errors
    /// [`Reason::LoginFailed`] whatever the reason, [`Reason::PasskeysOff`], and those of the store.
    pub async fn passkey_login(&self, answer: &PasskeyAnswer, info: RequestInfo) -> Result<LoggedIn> {
        let Some(shown) = self.verify_passkey(None, Kind::Login, answer).await? else {
            return self.passkey_failed(&info).await;
        };
        let Some(user) = self.identity_of(shown.user).await? else {
            return self.passkey_failed(&info).await;
        };
        let ctx = request_context(self.vault.clock.now(), Actor::User(user), &info);
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let standing = second_factors::hold(&mut tx, shown.user).await.map_err(store_failed)?;
        if standing.is_none() || !self.spend_passkey(&mut tx, &shown).await? {
            drop(tx);
            return self.passkey_failed(&info).await;
        }
        let settled = SecondFactor::Settled(Some(ctx.now()));
        self.proceed(tx, &ctx, WayIn::by(Method::Passkey), settled).await
    }

    /// Begins the second factor of a login with one of the account's passkeys.
    ///
    /// # Errors
    /// [`Reason::PasskeysOff`], [`Reason::ChallengeInvalid`], [`Reason::SecondFactorNotEnrolled`], and those of the store.
    pub async fn start_passkey_factor(&self, challenge: &SecretString) -> Result<PasskeyChallenge> {
        self.relying_party()?;
        let row = self.challenge_of(challenge).await?;
        self.assert_own(row.user_id).await
    }

    /// Begins a fresh second factor within a session with one of the person's passkeys.
    ///
    /// # Errors
    /// [`Reason::PasskeysOff`], [`Reason::SessionRequired`], [`Reason::SecondFactorNotEnrolled`], and those of the store.
    pub async fn start_passkey_step_up(&self, ctx: &OpContext) -> Result<PasskeyChallenge> {
        let (person, _) = ctx.person()?;
        self.relying_party()?;
        self.still_in_force(ctx).await?;
        self.assert_own(person.id).await
    }

    async fn assert_own(&self, user: Uuid) -> Result<PasskeyChallenge> {
        let rows = passkeys::credentials(&self.vault.pool, user)
            .await
            .map_err(store_failed)?;
        if rows.is_empty() {
            return Err(Error::new(
                Reason::SecondFactorNotEnrolled,
                "the account has no passkey that can be used; show another second factor",
            ));
        }
        let credentials: Vec<_> = rows.into_iter().map(|row| row.credential_id).collect();
        let ceremony = self.relying_party()?.start_assertion(&credentials);
        self.begin_ceremony(Some(user), Kind::SecondFactor, ceremony).await
    }

    /// Nothing is told of why: an unknown passkey, one that is not taken any more and a disabled account answer alike.
    async fn passkey_failed(&self, info: &RequestInfo) -> Result<LoggedIn> {
        self.vault.metrics.logins.with_label_values(&["failed"]).inc();
        let ctx = request_context(self.vault.clock.now(), Actor::System, info);
        let mut entry = ctx
            .entry(Action::Login, "unknown")
            .ended(Outcome::Deny, Reason::LoginFailed.as_str());
        entry.actor_kind = "anonymous";
        entry.actor_id = String::new();
        entry.actor_name = "unknown".to_owned();
        self.vault.audit.commit(entry, Confirm::default()).await?;
        Err(login_failed())
    }
}
