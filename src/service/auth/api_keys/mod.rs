//! API keys: a program's credential with its owner's rights, cut down to the key's scopes.
//!
//! A key is made, rotated and revoked by a person in a session of their own, never by a key. Its text is shown once and kept as a hash.

mod issue;
mod verify;

use ipnet::IpNet;
use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

pub(in crate::service) use verify::{KeyUse, VerifiedKey};

use super::Auth;
use crate::domain::audit::Action;
use crate::domain::policy::ScopeDocument;
use crate::service::context::OpContext;
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::api_keys::{self, ApiKeyRow};
use crate::store::{self, audit};

/// What the text of a key begins with: scanners for leaked secrets look for it.
const PREFIX: &str = "avk";
/// Live keys of one owner.
const MAX_KEYS: i64 = 100;
/// Characters of a key's name.
const MAX_NAME_CHARS: usize = 64;
/// Networks of a key.
const MAX_NETWORKS: usize = 32;
/// Seconds for which a key may go on after it was rotated: a week.
pub const MAX_OVERLAP_SECONDS: u32 = 7 * 86_400;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// A name for people.
    pub name: String,
    /// What it may do at most.
    pub scopes: Vec<ScopeDocument>,
    /// Networks that it may be used from; none is all.
    pub networks: Vec<IpNet>,
    /// Whether it may use its owner's role for administration.
    pub administers: bool,
    /// When it ends; as late as the settings allow if absent.
    pub expires_at: Option<Timestamp>,
}

/// A key as it is shown. Its text is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// The name for people.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// What it may do at most.
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

/// A key that was just made, with the only copy of its text.
pub struct IssuedApiKey {
    /// The key.
    pub key: ApiKey,
    /// What to send as bearer token. Shown once.
    pub text: SecretString,
}

/// Whose keys or sessions an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The caller.
    Caller,
    /// This user; for administrators.
    User(Uuid),
}

impl From<ApiKeyRow> for ApiKey {
    fn from(row: ApiKeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            hint: row.hint,
            scopes: row.scopes,
            networks: row.networks,
            administers: row.administers,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_on: row.last_used_on,
            replaces: row.replaces,
        }
    }
}

impl Auth<'_> {
    /// The keys of the caller, or of a user for an administrator; newest first, ended ones among them for thirty days.
    ///
    /// # Errors
    /// [`Reason::SessionRequired`], [`Reason::AdministratorRequired`], [`Reason::UserNotFound`], [`Reason::SessionEnded`], and those of
    /// the store.
    pub async fn api_keys(&self, ctx: &OpContext, owner: Owner) -> Result<Vec<ApiKey>> {
        let user = self.key_owner(ctx, owner, Need::Manage).await?;
        let rows = api_keys::list(&self.vault.pool, user).await.map_err(store_failed)?;
        self.vault
            .looked(ctx, ctx.entry(Action::ApiKeyList, &user.to_string()))
            .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Revokes a key: it is refused at the very next call, by every process.
    ///
    /// # Errors
    /// [`Reason::ApiKeyNotFound`], and those of [`Auth::api_keys`].
    pub async fn revoke_api_key(&self, ctx: &OpContext, owner: Owner, id: Uuid) -> Result<()> {
        let user = self.key_owner(ctx, owner, Need::Manage).await?;
        let mut tx = self.vault.begin_held(ctx).await?;
        api_keys::revoke(&mut tx, user, id)
            .await
            .map_err(store_failed)?
            .ok_or_else(not_found)?;
        audit::insert(&mut tx, &ctx.entry(Action::ApiKeyRevoke, &id.to_string()))
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }
}

/// What somebody wants of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// To see or to end them.
    Manage,
    /// To make one.
    Make,
}

impl Auth<'_> {
    /// The owner of the keys that an operation is about, if the caller may do this with them. Making one takes a person's own session:
    /// a key that could make keys would outlive its own end.
    async fn key_owner(&self, ctx: &OpContext, owner: Owner, need: Need) -> Result<Uuid> {
        let id = match owner {
            Owner::Caller => return Ok(ctx.person()?.0.id),
            Owner::User(id) => id,
        };
        ctx.administrator()?;
        if need == Need::Make {
            ctx.person()?;
        }
        if !api_keys::owner_exists(&self.vault.pool, id)
            .await
            .map_err(store_failed)?
        {
            return Err(no_owner());
        }
        Ok(id)
    }
}

fn no_owner() -> Error {
    Error::new(Reason::UserNotFound, "there is no such user, or it may not act")
}

fn not_found() -> Error {
    Error::new(
        Reason::ApiKeyNotFound,
        "there is no such API key, or it was revoked; the list of keys has their ids",
    )
}
