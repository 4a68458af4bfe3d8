//! Users as administrators see and change them.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A user without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub id: Uuid,
    /// Its canonical name.
    pub name: String,
    /// `person` or `machine`.
    pub kind: String,
    /// `admin`, `auditor` or `user`.
    pub role: String,
    /// Its canonical e-mail address.
    pub email: Option<String>,
    /// What it is called.
    pub display_name: Option<String>,
    /// Its groups, each once.
    pub groups: Vec<String>,
    /// Whether it has a password.
    pub has_password: bool,
    /// Whether it is locked after too many attempts.
    pub locked: bool,
    /// Whether it has a second factor.
    pub second_factor: bool,
    /// Whether an administrator demands one of it.
    pub second_factor_required: bool,
    /// When it was disabled.
    pub disabled_at: Option<Timestamp>,
    /// When it was deleted; it can be restored.
    pub deleted_at: Option<Timestamp>,
    /// When it last logged in.
    pub last_login_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

struct Row {
    id: Uuid,
    name: String,
    kind: String,
    role: String,
    email: Option<String>,
    display_name: Option<String>,
    groups: Vec<String>,
    has_password: bool,
    locked: bool,
    second_factor: bool,
    second_factor_required: bool,
    disabled_at: Option<jiff_sqlx::Timestamp>,
    deleted_at: Option<jiff_sqlx::Timestamp>,
    last_login_at: Option<jiff_sqlx::Timestamp>,
    created_at: jiff_sqlx::Timestamp,
}

impl From<Row> for AccountRow {
    fn from(row: Row) -> Self {
        let time = |time: Option<jiff_sqlx::Timestamp>| time.map(jiff_sqlx::Timestamp::to_jiff);
        Self {
            id: row.id,
            name: row.name,
            kind: row.kind,
            role: row.role,
            email: row.email,
            display_name: row.display_name,
            groups: row.groups,
            has_password: row.has_password,
            locked: row.locked,
            second_factor: row.second_factor,
            second_factor_required: row.second_factor_required,
            disabled_at: time(row.disabled_at),
            deleted_at: time(row.deleted_at),
            last_login_at: time(row.last_login_at),
            created_at: row.created_at.to_jiff(),
        }
    }
}

/// A user to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewAccount<'a> {
    /// Its id.
    pub id: Uuid,
    /// Its canonical name.
    pub name: &'a str,
    /// `person` or `machine`.
    pub kind: &'a str,
    /// Its role.
    pub role: &'a str,
    /// Its canonical e-mail address.
    pub email: Option<&'a str>,
    /// What it is called.
    pub display_name: Option<&'a str>,
}

/// What of a user is set; what is absent stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccountChange<'a> {
    /// Its role.
    pub role: Option<&'a str>,
    /// Its canonical e-mail address, or none.
    pub email: Option<Option<&'a str>>,
    /// What it is called, or nothing.
    pub display_name: Option<Option<&'a str>>,
    /// Whether it may not act.
    pub disabled: Option<bool>,
    /// Whether its logins need a second factor.
    pub second_factor_required: Option<bool>,
}

/// Adds a user without a password.
///
/// # Errors
/// [`super::StoreError`]; constraint `users_name_key` or `users_email_key` if one of them is taken.
pub async fn insert(tx: &mut Tx<'_>, account: &NewAccount<'_>) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO users (id, name, kind, role, email, display_name) VALUES ($1, $2, $3, $4, $5, $6)",
        account.id,
        account.name,
        account.kind,
        account.role,
        account.email,
        account.display_name,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A user by id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<Option<AccountRow>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT u.id, u.name, u.kind, u.role, u.email, u.display_name,
                  ARRAY(SELECT DISTINCT g.name FROM group_members m JOIN groups g ON g.id = m.group_id
                        WHERE m.user_id = u.id ORDER BY 1) AS "groups!",
                  u.password_hash IS NOT NULL AS "has_password!",
                  EXISTS (SELECT FROM login_attempts a WHERE a.user_id = u.id AND a.locked_until > now()) AS "locked!",
                  (EXISTS (SELECT FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
                   OR EXISTS (SELECT FROM passkeys p WHERE p.user_id = u.id)) AS "second_factor!", u.second_factor_required,
                  u.disabled_at AS "disabled_at: jiff_sqlx::Timestamp", u.deleted_at AS "deleted_at: jiff_sqlx::Timestamp",
                  u.last_login_at AS "last_login_at: jiff_sqlx::Timestamp", u.created_at AS "created_at: jiff_sqlx::Timestamp"
           FROM users u WHERE u.id = $1"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Into::into))
}

/// Users in the order of names, after `after`, at most `limit`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(pool: &Pool, after: &str, limit: i64) -> StoreResult<Vec<AccountRow>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT u.id, u.name, u.kind, u.role, u.email, u.display_name,
                  ARRAY(SELECT DISTINCT g.name FROM group_members m JOIN groups g ON g.id = m.group_id
                        WHERE m.user_id = u.id ORDER BY 1) AS "groups!",
                  u.password_hash IS NOT NULL AS "has_password!",
                  EXISTS (SELECT FROM login_attempts a WHERE a.user_id = u.id AND a.locked_until > now()) AS "locked!",
                  (EXISTS (SELECT FROM totp t WHERE t.user_id = u.id AND t.confirmed_at IS NOT NULL)
                   OR EXISTS (SELECT FROM passkeys p WHERE p.user_id = u.id)) AS "second_factor!", u.second_factor_required,
                  u.disabled_at AS "disabled_at: jiff_sqlx::Timestamp", u.deleted_at AS "deleted_at: jiff_sqlx::Timestamp",
                  u.last_login_at AS "last_login_at: jiff_sqlx::Timestamp", u.created_at AS "created_at: jiff_sqlx::Timestamp"
           FROM users u WHERE u.name > $1 ORDER BY u.name LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Changes a user that is not deleted; `false` if there is none.
///
/// # Errors
/// [`super::StoreError`]; constraint `users_email_key` if the address is taken.
pub async fn change(tx: &mut Tx<'_>, id: Uuid, change: &AccountChange<'_>) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE users SET
             role = coalesce($2, role),
             email = CASE WHEN $3 THEN $4 ELSE email END,
             email_self_set = email_self_set AND NOT $3,
             display_name = CASE WHEN $5 THEN $6 ELSE display_name END,
             disabled_at = CASE WHEN $7::boolean IS NULL THEN disabled_at WHEN $7 THEN coalesce(disabled_at, now()) END,
             second_factor_required = coalesce($8, second_factor_required),
             updated_at = now()
         WHERE id = $1 AND deleted_at IS NULL",
        id,
        change.role,
        change.email.is_some(),
        change.email.flatten(),
        change.display_name.is_some(),
        change.display_name.flatten(),
        change.disabled,
        change.second_factor_required,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes the user's own groups these, and makes groups that are new. Memberships that single sign-on made are not touched.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set_groups(tx: &mut Tx<'_>, user_id: Uuid, new_ids: &[Uuid], names: &[String]) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO groups (id, name) SELECT * FROM unnest($1::uuid[], $2::text[]) ON CONFLICT (name) DO NOTHING",
        new_ids,
        names
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM group_members m USING groups g
         WHERE m.user_id = $1 AND m.origin = 'local' AND g.id = m.group_id AND NOT g.name = ANY ($2)",
        user_id,
        names
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO group_members (group_id, user_id) SELECT id, $1 FROM groups WHERE name = ANY ($2)
         ON CONFLICT (user_id, group_id, origin) DO NOTHING",
        user_id,
        names
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Deletes a user so that it can be restored; `false` if there is none, or it was deleted before.
///
/// # Errors
/// [`super::StoreError`].
pub async fn delete(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE users SET deleted_at = now(), updated_at = now() WHERE id = $1 AND deleted_at IS NULL",
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Restores a deleted user; `false` if there is none.
///
/// # Errors
/// [`super::StoreError`].
pub async fn restore(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE users SET deleted_at = NULL, updated_at = now() WHERE id = $1 AND deleted_at IS NOT NULL",
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a user for good and retires the name: policies that were written before mean nobody who bears it later (R40).
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<bool> {
    let name = sqlx::query_scalar!("DELETE FROM users WHERE id = $1 RETURNING name", id)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(name) = name else { return Ok(false) };
    sqlx::query!(
        "INSERT INTO retired_names (kind, name) VALUES ('user', $1)
         ON CONFLICT (kind, name) DO UPDATE SET retired_at = now()",
        name
    )
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// Takes a user's password away; it counts as a change.
///
/// # Errors
/// [`super::StoreError`].
pub async fn drop_password(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE users SET password_hash = NULL, must_change_password = false, password_changed_at = now(), updated_at = now() WHERE id = $1",
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether, in this transaction, somebody is left who can administer: an administrator in good standing with a password. Holds a lock
/// until the transaction ends, so that two who leave at once see each other.
///
/// # Errors
/// [`super::StoreError`].
pub async fn administrators_left(tx: &mut Tx<'_>) -> StoreResult<bool> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('aether_vault_administrators'))")
        .execute(&mut **tx)
        .await?;
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM users WHERE role = 'admin' AND disabled_at IS NULL AND deleted_at IS NULL
                          AND password_hash IS NOT NULL) AS "left!""#
    )
    .fetch_one(&mut **tx)
    .await?)
}
