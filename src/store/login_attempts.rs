//! Attempts to log in that were not followed by a success, counted by the account (R5, R6).

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// What was guessed at. Each has a count of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// The password.
    Password,
    /// Codes of an authenticator, and recovery codes (R5).
    SecondFactor,
    /// Codes that devices show.
    DeviceCode,
}

impl Factor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SecondFactor => "second_factor",
            Self::DeviceCode => "device_code",
        }
    }
}

/// When an account is locked, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lockout {
    /// Attempts that are let through before it is locked.
    pub failures: i32,
    /// Seconds of the first lock; each one after it lasts twice as long.
    pub first_seconds: f64,
    /// Seconds of a lock at most.
    pub most_seconds: f64,
}

/// Counts an attempt before anything is compared, in one statement, so that attempts at the same time cannot share a count (R6,
/// CVE-2026-27801). Answers whether it may be looked at: not while the account is locked. When a lock has ended, one attempt is let
/// through, and the next locks again.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count(pool: &Pool, user_id: Uuid, factor: Factor, lockout: Lockout) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO login_attempts AS a (user_id, factor, failures) VALUES ($1, $2, 1)
           ON CONFLICT (user_id, factor) DO UPDATE SET
               failures = least(a.failures, 1000000) + 1,
               last_at = now(),
               locked_until = CASE
                   WHEN a.locked_until > now() THEN a.locked_until
                   WHEN a.locked_until IS NULL AND a.failures >= $3
                       THEN now() + make_interval(secs => least($5, $4 * power(2, least(a.failures - $3, 20))::float8))
               END
           RETURNING locked_until IS NULL AS "admitted!""#,
        user_id,
        factor.as_str(),
        lockout.failures,
        lockout.first_seconds,
        lockout.most_seconds,
    )
    .fetch_one(pool)
    .await?)
}

/// Forgets the attempts after a success.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget(tx: &mut Tx<'_>, user_id: Uuid, factor: Factor) -> StoreResult<()> {
    sqlx::query!(
        "DELETE FROM login_attempts WHERE user_id = $1 AND factor = $2",
        user_id,
        factor.as_str()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes back the count of an attempt that was none at guessing; those before it stay.
///
/// # Errors
/// [`super::StoreError`].
pub async fn refund(tx: &mut Tx<'_>, user_id: Uuid, factor: Factor) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE login_attempts SET failures = greatest(failures - 1, 0) WHERE user_id = $1 AND factor = $2",
        user_id,
        factor.as_str()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets all attempts of a user; answers whether there were any.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget_all(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!("DELETE FROM login_attempts WHERE user_id = $1", user_id)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets attempts that are over for a day, a bounded number at a time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM login_attempts WHERE (user_id, factor) IN (
             SELECT user_id, factor FROM login_attempts
             WHERE last_at < now() - interval '1 day' AND (locked_until IS NULL OR locked_until < now()) LIMIT 10000)"
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
