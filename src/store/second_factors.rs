//! Which second factors an account has, asked by its id (R2).

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;

/// An account that may log in, and what its logins have to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginStanding {
    /// When the password was last set.
    pub password_changed_at: Option<Timestamp>,
    /// `admin`, `auditor` or `user`.
    pub role: String,
    /// Whether an administrator demands a second factor of this account.
    pub required: bool,
    /// Whether codes of an authenticator count: one was enrolled and confirmed.
    pub totp: bool,
    /// Whether it has a passkey.
    pub passkey: bool,
    /// Recovery codes that are left.
    pub recovery_codes: i64,
}

/// Removes every second factor of a user, recovery codes too; answers whether there was any that counted.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove_all(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<bool> {
    let totp = super::totp::remove(tx, user_id).await?;
    super::recovery_codes::remove(tx, user_id).await?;
    let passkeys = sqlx::query!("DELETE FROM passkeys WHERE user_id = $1", user_id)
        .execute(&mut **tx)
        .await?;
    Ok(totp || passkeys.rows_affected() > 0)
}

/// Holds a user's row until the transaction ends and says what a login of it has to show; `None` if the user may not log in. Whatever
/// changes a password, a standing or a factor takes the same row first, so nothing of it changes before this login is committed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hold(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<Option<LoginStanding>> {
    // A statement of its own: the next one then sees what was committed while this one waited.
    sqlx::query!("SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
        .fetch_optional(&mut **tx)
        .await?;
    let row = sqlx::query!(
        r#"SELECT u.password_changed_at AS "changed_at: jiff_sqlx::Timestamp", u.role, u.second_factor_required,
                  EXISTS (SELECT FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL) AS "totp!",
                  EXISTS (SELECT FROM passkeys p WHERE p.user_id = u.id) AS "passkey!",
                  (SELECT count(*) FROM recovery_codes c WHERE c.user_id = u.id AND c.used_at IS NULL) AS "recovery_codes!"
           FROM users u WHERE u.id = $1 AND u.disabled_at IS NULL AND u.deleted_at IS NULL"#,
        user_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| LoginStanding {
        password_changed_at: row.changed_at.map(jiff_sqlx::Timestamp::to_jiff),
        role: row.role,
        required: row.second_factor_required,
        totp: row.totp,
        passkey: row.passkey,
        recovery_codes: row.recovery_codes,
    }))
}
