//! From a login challenge and a second factor to a session; and enrolling the second factor that a login needs.

use secrecy::{ExposeSecret as _, SecretString};

use super::{Look, ShownFactor};
use crate::crypto::token;
use crate::crypto::totp::Enrolment;
use crate::domain::audit::Action;
use crate::domain::second_factor::TotpCode;
use crate::service::auth::begin::{CHALLENGE_PREFIX, Method, SecondFactor, WayIn};
use crate::service::auth::login::{request_context, user_actor};
use crate::service::auth::{Auth, IssuedSession, RequestInfo};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::login_attempts::{self, Factor};
use crate::store::login_challenges::{self, ChallengeRow};
use crate::store::{self, Tx, audit, second_factors, totp};

/// A login that is complete.
pub struct CompletedLogin {
    /// The session.
    pub session: IssuedSession,
    /// The recovery codes of a second factor that was enrolled by this login; shown once.
    pub recovery_codes: Vec<SecretString>,
}

impl Auth<'_> {
    /// Completes a login: the challenge and the second factor for a session. Where the login has to enrol a second factor, the code shows that
    /// the authenticator has the secret of [`Auth::enrol_by_challenge`].
    ///
    /// # Errors
    /// [`Reason::ChallengeInvalid`], [`Reason::SecondFactorFailed`], [`Reason::SecondFactorLocked`], which ends the challenge,
    /// [`Reason::SecondFactorNotEnrolled`], and those of the store. None of them leaves a session behind (R11).
    pub async fn complete_login(
        &self,
        challenge: &SecretString,
        shown: &ShownFactor,
        info: RequestInfo,
    ) -> Result<CompletedLogin> {
        let row = self.challenge_of(challenge).await?;
        let ctx = self.context_of_challenge(&row, &info)?;
        if row.enrols {
            return match shown {
                ShownFactor::Totp(code) => self.complete_enrolment(&ctx, &row, code).await,
                ShownFactor::Recovery(_) | ShownFactor::Passkey(_) => Err(not_enrolled_yet()),
            };
        }
        let claim = match self.look_at(row.user_id, shown).await? {
            Look::Claim(claim) => claim,
            Look::Wrong => return Err(self.factor_refused(&ctx, Action::SecondFactor, false).await?),
            Look::Locked => return Err(self.factor_refused(&ctx, Action::SecondFactor, true).await?),
        };
        let mut tx = self.take_challenge(&row).await?;
        if !self.spend(&mut tx, row.user_id, &claim).await? {
            drop(tx);
            return Err(self.factor_refused(&ctx, Action::SecondFactor, false).await?);
        }
        let session = self.end_challenge(tx, &ctx, &row).await?;
        Ok(CompletedLogin {
            session,
            recovery_codes: Vec::new(),
        })
    }

    /// Offers a second factor to a login that has to enrol one. It counts once a code of it completed the login.
    ///
    /// # Errors
    /// [`Reason::ChallengeInvalid`], [`Reason::SecondFactorExists`], and those of the store.
    pub async fn enrol_by_challenge(&self, challenge: &SecretString, info: RequestInfo) -> Result<Enrolment> {
        let row = self.challenge_of(challenge).await?;
        if !row.enrols {
            return Err(exists());
        }
        let ctx = self.context_of_challenge(&row, &info)?;
        let (secret, enrolment) = self.sealed_secret(&ctx, row.user_id, &row.user_name).await?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let standing = second_factors::hold(&mut tx, row.user_id).await.map_err(store_failed)?;
        standing.ok_or_else(challenge_invalid)?;
        let offered = totp::offer(&mut tx, row.user_id, secret.id, &secret.wrapped_dek, &secret.ciphertext).await;
        if !offered.map_err(store_failed)? {
            return Err(exists());
        }
        audit::insert(&mut tx, &ctx.entry(Action::SecondFactorOffer, &row.user_name))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        Ok(enrolment)
    }

    /// The challenge that a token is of.
    pub(in crate::service::auth) async fn challenge_of(&self, token: &SecretString) -> Result<ChallengeRow> {
        let hash = token::parse(CHALLENGE_PREFIX, token.expose_secret()).map_err(|_| challenge_invalid())?;
        login_challenges::find(&self.vault.pool, hash.as_bytes())
            .await
            .map_err(store_failed)?
            .ok_or_else(challenge_invalid)
    }

    /// The context of whoever answers a challenge: its user.
    pub(in crate::service::auth) fn context_of_challenge(
        &self,
        row: &ChallengeRow,
        info: &RequestInfo,
    ) -> Result<OpContext> {
        let actor = user_actor(row.user_id, &row.user_name, &row.role, None, Vec::new())?;
        Ok(request_context(self.vault.clock.now(), actor, info))
    }

    /// Begins the transaction that completes a login: holds the user and takes the challenge, which is good once.
    pub(in crate::service::auth) async fn take_challenge(&self, row: &ChallengeRow) -> Result<Tx<'static>> {
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        let standing = second_factors::hold(&mut tx, row.user_id).await.map_err(store_failed)?;
        standing.ok_or_else(challenge_invalid)?;
        if !login_challenges::take(&mut tx, row.id).await.map_err(store_failed)? {
            return Err(challenge_invalid());
        }
        Ok(tx)
    }

    /// Begins the session that a challenge was for, and commits. A second factor was shown, in the same transaction.
    pub(in crate::service::auth) async fn end_challenge(
        &self,
        tx: Tx<'_>,
        ctx: &OpContext,
        row: &ChallengeRow,
    ) -> Result<IssuedSession> {
        let method = Method::parse(&row.method)
            .ok_or_else(|| Error::internal(format!("login challenge {} has an unknown method", row.id)))?;
        let way = WayIn {
            method,
            identity: row.identity_id,
            provider_session: row.provider_session.clone(),
        };
        let settled = SecondFactor::Settled(Some(ctx.now()));
        let outcome = self.proceed(tx, ctx, way, settled).await?;
        outcome
            .session()
            .ok_or_else(|| Error::internal("a login that was complete was asked for more"))
    }

    async fn complete_enrolment(&self, ctx: &OpContext, row: &ChallengeRow, code: &TotpCode) -> Result<CompletedLogin> {
        if !self.admit(row.user_id).await? {
            return Err(self.factor_refused(ctx, Action::SecondFactor, true).await?);
        }
        let secret = totp::find(&self.vault.pool, row.user_id).await.map_err(store_failed)?;
        let secret = secret.filter(|secret| !secret.confirmed).ok_or_else(not_enrolled_yet)?;
        let Some(step) = self.step_of(row.user_id, &secret, code).await? else {
            return Err(self.factor_refused(ctx, Action::SecondFactor, false).await?);
        };
        // Taken first: a factor that comes ends the user's challenges, and this one is being answered.
        let mut tx = self.take_challenge(row).await?;
        if !totp::confirm(&mut tx, row.user_id, secret.id, step)
            .await
            .map_err(store_failed)?
        {
            return Err(challenge_invalid());
        }
        let recovery_codes = self.renew_recovery_codes(&mut tx, row.user_id).await?;
        login_attempts::forget(&mut tx, row.user_id, Factor::SecondFactor)
            .await
            .map_err(store_failed)?;
        audit::insert(&mut tx, &ctx.entry(Action::SecondFactorEnrol, &row.user_name))
            .await
            .map_err(store_failed)?;
        let session = self.end_challenge(tx, ctx, row).await?;
        self.counted("ok");
        Ok(CompletedLogin {
            session,
            recovery_codes,
        })
    }
}

pub(super) fn challenge_invalid() -> Error {
    Error::new(
        Reason::ChallengeInvalid,
        "the challenge has ended, was used, or is not one of this vault's; log in again",
    )
}

pub(super) fn exists() -> Error {
    Error::new(
        Reason::SecondFactorExists,
        "the account has an authenticator already; remove that one first",
    )
}

fn not_enrolled_yet() -> Error {
    Error::new(
        Reason::SecondFactorNotEnrolled,
        "the account has to enrol a second factor first: POST /api/v1/auth/second-factor/enrol, then a code of the authenticator",
    )
}
