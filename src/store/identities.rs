//! Identities: which user somebody at a provider of single sign-on is.

use jiff::Timestamp;
use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// An identity of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    /// Its id.
    pub id: Uuid,
    /// The provider's name.
    pub provider: String,
    /// What the provider calls them.
    pub subject: String,
    /// The address that the provider last gave.
    pub email: Option<String>,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When it was last logged in with.
    pub last_login_at: Option<Timestamp>,
}

struct Row {
    id: Uuid,
    provider: String,
    subject: String,
    email: Option<String>,
    created_at: jiff_sqlx::Timestamp,
    last_login_at: Option<jiff_sqlx::Timestamp>,
}

impl From<Row> for IdentityRow {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            provider: row.provider,
            subject: row.subject,
            email: row.email,
            created_at: row.created_at.to_jiff(),
            last_login_at: row.last_login_at.map(jiff_sqlx::Timestamp::to_jiff),
        }
    }
}

/// A user that an identity or an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedUser {
    /// The identity; none if an address led to the user.
    pub identity_id: Option<Uuid>,
    /// The user's id.
    pub user_id: Uuid,
    /// Its canonical name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Whether it is a person who may log in.
    pub may_log_in: bool,
}

/// The user behind somebody at a provider.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find_user(tx: &mut Tx<'_>, provider: &str, subject: &str) -> StoreResult<Option<LinkedUser>> {
    Ok(sqlx::query_as!(
        LinkedUser,
        r#"SELECT i.id AS "identity_id?", u.id AS user_id, u.name, u.role,
                  (u.kind = 'person' AND u.disabled_at IS NULL AND u.deleted_at IS NULL) AS "may_log_in!"
           FROM identities i JOIN users u ON u.id = i.user_id WHERE i.provider = $1 AND i.subject = $2
           FOR NO KEY UPDATE OF u"#,
        provider,
        subject
    )
    .fetch_optional(&mut **tx)
    .await?)
}

/// The user with an address, in canonical form. One that the user chose for themselves proves nothing, and finds nobody.
///
/// # Errors
/// [`super::StoreError`].
pub async fn find_user_by_email(tx: &mut Tx<'_>, email: &str) -> StoreResult<Option<LinkedUser>> {
    Ok(sqlx::query_as!(
        LinkedUser,
        r#"SELECT NULL::uuid AS "identity_id?", u.id AS user_id, u.name, u.role,
                  (u.kind = 'person' AND u.disabled_at IS NULL AND u.deleted_at IS NULL) AS "may_log_in!"
           FROM users u WHERE u.email = $1 AND NOT u.email_self_set FOR NO KEY UPDATE OF u"#,
        email
    )
    .fetch_optional(&mut **tx)
    .await?)
}

/// Links somebody at a provider to a user.
///
/// # Errors
/// [`super::StoreError`]; constraint `identities_subject_key` if it is another user's.
pub async fn insert(
    tx: &mut Tx<'_>,
    id: Uuid,
    user_id: Uuid,
    provider: &str,
    subject: &str,
    email: Option<&str>,
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO identities (id, user_id, provider, subject, email) VALUES ($1, $2, $3, $4, $5)",
        id,
        user_id,
        provider,
        subject,
        email
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes a login with an identity, and the address that the provider gave.
///
/// # Errors
/// [`super::StoreError`].
pub async fn logged_in(tx: &mut Tx<'_>, id: Uuid, email: Option<&str>) -> StoreResult<()> {
    sqlx::query!(
        "UPDATE identities SET last_login_at = now(), email = $2 WHERE id = $1",
        id,
        email
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The identities of a user, in the order in which they were linked.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_user(pool: &Pool, user_id: Uuid) -> StoreResult<Vec<IdentityRow>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, provider, subject, email, created_at AS "created_at: jiff_sqlx::Timestamp",
                  last_login_at AS "last_login_at: jiff_sqlx::Timestamp"
           FROM identities WHERE user_id = $1 ORDER BY created_at, id"#,
        user_id
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Removes an identity of a user, what it made of groups with it, and ends the sessions that came by it; answers the provider's name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(tx: &mut Tx<'_>, user_id: Uuid, id: Uuid) -> StoreResult<Option<String>> {
    let provider = sqlx::query_scalar!(
        "DELETE FROM identities WHERE id = $1 AND user_id = $2 RETURNING provider",
        id,
        user_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(provider) = provider else { return Ok(None) };
    sqlx::query!(
        "DELETE FROM group_members m WHERE m.user_id = $1 AND m.origin = $2
         AND NOT EXISTS (SELECT FROM identities i WHERE i.user_id = $1 AND i.provider = $2)",
        user_id,
        provider
    )
    .execute(&mut **tx)
    .await?;
    Ok(Some(provider))
}

/// Whether a user has a way to log in: a password, a passkey, an identity. Holds the user's row.
///
/// # Errors
/// [`super::StoreError`].
pub async fn can_log_in(tx: &mut Tx<'_>, user_id: Uuid) -> StoreResult<bool> {
    let can = sqlx::query_scalar!(
        r#"SELECT (u.password_hash IS NOT NULL
                   OR EXISTS (SELECT FROM passkeys p WHERE p.user_id = u.id)
                   OR EXISTS (SELECT FROM identities i WHERE i.user_id = u.id)) AS "can!"
           FROM users u WHERE u.id = $1 FOR NO KEY UPDATE OF u"#,
        user_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(can.unwrap_or(false))
}

/// Ends the sessions that came by somebody at a provider: those of one session there, or all; answers whose they were.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end_sessions(
    tx: &mut Tx<'_>,
    provider: &str,
    subject: Option<&str>,
    provider_session: Option<&str>,
) -> StoreResult<Vec<(Uuid, Uuid)>> {
    let rows = sqlx::query!(
        r#"UPDATE sessions s SET revoked_at = now() FROM identities i
           WHERE i.id = s.identity_id AND i.provider = $1 AND s.revoked_at IS NULL
             AND ($2::text IS NULL OR i.subject = $2) AND ($3::text IS NULL OR s.provider_session = $3)
           RETURNING s.id, s.user_id AS "user_id!""#,
        provider,
        subject,
        provider_session
    )
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM login_challenges c USING identities i
         WHERE i.id = c.identity_id AND i.provider = $1
           AND ($2::text IS NULL OR i.subject = $2) AND ($3::text IS NULL OR c.provider_session = $3)",
        provider,
        subject,
        provider_session
    )
    .execute(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.user_id)).collect())
}

/// The provider of the identity that a session came by.
///
/// # Errors
/// [`super::StoreError`].
pub async fn provider_of_session(tx: &mut Tx<'_>, session: Uuid) -> StoreResult<Option<String>> {
    Ok(sqlx::query_scalar!(
        "SELECT i.provider FROM sessions s JOIN identities i ON i.id = s.identity_id WHERE s.id = $1",
        session
    )
    .fetch_optional(&mut **tx)
    .await?)
}
