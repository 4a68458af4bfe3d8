//! What people see and set of their own accounts.

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A person's account as it is shown to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRow {
    /// The user's id.
    pub id: Uuid,
    /// The canonical name.
    pub name: String,
    /// `person` or `machine`.
    pub kind: String,
    /// `admin`, `auditor` or `user`.
    pub role: String,
    /// The canonical e-mail address.
    pub email: Option<String>,
    /// What the user is called.
    pub display_name: Option<String>,
    /// The groups, each once, in the order of names.
    pub groups: Vec<String>,
    /// Whether an administrator demands a second factor of this user.
    pub second_factor_required: bool,
    /// Whether a TOTP generator is enrolled and confirmed.
    pub totp: bool,
    /// Passkeys that are registered.
    pub passkeys: i64,
    /// Recovery codes that are left.
    pub recovery_codes: i64,
}

/// The account of a user.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, id: Uuid) -> StoreResult<Option<ProfileRow>> {
    Ok(sqlx::query_as!(
        ProfileRow,
        r#"SELECT u.id, u.name, u.kind, u.role, u.email, u.display_name, u.second_factor_required,
                  ARRAY(SELECT DISTINCT g.name FROM group_members m JOIN groups g ON g.id = m.group_id
                        WHERE m.user_id = u.id ORDER BY 1) AS "groups!",
                  EXISTS (SELECT FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL) AS "totp!",
                  (SELECT count(*) FROM passkeys p WHERE p.user_id = u.id) AS "passkeys!",
                  (SELECT count(*) FROM recovery_codes c WHERE c.user_id = u.id AND c.used_at IS NULL) AS "recovery_codes!"
           FROM users u WHERE u.id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await?)
}

/// Sets what people may set of their own accounts; what is absent stays. An address that a person chose is marked as such.
///
/// # Errors
/// [`super::StoreError`]; constraint `users_email_key` if the address is another user's.
pub async fn change(
    tx: &mut Tx<'_>,
    id: Uuid,
    email: Option<Option<&str>>,
    display_name: Option<Option<&str>>,
) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE users SET
             email = CASE WHEN $2 THEN $3 ELSE email END,
             email_self_set = CASE WHEN $2 AND email IS DISTINCT FROM $3 THEN $3::text IS NOT NULL ELSE email_self_set END,
             display_name = CASE WHEN $4 THEN $5 ELSE display_name END,
             updated_at = now()
         WHERE id = $1 AND deleted_at IS NULL",
        id,
        email.is_some(),
        email.flatten(),
        display_name.is_some(),
        display_name.flatten(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
