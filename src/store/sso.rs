//! Logins by single sign-on under way: the flow until the browser is back, the outcome until it is fetched.

use uuid::Uuid;

use super::Tx;
use super::error::StoreResult;
use super::pool::Pool;

/// Flows and outcomes that may be under way, over all; beyond that nobody begins another.
const MAX_UNDER_WAY: i64 = 50_000;

/// A flow that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewFlow<'a> {
    /// Its id, to which its envelope is bound.
    pub id: Uuid,
    /// The provider's name.
    pub provider: &'a str,
    /// The hash of the state.
    pub state_hash: &'a [u8],
    /// The hash of the browser's cookie.
    pub browser_hash: &'a [u8],
    /// The challenge of whoever fetches the outcome.
    pub challenge: &'a str,
    /// The wrapped data key.
    pub wrapped_dek: &'a [u8],
    /// Nonce and verifier, sealed.
    pub ciphertext: &'a [u8],
    /// Where the browser is sent in the end.
    pub return_to: &'a str,
}

/// A flow that was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRow {
    /// Its id.
    pub id: Uuid,
    /// The provider's name.
    pub provider: String,
    /// The hash of the browser's cookie.
    pub browser_hash: Vec<u8>,
    /// The challenge of whoever fetches the outcome.
    pub challenge: String,
    /// The wrapped data key.
    pub wrapped_dek: Vec<u8>,
    /// Nonce and verifier, sealed.
    pub ciphertext: Vec<u8>,
    /// Where the browser is sent in the end.
    pub return_to: String,
}

/// Stores a flow of `seconds`; `false` if too many are under way.
///
/// # Errors
/// [`super::StoreError`].
pub async fn begin(pool: &Pool, flow: &NewFlow<'_>, seconds: f64) -> StoreResult<bool> {
    let done = sqlx::query!(
        "INSERT INTO sso_flows (id, provider, state_hash, browser_hash, challenge, wrapped_dek, ciphertext, return_to, expires_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9)
         WHERE (SELECT count(*) FROM (SELECT FROM sso_flows WHERE expires_at > now() LIMIT $10) AS under_way) < $10",
        flow.id,
        flow.provider,
        flow.state_hash,
        flow.browser_hash,
        flow.challenge,
        flow.wrapped_dek,
        flow.ciphertext,
        flow.return_to,
        seconds,
        MAX_UNDER_WAY,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the flow of a state out, so that it is good once; `None` for one that is unknown, used or past its end.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take(pool: &Pool, state_hash: &[u8]) -> StoreResult<Option<FlowRow>> {
    Ok(sqlx::query_as!(
        FlowRow,
        "DELETE FROM sso_flows WHERE state_hash = $1 AND expires_at > now()
         RETURNING id, provider, browser_hash, challenge, wrapped_dek, ciphertext, return_to",
        state_hash
    )
    .fetch_optional(pool)
    .await?)
}

/// What a flow has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeRow {
    /// Its id, to which its envelope is bound.
    pub id: Uuid,
    /// The provider's name.
    pub provider: String,
    /// The challenge of whoever fetches it.
    pub challenge: String,
    /// The wrapped data key.
    pub wrapped_dek: Vec<u8>,
    /// Who it was, sealed.
    pub ciphertext: Vec<u8>,
}

/// Stores an outcome for `seconds`, under the hash of the code that fetches it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep_outcome(pool: &Pool, outcome: &OutcomeRow, code_hash: &[u8], seconds: f64) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO sso_outcomes (id, provider, code_hash, challenge, wrapped_dek, ciphertext, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))",
        outcome.id,
        outcome.provider,
        code_hash,
        outcome.challenge,
        outcome.wrapped_dek,
        outcome.ciphertext,
        seconds,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes an outcome out by the hash of its code, so that it is good once.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take_outcome(pool: &Pool, code_hash: &[u8]) -> StoreResult<Option<OutcomeRow>> {
    Ok(sqlx::query_as!(
        OutcomeRow,
        "DELETE FROM sso_outcomes WHERE code_hash = $1 AND expires_at > now()
         RETURNING id, provider, challenge, wrapped_dek, ciphertext",
        code_hash
    )
    .fetch_optional(pool)
    .await?)
}

/// Makes the user's groups of a provider these, and makes groups that are new. Memberships that are as they should be are not touched: what
/// changes ends the user's sessions.
///
/// # Errors
/// [`super::StoreError`].
pub async fn renew_groups(
    tx: &mut Tx<'_>,
    user_id: Uuid,
    origin: &str,
    new_ids: &[Uuid],
    names: &[String],
) -> StoreResult<()> {
    sqlx::query!(
        "INSERT INTO groups (id, name) SELECT * FROM unnest($1::uuid[], $2::text[]) ON CONFLICT (name) DO NOTHING",
        new_ids,
        names
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "DELETE FROM group_members m USING groups g
         WHERE m.user_id = $1 AND m.origin = $2 AND g.id = m.group_id AND NOT g.name = ANY ($3)",
        user_id,
        origin,
        names
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO group_members (group_id, user_id, origin) SELECT id, $1, $2 FROM groups WHERE name = ANY ($3)
         ON CONFLICT (user_id, group_id, origin) DO NOTHING",
        user_id,
        origin,
        names
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes what is past its end, a bounded number at a time.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prune(pool: &Pool) -> StoreResult<u64> {
    let flows = sqlx::query!(
        "DELETE FROM sso_flows WHERE id IN (SELECT id FROM sso_flows WHERE expires_at < now() LIMIT 10000)"
    )
    .execute(pool)
    .await?;
    let outcomes = sqlx::query!(
        "DELETE FROM sso_outcomes WHERE id IN (SELECT id FROM sso_outcomes WHERE expires_at < now() LIMIT 10000)"
    )
    .execute(pool)
    .await?;
    Ok(flows.rows_affected() + outcomes.rows_affected())
}
