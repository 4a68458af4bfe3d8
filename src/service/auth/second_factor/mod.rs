//! The second factor: codes of an authenticator, recovery codes and passkeys; enrolling, showing, removing.
//!
//! An attempt is counted by the account before anything is compared (R5, R6), apart from attempts at the password, and no new login resets
//! the count. What was compared is spent by one statement, so that it is good once, on whatever process (R4).

mod complete;
mod enrol;
mod step_up;

use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

pub use complete::CompletedLogin;
pub use enrol::SecondFactorState;

use super::Auth;
use super::passkeys::{PasskeyAnswer, PasskeyUse};
use crate::crypto::envelope::RecordContext;
use crate::crypto::totp::{Enrolment, TotpSecret, recovery_code, recovery_hash};
use crate::domain::audit::{Action, Outcome};
use crate::domain::path::RecordPath;
use crate::domain::record::Version;
use crate::domain::second_factor::{RecoveryCode, TotpCode};
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::service::keys::SYSTEM_ROOT;
use crate::store::audit::Confirm;
use crate::store::login_attempts::{self, Factor, Lockout};
use crate::store::passkeys::Kind;
use crate::store::totp::TotpRow;
use crate::store::{Tx, login_challenges, recovery_codes, totp};

/// Five attempts, then locks of half a minute up to six hours: at three codes in a million that count at a time, guessing for a year comes
/// to less than one chance in two hundred.
const LOCKOUT: Lockout = Lockout {
    failures: 5,
    first_seconds: 30.0,
    most_seconds: 6.0 * 3600.0,
};
/// Recovery codes of an account.
const RECOVERY_CODES: usize = 10;
/// How long a second factor counts as shown lately, for what needs it shown again.
const RECENT: SignedDuration = SignedDuration::from_mins(5);
/// The table that envelopes of secrets are bound to.
const TABLE: &str = "totp";

/// A second factor as somebody shows it; well-formed, or it does not come this far (R4).
pub enum ShownFactor {
    /// A code of an authenticator.
    Totp(TotpCode),
    /// A recovery code.
    Recovery(RecoveryCode),
    /// What a browser made of a challenge for a passkey.
    Passkey(PasskeyAnswer),
}

impl ShownFactor {
    /// Reads what was sent: one of the two.
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`].
    pub fn parse(code: Option<&SecretString>, recovery_code: Option<&SecretString>) -> Result<Self> {
        let malformed =
            |error: crate::domain::second_factor::MalformedCode| Error::new(Reason::InvalidRequest, error.to_string());
        match (code, recovery_code) {
            (Some(code), None) => TotpCode::parse(code.expose_secret()).map(Self::Totp).map_err(malformed),
            (None, Some(code)) => RecoveryCode::parse(code.expose_secret())
                .map(Self::Recovery)
                .map_err(malformed),
            _ => Err(Error::new(
                Reason::InvalidRequest,
                "send one second factor: 'code' of an authenticator, or a 'recoveryCode'",
            )),
        }
    }
}

/// What a look at a second factor found.
enum Look {
    /// It may be right; whether it still is good once is found by spending it.
    Claim(Claim),
    /// It is wrong.
    Wrong,
    /// There were too many attempts; nothing was compared.
    Locked,
}

/// What is spent when a second factor is accepted.
enum Claim {
    Step { secret: Uuid, step: i64 },
    Recovery([u8; 32]),
    Passkey(PasskeyUse),
}

impl Auth<'_> {
    /// Counts an attempt and looks at what is shown. Too many attempts end the logins that wait for a second factor (R5).
    async fn look_at(&self, user: Uuid, shown: &ShownFactor) -> Result<Look> {
        if !self.admit(user).await? {
            return Ok(Look::Locked);
        }
        let code = match shown {
            ShownFactor::Passkey(answer) => {
                let shown = self.verify_passkey(Some(user), Kind::SecondFactor, answer).await?;
                return Ok(shown.map_or(Look::Wrong, |shown| Look::Claim(Claim::Passkey(shown))));
            }
            ShownFactor::Recovery(code) => return Ok(Look::Claim(Claim::Recovery(recovery_hash(user, code)))),
            ShownFactor::Totp(code) => code,
        };
        let row = totp::find(&self.vault.pool, user).await.map_err(store_failed)?;
        let Some(row) = row.filter(|row| row.confirmed) else {
            return Ok(Look::Wrong);
        };
        Ok(match self.step_of(user, &row, code).await? {
            Some(step) => Look::Claim(Claim::Step { secret: row.id, step }),
            None => Look::Wrong,
        })
    }

    /// Counts an attempt; `false` if the account has had too many.
    async fn admit(&self, user: Uuid) -> Result<bool> {
        let admitted = login_attempts::count(&self.vault.pool, user, Factor::SecondFactor, LOCKOUT)
            .await
            .map_err(store_failed)?;
        if !admitted {
            login_challenges::end_all_of(&self.vault.pool, user)
                .await
                .map_err(store_failed)?;
        }
        Ok(admitted)
    }

    /// Spends what was claimed, and forgets the attempts; `false` if it was spent before.
    async fn spend(&self, tx: &mut Tx<'_>, user: Uuid, claim: &Claim) -> Result<bool> {
        let spent = match claim {
            Claim::Passkey(shown) => Ok(self.spend_passkey(tx, shown).await?),
            Claim::Step { secret, step } => totp::spend(tx, user, *secret, *step).await,
            Claim::Recovery(hash) => recovery_codes::spend(tx, user, hash).await,
        };
        if !spent.map_err(store_failed)? {
            return Ok(false);
        }
        login_attempts::forget(tx, user, Factor::SecondFactor)
            .await
            .map_err(store_failed)?;
        self.counted("ok");
        Ok(true)
    }

    /// The step that a code belongs to, by a secret that is stored.
    async fn step_of(&self, user: Uuid, row: &TotpRow, code: &TotpCode) -> Result<Option<i64>> {
        let path = secret_path(user)?;
        let context = secret_context(row.id, &path);
        let bytes = self
            .vault
            .keys
            .unseal(&context, &row.wrapped_dek, &row.ciphertext)
            .await?;
        let secret = TotpSecret::from_bytes(&bytes).map_err(Error::internal)?;
        secret.step_of(code, self.vault.clock.now()).map_err(Error::internal)
    }

    /// Makes a secret, seals it, and says what an authenticator is set up with; nothing is stored yet.
    async fn sealed_secret(&self, ctx: &OpContext, user: Uuid, name: &str) -> Result<(TotpRow, Enrolment)> {
        let secret = TotpSecret::generate();
        // A name has no ':' unless somebody put it into the database.
        let enrolment = secret
            .enrolment(&self.vault.second_factor.issuer, name)
            .map_err(Error::internal)?;
        let (id, path) = (crate::crypto::random::uuid_v7(ctx.now()), secret_path(user)?);
        let sealed = self
            .vault
            .keys
            .seal_own(&secret_context(id, &path), secret.as_bytes())
            .await?;
        let row = TotpRow {
            id,
            wrapped_dek: sealed.wrapped_dek,
            ciphertext: sealed.ciphertext,
            confirmed: false,
        };
        Ok((row, enrolment))
    }

    /// Gives an account new recovery codes in place of those it has.
    async fn renew_recovery_codes(&self, tx: &mut Tx<'_>, user: Uuid) -> Result<Vec<SecretString>> {
        let mut codes = Vec::with_capacity(RECOVERY_CODES);
        let mut hashes = Vec::with_capacity(RECOVERY_CODES);
        while codes.len() < RECOVERY_CODES {
            let shown = recovery_code();
            let code = RecoveryCode::parse(shown.expose_secret()).map_err(Error::internal)?;
            hashes.push(recovery_hash(user, &code).to_vec());
            codes.push(shown);
        }
        recovery_codes::replace(tx, user, &hashes).await.map_err(store_failed)?;
        Ok(codes)
    }

    /// Commits the entry of a refused second factor and answers the refusal.
    async fn factor_refused(&self, ctx: &OpContext, action: Action, locked: bool) -> Result<Error> {
        self.counted(if locked { "locked" } else { "failed" });
        let error = match locked {
            true => Error::new(
                Reason::SecondFactorLocked,
                "too many second factors were wrong; try again later with a new login, or ask an administrator to unlock the account",
            ),
            false => Error::new(
                Reason::SecondFactorFailed,
                "the code is wrong, past its time, or was used before; wait for the next one, and check the clock of the authenticator",
            ),
        };
        let entry = ctx
            .entry(action, &ctx.actor().display())
            .ended(Outcome::Deny, error.reason().as_str());
        self.vault.audit.commit(entry, Confirm::default()).await?;
        Ok(error)
    }

    fn counted(&self, result: &str) {
        self.vault.metrics.second_factors.with_label_values(&[result]).inc();
    }
}

fn secret_context(id: Uuid, path: &RecordPath) -> RecordContext<'_> {
    RecordContext {
        root_id: SYSTEM_ROOT,
        table: TABLE,
        record_id: id,
        version: Version::FIRST,
        path,
    }
}

/// A secret has no path; the envelope wants one all the same, and this one is its user's alone: a row that was moved to another does not open.
fn secret_path(user: Uuid) -> Result<RecordPath> {
    RecordPath::parse(&format!("system/totp/{user}")).map_err(Error::internal)
}

fn not_enrolled() -> Error {
    Error::new(
        Reason::SecondFactorNotEnrolled,
        "the account has no second factor; enrol one with POST /api/v1/me/second-factor/totp",
    )
}
