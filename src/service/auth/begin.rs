//! Where a session begins, whatever way somebody came in, and where the second factor is asked for: by the account's id (R2).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use uuid::Uuid;

use super::Auth;
use super::login::login_failed;
use crate::crypto::{random, token};
use crate::domain::actor::Role;
use crate::domain::audit::{Action, clean_user_agent};
use crate::service::context::OpContext;
use crate::service::error::{Error, Result};
use crate::service::failure::store_failed;
use crate::store::second_factors::{self, LoginStanding};
use crate::store::sessions::{self, NewSession};
use crate::store::{self, Tx, audit, login_challenges, refresh_tokens, users};

/// What refresh tokens begin with.
pub(super) const REFRESH_PREFIX: &str = "avr";
/// What tokens of login challenges begin with.
pub(super) const CHALLENGE_PREFIX: &str = "avc";
/// For how long a login waits for its second factor.
const CHALLENGE_SECONDS: f64 = 300.0;

/// How long sessions of people last.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// Without being refreshed.
    pub idle_ttl: Duration,
    /// In any case.
    pub ttl: Duration,
}

/// Who needs a second factor.
#[derive(Debug, Clone)]
pub struct SecondFactorSettings {
    /// Roles whose logins need one.
    pub required_roles: Vec<Role>,
    /// What authenticators show beside the user's name.
    pub issuer: String,
}

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By a password.
    Password,
    /// By a passkey alone.
    Passkey,
    /// By a provider of single sign-on.
    Sso,
    /// By a device that a person in a session of theirs approved.
    Device,
}

impl Method {
    /// As stored and as shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Sso => "sso",
            Self::Device => "device",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Password, Self::Passkey, Self::Sso, Self::Device]
            .into_iter()
            .find(|method| method.as_str() == text)
    }
}

/// How somebody came, and by whom.
#[derive(Debug, Clone)]
pub(in crate::service) struct WayIn {
    /// How.
    pub(in crate::service) method: Method,
    /// The identity at a provider: the session ends with it.
    pub(in crate::service) identity: Option<Uuid>,
    /// The session at that provider, which it may say has ended.
    pub(in crate::service) provider_session: Option<String>,
}

impl WayIn {
    /// A way that no provider has a part in.
    pub(in crate::service) fn by(method: Method) -> Self {
        Self {
            method,
            identity: None,
            provider_session: None,
        }
    }
}

/// What a login still has to show after its first factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum SecondFactor {
    /// A second factor, if the account has one or needs one.
    Open,
    /// Nothing: one was shown then, or whoever vouches for the login was not asked for one.
    Settled(Option<Timestamp>),
}

/// A session that has just begun or gone on, with the only copies of its tokens.
pub struct IssuedSession {
    /// The access token.
    pub token: SecretString,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// Good once, for the next access token.
    pub refresh_token: SecretString,
    /// When the session ends unless it is refreshed.
    pub idle_ends_at: Timestamp,
    /// When it ends in any case.
    pub ends_at: Timestamp,
}

/// A login that waits for its second factor.
pub struct LoginChallenge {
    /// What to send with the second factor. Shown once.
    pub token: SecretString,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What the account can show: `totp`, `recoveryCode`, `passkey`.
    pub methods: Vec<&'static str>,
    /// Whether the account has no second factor yet and needs one: then one is enrolled with the challenge.
    pub enrols: bool,
}

/// Where a login has got to.
pub enum LoggedIn {
    /// A session has begun.
    Session(IssuedSession),
    /// A second factor is wanted first.
    SecondFactor(LoginChallenge),
}

impl LoggedIn {
    /// The session, if one has begun.
    #[must_use]
    pub fn session(self) -> Option<IssuedSession> {
        match self {
            Self::Session(session) => Some(session),
            Self::SecondFactor(_) => None,
        }
    }

    /// The challenge, if a second factor is wanted.
    #[must_use]
    pub fn challenge(self) -> Option<LoginChallenge> {
        match self {
            Self::Session(_) => None,
            Self::SecondFactor(challenge) => Some(challenge),
        }
    }
}

impl Auth<'_> {
    /// Goes on after the first factor, and commits the transaction: a session has begun, or a challenge asks for the second factor. Every way
    /// in ends here, so none leads past the second factor (R2), and what fails leaves nothing behind (R11). The context's actor is the user.
    ///
    /// # Errors
    /// [`crate::service::error::Reason::LoginFailed`] if the user may not log in by now, and those of the store.
    pub(in crate::service) async fn proceed(
        &self,
        mut tx: Tx<'_>,
        ctx: &OpContext,
        way: WayIn,
        second_factor: SecondFactor,
    ) -> Result<LoggedIn> {
        let user = self.account(ctx)?;
        let standing = second_factors::hold(&mut tx, user).await.map_err(store_failed)?;
        let standing = standing.ok_or_else(login_failed)?;
        let (outcome, result) = match second_factor {
            SecondFactor::Open if self.wants_second_factor(&standing) => {
                let challenge = self.challenge(&mut tx, ctx, user, &way, &standing).await?;
                (LoggedIn::SecondFactor(challenge), "second_factor")
            }
            SecondFactor::Open => {
                let session = self.begin_session(&mut tx, ctx, &way, None).await?;
                (LoggedIn::Session(session), "ok")
            }
            SecondFactor::Settled(at) => {
                let session = self.begin_session(&mut tx, ctx, &way, at).await?;
                (LoggedIn::Session(session), "ok")
            }
        };
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.metrics.logins.with_label_values(&[result]).inc();
        Ok(outcome)
    }

    /// Begins a session of the context's user within the caller's transaction, its audit entry with it. The caller holds the user's row
    /// ([`second_factors::hold`]) and has seen that the user may log in.
    pub(super) async fn begin_session(
        &self,
        tx: &mut Tx<'_>,
        ctx: &OpContext,
        way: &WayIn,
        second_factor_at: Option<Timestamp>,
    ) -> Result<IssuedSession> {
        let user = self.account(ctx)?;
        let (session, settings) = (random::uuid_v7(ctx.now()), &self.vault.sessions);
        let client = ctx.origin.client.map(|address| address.to_string());
        let user_agent = ctx.origin.user_agent.as_deref().map(clean_user_agent);
        let row = NewSession {
            id: session,
            user_id: user,
            method: way.method.as_str(),
            second_factor_at,
            identity_id: way.identity,
            provider_session: way.provider_session.as_deref(),
            client: client.as_deref(),
            user_agent: user_agent.as_deref(),
            idle_seconds: settings.idle_ttl.as_secs_f64(),
            seconds: settings.ttl.as_secs_f64(),
        };
        let (idle_ends_at, ends_at) = sessions::insert(tx, &row).await.map_err(store_failed)?;
        let (refresh_token, hash) = token::generate(REFRESH_PREFIX);
        refresh_tokens::insert(tx, random::uuid_v7(ctx.now()), session, hash.as_bytes())
            .await
            .map_err(store_failed)?;
        users::logged_in(tx, user).await.map_err(store_failed)?;
        let entry = ctx.entry(Action::Login, &ctx.actor().display());
        audit::insert(tx, &entry).await.map_err(store_failed)?;
        let (token, expires_at) = self.access_token(user, session, ctx.now(), ends_at)?;
        Ok(IssuedSession {
            token,
            expires_at,
            refresh_token,
            idle_ends_at,
            ends_at,
        })
    }

    /// An access token for a session, which ends with it at the latest.
    pub(super) fn access_token(
        &self,
        user: Uuid,
        session: Uuid,
        now: Timestamp,
        ends_at: Timestamp,
    ) -> Result<(SecretString, Timestamp)> {
        let rest = u64::try_from(ends_at.duration_since(now).as_secs()).unwrap_or(0);
        let ttl = self.vault.tokens.ttl().min(Duration::from_secs(rest.max(1)));
        let token = self.vault.tokens.issue_for(user, session, now, ttl)?;
        let expires_at = now.checked_add(SignedDuration::try_from(ttl).map_err(Error::internal)?);
        Ok((token, expires_at.map_err(Error::internal)?))
    }

    fn wants_second_factor(&self, standing: &LoginStanding) -> bool {
        standing.totp || standing.passkey || self.needs_second_factor(standing)
    }

    /// Whether an account's logins need a second factor, be there one or not.
    pub(super) fn needs_second_factor(&self, standing: &LoginStanding) -> bool {
        let roles = &self.vault.second_factor.required_roles;
        standing.required || roles.iter().any(|role| role.as_str() == standing.role)
    }

    async fn challenge(
        &self,
        tx: &mut Tx<'_>,
        ctx: &OpContext,
        user: Uuid,
        way: &WayIn,
        standing: &LoginStanding,
    ) -> Result<LoginChallenge> {
        let (token, hash) = token::generate(CHALLENGE_PREFIX);
        let enrols = !standing.totp && !standing.passkey;
        let id = random::uuid_v7(ctx.now());
        let expires_at = login_challenges::insert(
            tx,
            id,
            user,
            way.method.as_str(),
            enrols,
            hash.as_bytes(),
            CHALLENGE_SECONDS,
        )
        .await
        .map_err(store_failed)?;
        if let Some(identity) = way.identity {
            login_challenges::came_by(tx, id, identity, way.provider_session.as_deref())
                .await
                .map_err(store_failed)?;
        }
        let entry = ctx.entry(Action::FirstFactor, &ctx.actor().display());
        audit::insert(tx, &entry).await.map_err(store_failed)?;
        let recovery = (standing.totp || standing.passkey) && standing.recovery_codes > 0;
        let methods = [
            (standing.totp, "totp"),
            (standing.passkey, "passkey"),
            (recovery, "recoveryCode"),
        ];
        Ok(LoginChallenge {
            token,
            expires_at,
            methods: methods
                .into_iter()
                .filter(|(has, _)| *has)
                .map(|(_, name)| name)
                .collect(),
            enrols,
        })
    }

    fn account(&self, ctx: &OpContext) -> Result<Uuid> {
        let user = ctx.actor().user().map(|user| user.id);
        user.ok_or_else(|| Error::internal("a session of a person was to begin for somebody else"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_comes_back_as_it_was_stored() {
        for method in [Method::Password, Method::Passkey, Method::Sso, Method::Device] {
            assert_eq!(Method::parse(method.as_str()), Some(method));
        }
        assert_eq!(Method::parse("workload"), None);
    }
}
