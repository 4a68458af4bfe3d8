//! What an operator with the owner's role repairs: accounts and policies that keep everybody out.

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// Whether this role owns the schema, which the serving role does not.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_owner(pool: &Pool) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT pg_has_role(current_user, relowner, 'USAGE') AS "owner!" FROM pg_class WHERE oid = 'users'::regclass"#
    )
    .fetch_one(pool)
    .await?)
}

/// Id and kind of a user, deleted ones among them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(tx: &mut Tx<'_>, name: &str) -> StoreResult<Option<(Uuid, String)>> {
    let row = sqlx::query!("SELECT id, kind FROM users WHERE name = $1 FOR UPDATE", name)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.map(|row| (row.id, row.kind)))
}

/// Makes a user an administrator in good standing with a one-time password. Every session and API key of theirs ends or is looked at
/// anew.
///
/// # Errors
/// [`super::StoreError`].
pub async fn make_administrator(tx: &mut Tx<'_>, id: Uuid, password_hash: &str) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE users SET role = 'admin', disabled_at = NULL, deleted_at = NULL, password_hash = $2, must_change_password = true,
                          password_changed_at = now(), updated_at = now()
         WHERE id = $1",
        id,
        password_hash
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes every second factor of a user away.
///
/// # Errors
/// [`super::StoreError`].
pub async fn drop_second_factors(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<()> {
    sqlx::query!("DELETE FROM totp WHERE user_id = $1", id)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("DELETE FROM recovery_codes WHERE user_id = $1", id)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("DELETE FROM passkeys WHERE user_id = $1", id)
        .execute(&mut **tx)
        .await?;
    sqlx::query!("DELETE FROM login_challenges WHERE user_id = $1", id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Disables a policy by its full name, or enables it again; `false` if there is none.
///
/// # Errors
/// [`super::StoreError`].
pub async fn disable_policy(tx: &mut Tx<'_>, full_name: &str, disabled: bool) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE policies AS p SET disabled_at = CASE WHEN $2 THEN coalesce(p.disabled_at, now()) END
         WHERE p.id = (SELECT q.id FROM policies q LEFT JOIN clusters c ON c.id = q.cluster_id
                       WHERE CASE WHEN c.prefix IS NULL THEN q.name ELSE c.prefix || '/' || q.namespace || '/' || q.name END = $1)",
        full_name,
        disabled,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
