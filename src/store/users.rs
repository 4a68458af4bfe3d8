//! Users.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A user as stored. The hash is not for the log.
#[derive(Clone)]
pub struct UserRow {
    /// Its id.
    pub id: Uuid,
    /// Its canonical name.
    pub name: String,
    /// `admin`, `auditor` or `user`.
    pub role: String,
    /// The password's PHC string; absent for whoever has none.
    pub password_hash: Option<String>,
    /// When the password was last set; a hash that is renewed is of the same password.
    pub password_changed_at: Option<Timestamp>,
    /// Whether the password is a one-time one.
    pub must_change_password: bool,
    /// Whether it may not act.
    pub disabled: bool,
}

/// A user by canonical name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find_by_name(pool: &Pool, name: &str) -> StoreResult<Option<UserRow>> {
    let row = sqlx::query!(
        r#"SELECT id, name, role, password_hash, password_changed_at AS "changed_at: jiff_sqlx::Timestamp", must_change_password,
                  (disabled_at IS NOT NULL OR deleted_at IS NOT NULL) AS "disabled!"
           FROM users WHERE name = $1"#,
        name
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| UserRow {
        id: row.id,
        name: row.name,
        role: row.role,
        password_hash: row.password_hash,
        password_changed_at: row.changed_at.map(jiff_sqlx::Timestamp::to_jiff),
        must_change_password: row.must_change_password,
        disabled: row.disabled,
    }))
}

/// Whether there is any user: if not, the vault is new. Holds a lock until the transaction ends, so that two processes that start
/// together make one first administrator.
///
/// # Errors
/// [`super::StoreError`].
pub async fn any_locked(tx: &mut Tx<'_>) -> StoreResult<bool> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('aether_vault_first_user'))")
        .execute(&mut **tx)
        .await?;
    Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM users) AS "any!""#)
        .fetch_one(&mut **tx)
        .await?)
}

/// Adds a user.
///
/// # Errors
/// [`super::StoreError`]; constraint `users_name_key` if the name is taken.
pub async fn insert(tx: &mut Tx<'_>, user: &UserRow) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO users (id, name, role, password_hash, must_change_password) VALUES ($1, $2, $3, $4, $5)",
        user.id,
        user.name,
        user.role,
        user.password_hash,
        user.must_change_password,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Replaces the password that was just verified; `false` if another request replaced it first, so a one-time password is used once.
///
/// # Errors
/// [`super::StoreError`].
pub async fn replace_password(tx: &mut Tx<'_>, id: Uuid, old_hash: Option<&str>, new_hash: &str) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE users SET password_hash = $3, must_change_password = false, password_changed_at = now(), updated_at = now()
         WHERE id = $1 AND password_hash IS NOT DISTINCT FROM $2",
        id,
        old_hash,
        new_hash,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces the hash of a password by a better one of the same password; `false` if another password was set in between.
///
/// # Errors
/// [`super::StoreError`].
pub async fn renew_hash(pool: &Pool, id: Uuid, old_hash: &str, new_hash: &str) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        id,
        old_hash,
        new_hash,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets a password that a link for one use was shown for.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set_password(tx: &mut Tx<'_>, id: Uuid, hash: &str) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE users SET password_hash = $2, must_change_password = false, password_changed_at = now(), updated_at = now() WHERE id = $1",
        id,
        hash
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes a login.
///
/// # Errors
/// [`super::StoreError`].
pub async fn logged_in(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<()> {
    sqlx::query!("UPDATE users SET last_login_at = now() WHERE id = $1", id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
