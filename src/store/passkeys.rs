//! Passkeys, and ceremonies with them that are under way.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// A passkey as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyRow {
    /// Its id here.
    pub id: Uuid,
    /// The name for people.
    pub name: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// Since when it is not taken any more, because its counter did not go up.
    pub suspect_at: Option<Timestamp>,
}

/// What a passkey is verified by.
#[derive(Debug, Clone)]
pub struct CredentialRow {
    /// Its id here.
    pub id: Uuid,
    /// Its owner.
    pub user_id: Uuid,
    /// Its id of the authenticator's choice.
    pub credential_id: Vec<u8>,
    /// Its public key and what is known of it.
    pub credential: Value,
    /// Its counter at the last use.
    pub counter: i64,
}

/// What a ceremony is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new passkey of a user.
    Register,
    /// A login by a passkey alone.
    Login,
    /// A second factor: of a login, or a fresh one within a session.
    SecondFactor,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::SecondFactor => "second_factor",
        }
    }
}

/// The passkeys of a user, the oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(pool: &Pool, user_id: Uuid) -> StoreResult<Vec<PasskeyRow>> {
    let rows = sqlx::query!(
        r#"SELECT id, name, created_at AS "created_at: jiff_sqlx::Timestamp", last_used_at AS "last_used_at: jiff_sqlx::Timestamp",
                  suspect_at AS "suspect_at: jiff_sqlx::Timestamp"
           FROM passkeys WHERE user_id = $1 ORDER BY created_at, id"#,
        user_id
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().map(|row| PasskeyRow {
        id: row.id,
        name: row.name,
        created_at: row.created_at.to_jiff(),
        last_used_at: row.last_used_at.map(jiff_sqlx::Timestamp::to_jiff),
        suspect_at: row.suspect_at.map(jiff_sqlx::Timestamp::to_jiff),
    });
    Ok(rows.collect())
}

/// What a user's passkeys are verified by; those that are suspect are not among them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn credentials(pool: &Pool, user_id: Uuid) -> StoreResult<Vec<CredentialRow>> {
    Ok(sqlx::query_as!(
        CredentialRow,
        "SELECT id, user_id, credential_id, credential, counter FROM passkeys WHERE user_id = $1 AND suspect_at IS NULL ORDER BY id",
        user_id
    )
    .fetch_all(pool)
    .await?)
}

/// What a passkey is verified by, found by the id that its authenticator gave it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find(pool: &Pool, credential_id: &[u8]) -> StoreResult<Option<CredentialRow>> {
    Ok(sqlx::query_as!(
        CredentialRow,
        "SELECT id, user_id, credential_id, credential, counter FROM passkeys WHERE credential_id = $1 AND suspect_at IS NULL",
        credential_id
    )
    .fetch_optional(pool)
    .await?)
}

/// How many passkeys a user has. Call it after the user's row was held.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM passkeys WHERE user_id = $1"#,
        user_id
    )
    .fetch_one(&mut **tx)
    .await?)
}

/// A passkey to be stored.
pub struct NewPasskey<'a> {
    /// Its id here.
    pub id: Uuid,
    /// Its owner.
    pub user_id: Uuid,
    /// The name for people.
    pub name: &'a str,
    /// Its id of the authenticator's choice.
    pub credential_id: &'a [u8],
    /// Its public key and what is known of it.
    pub credential: &'a Value,
    /// Its counter.
    pub counter: i64,
}

/// Adds a passkey; answers when.
///
/// # Errors
/// [`super::StoreError`]; constraint `passkeys_credential_id_key` if it is registered already, with whomever.
pub async fn insert(tx: &mut Tx<'_>, passkey: &NewPasskey<'_>) -> StoreResult<Timestamp> {
    let at = sqlx::query_scalar!(
        r#"INSERT INTO passkeys (id, user_id, name, credential_id, credential, counter) VALUES ($1, $2, $3, $4, $5, $6)
           RETURNING created_at AS "at: jiff_sqlx::Timestamp""#,
        passkey.id,
        passkey.user_id,
        passkey.name,
        passkey.credential_id,
        passkey.credential,
        passkey.counter,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(at.to_jiff())
}

/// Notes a use, if the counter went up since the last one, or never counts. In one statement: of two copies that are used at once, one
/// shows. `false` if it did not go up, or the passkey is gone or suspect.
///
/// # Errors
/// [`super::StoreError`].
pub async fn used(tx: &mut Tx<'_>, id: Uuid, counter: i64) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE passkeys SET counter = $2, last_used_at = now()
         WHERE id = $1 AND suspect_at IS NULL AND (counter < $2 OR (counter = 0 AND $2 = 0))",
        id,
        counter,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes a passkey no more: there may be a copy of it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn suspect(tx: &mut Tx<'_>, id: Uuid) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE passkeys SET suspect_at = now() WHERE id = $1 AND suspect_at IS NULL",
        id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Gives a user's passkey another name; `false` if the user has no such passkey.
///
/// # Errors
/// [`super::StoreError`].
pub async fn rename(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid, name: &str) -> StoreResult<bool> {
    let done = sqlx::query!(
        "UPDATE passkeys SET name = $3 WHERE id = $2 AND user_id = $1",
        user_id,
        id,
        name
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a user's passkey; `false` if the user has no such passkey.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid) -> StoreResult<bool> {
    let done = sqlx::query!("DELETE FROM passkeys WHERE id = $2 AND user_id = $1", user_id, id)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps the state of a ceremony for `seconds`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn begin(
    pool: &Pool,
    id: Uuid,
    user_id: Option<Uuid>,
    kind: Kind,
    state: &Value,
    seconds: f64,
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO passkey_ceremonies (id, user_id, kind, state, expires_at)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))",
        id,
        user_id,
        kind.as_str(),
        state,
        seconds,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes a ceremony out, so that its challenge is answered once; its state. `None` if it has ended, was taken, or is another user's or of
/// another kind.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take(pool: &Pool, id: Uuid, user_id: Option<Uuid>, kind: Kind) -> StoreResult<Option<Value>> {
    Ok(sqlx::query_scalar!(
        "DELETE FROM passkey_ceremonies
         WHERE id = $1 AND user_id IS NOT DISTINCT FROM $2 AND kind = $3 AND expires_at > now() RETURNING state",
        id,
        user_id,
        kind.as_str(),
    )
    .fetch_optional(pool)
    .await?)
}

/// Removes ceremonies past their end, a bounded number at a time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!(
        "DELETE FROM passkey_ceremonies WHERE id IN (SELECT id FROM passkey_ceremonies WHERE expires_at < now() LIMIT 10000)"
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
