//! API keys: what programs of a user, and machine users, show instead of a session.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// Rows of one list: live keys are bounded per owner, and ended ones go after a while.
const LISTED: i64 = 1000;

/// A key as its owner and administrators see it. The hash stays out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: Uuid,
    /// The name that its owner gave it.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// Its scopes, as they were written.
    pub scopes: serde_json::Value,
    /// Networks that it may be used from; none is all.
    pub networks: Vec<String>,
    /// Whether it may use its owner's role for administration.
    pub administers: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The day on which it was last used, `YYYY-MM-DD` in UTC.
    pub last_used_on: Option<String>,
    /// The key that it was made to replace.
    pub replaces: Option<Uuid>,
}

/// A key as it is found by its hash.
pub struct BearerRow {
    /// Its id.
    pub id: Uuid,
    /// Its owner.
    pub user_id: Uuid,
    /// The hash, to be compared in constant time.
    pub hash: Vec<u8>,
    /// Its name.
    pub name: String,
    /// Its scopes.
    pub scopes: serde_json::Value,
    /// Networks that it may be used from; none is all.
    pub networks: Vec<String>,
    /// Whether it may use its owner's role for administration.
    pub administers: bool,
    /// What every read and write confirms.
    pub revision: i64,
    /// The day on which it was last used.
    pub last_used_on: Option<String>,
    /// Neither revoked nor past its end, and its owner neither disabled nor deleted.
    pub live: bool,
}

/// A key to be made.
pub struct NewApiKeyRow<'a> {
    /// Its id.
    pub id: Uuid,
    /// Its owner.
    pub user_id: Uuid,
    /// Its name.
    pub name: &'a str,
    /// The hash of its text.
    pub hash: &'a [u8],
    /// Its first characters.
    pub hint: &'a str,
    /// Its scopes.
    pub scopes: &'a serde_json::Value,
    /// Networks that it may be used from.
    pub networks: &'a [String],
    /// Whether it may use its owner's role for administration.
    pub administers: bool,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The key that it replaces.
    pub replaces: Option<Uuid>,
}

/// The owner of keys, locked so that the number of keys can be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRow {
    /// The canonical name.
    pub name: String,
    /// Whether it is a machine.
    pub machine: bool,
    /// `admin`, `auditor` or `user`.
    pub role: String,
    /// Neither disabled nor deleted.
    pub live: bool,
    /// Keys that are neither revoked nor past their end.
    pub keys: i64,
}

/// Whether there is such a user.
///
/// # Errors
/// [`super::StoreError`].
pub async fn owner_exists(pool: &Pool, user_id: Uuid) -> StoreResult<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM users WHERE id = $1) AS "exists!""#,
        user_id
    )
    .fetch_one(pool)
    .await?)
}

/// Locks the owner until the transaction ends; `None` if there is no such user.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lock_owner(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<Option<OwnerRow>> {
    // Locked first and counted by a statement of its own, whose snapshot has what the transaction before added.
    let locked = sqlx::query!("SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
        .fetch_optional(&mut **tx)
        .await?;
    if locked.is_none() {
        return Ok(None);
    }
    let row = sqlx::query_as!(
        OwnerRow,
        r#"SELECT name, kind = 'machine' AS "machine!", role, (disabled_at IS NULL AND deleted_at IS NULL) AS "live!",
                  (SELECT count(*) FROM api_keys k WHERE k.user_id = $1 AND k.revoked_at IS NULL AND k.expires_at > now()) AS "keys!"
           FROM users WHERE id = $1"#,
        user_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row)
}

/// Adds a key; answers when.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(tx: &mut Tx<'_>, key: &NewApiKeyRow<'_>) -> StoreResult<Timestamp> {
    let at = sqlx::query_scalar!(
        r#"INSERT INTO api_keys (id, user_id, name, hash, hint, scopes, networks, administers, expires_at, replaces)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, ($9::text)::timestamptz, $10) RETURNING created_at AS "at: jiff_sqlx::Timestamp""#,
        key.id,
        key.user_id,
        key.name,
        key.hash,
        key.hint,
        key.scopes,
        key.networks,
        key.administers,
        key.expires_at.to_string(),
        key.replaces,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(at.to_jiff())
}

struct ListedKey {
    id: Uuid,
    name: String,
    hint: String,
    scopes: serde_json::Value,
    networks: Vec<String>,
    administers: bool,
    created_at: jiff_sqlx::Timestamp,
    expires_at: jiff_sqlx::Timestamp,
    revoked_at: Option<jiff_sqlx::Timestamp>,
    last_used_on: Option<String>,
    replaces: Option<Uuid>,
}

impl From<ListedKey> for ApiKeyRow {
    fn from(row: ListedKey) -> Self {
        Self {
            id: row.id,
            name: row.name,
            hint: row.hint,
            scopes: row.scopes,
            networks: row.networks,
            administers: row.administers,
            created_at: row.created_at.to_jiff(),
            expires_at: row.expires_at.to_jiff(),
            revoked_at: row.revoked_at.map(jiff_sqlx::Timestamp::to_jiff),
            last_used_on: row.last_used_on,
            replaces: row.replaces,
        }
    }
}

/// The keys of a user, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(pool: &Pool, user_id: Uuid) -> StoreResult<Vec<ApiKeyRow>> {
    let rows = sqlx::query_as!(
        ListedKey,
        r#"SELECT id, name, hint, scopes, networks, administers, created_at AS "created_at: jiff_sqlx::Timestamp",
                  expires_at AS "expires_at: jiff_sqlx::Timestamp", revoked_at AS "revoked_at: jiff_sqlx::Timestamp",
                  last_used_on::text, replaces
           FROM api_keys WHERE user_id = $1 ORDER BY id DESC LIMIT $2"#,
        user_id,
        LISTED,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// For how many seconds a key was made, or one that was made to replace it (a rotated key ends early); `None` if the user has no such key.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lifetime(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid) -> StoreResult<Option<i64>> {
    let seconds = sqlx::query_scalar!(
        "SELECT max(extract(epoch FROM expires_at - created_at)::bigint) FROM api_keys
         WHERE user_id = $1 AND (id = $2 OR replaces = $2) HAVING bool_or(id = $2)",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(seconds.flatten())
}

/// Brings a live key's end forward to `seconds` from now at the latest; answers it as it is then. `None` if the user has no such key, or
/// it has ended.
///
/// # Errors
/// [`super::StoreError`].
pub async fn shorten(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid, seconds: f64) -> StoreResult<Option<ApiKeyRow>> {
    let row = sqlx::query_as!(
        ListedKey,
        r#"UPDATE api_keys SET expires_at = least(expires_at, now() + make_interval(secs => $3)), revision = revision + 1
           WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL AND expires_at > now()
           RETURNING id, name, hint, scopes, networks, administers, created_at AS "created_at: jiff_sqlx::Timestamp",
                  expires_at AS "expires_at: jiff_sqlx::Timestamp", revoked_at AS "revoked_at: jiff_sqlx::Timestamp",
                  last_used_on::text, replaces"#,
        user_id,
        id,
        seconds,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Into::into))
}

/// Ends a key at once; answers its name. `None` if the user has no such key, or it was revoked before.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid) -> StoreResult<Option<String>> {
    Ok(sqlx::query_scalar!(
        "UPDATE api_keys SET revoked_at = now(), revision = revision + 1
         WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL RETURNING name",
        user_id,
        id,
    )
    .fetch_optional(&mut **tx)
    .await?)
}

/// Ends every key of a user: they do not come back when the user does.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke_all_of(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<u64> {
    let done = sqlx::query!(
        "UPDATE api_keys SET revoked_at = now(), revision = revision + 1 WHERE user_id = $1 AND revoked_at IS NULL",
        user_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// The key of a hash.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find_by_hash(pool: &Pool, hash: &[u8]) -> StoreResult<Option<BearerRow>> {
    Ok(sqlx::query_as!(
        BearerRow,
        r#"SELECT k.id, k.user_id, k.hash, k.name, k.scopes, k.networks, k.administers, k.revision, k.last_used_on::text,
                  (k.revoked_at IS NULL AND k.expires_at > now() AND u.disabled_at IS NULL AND u.deleted_at IS NULL) AS "live!"
           FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.hash = $1"#,
        hash
    )
    .fetch_optional(pool)
    .await?)
}

/// Whether a key may act, and its revision; `None` if there is no such key.
///
/// # Errors
/// [`super::StoreError`].
pub async fn state(pool: &Pool, id: Uuid) -> StoreResult<Option<(bool, i64)>> {
    let row = sqlx::query!(
        r#"SELECT (k.revoked_at IS NULL AND k.expires_at > now() AND u.disabled_at IS NULL AND u.deleted_at IS NULL) AS "live!", k.revision
           FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.live, row.revision)))
}

/// Notes the day of use, once a day for each key.
///
/// # Errors
/// [`super::StoreError`].
pub async fn touch(pool: &Pool, ids: &[Uuid]) -> StoreResult<u64> {
    let done = sqlx::query!(
        "UPDATE api_keys SET last_used_on = (now() AT TIME ZONE 'UTC')::date
         WHERE id = ANY ($1) AND (last_used_on IS NULL OR last_used_on < (now() AT TIME ZONE 'UTC')::date)",
        ids
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Removes keys that ended more than thirty days ago; answers how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let done = sqlx::query!("DELETE FROM api_keys WHERE least(expires_at, revoked_at) < now() - interval '30 days'")
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}
