//! One-time wrapped reads: values behind a token that is good once, for whoever it is handed to.
//!
//! Making one is a read: it needs `read`, and the token gives no more than its maker could give by hand. The values are sealed with the keys of
//! their root, so that they go with it; the token is stored as its hash. A wrapped value ends with the account or the API key that made it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::SecretString;

use super::{ATTEMPTS, Records, busy};
use crate::crypto::envelope::RecordContext;
use crate::crypto::{random, token};
use crate::domain::audit::{Action, Outcome};
use crate::domain::limits::{MAX_WRAP_SECONDS, MAX_WRAPS};
use crate::domain::path::RecordPath;
use crate::domain::policy::Capability;
use crate::domain::record::{KeyName, RecordData, Version, decode, encode};
use crate::service::context::{Credential, OpContext};
use crate::service::error::{Error, Reason, Result};
use crate::service::failure::store_failed;
use crate::store::audit::Confirm;
use crate::store::wraps::{self, NewWrap, Wrap};
use crate::store::{self, audit};

/// What tokens begin with.
const PREFIX: &str = "avw";
/// The table that the envelopes are bound to.
const TABLE: &str = "wraps";
/// What audit entries name where no record can be named.
const UNKNOWN: &str = "wrap";

/// A token that is good once.
pub struct Wrapped {
    /// Shown this once.
    pub token: SecretString,
    /// The version that was wrapped.
    pub version: Version,
    /// When it ends unused, by the database's clock.
    pub expires_at: Timestamp,
}

/// What was behind a token.
pub struct Unwrapped {
    /// The record's path.
    pub path: RecordPath,
    /// The version that was wrapped.
    pub version: Version,
    /// When it was wrapped.
    pub created_at: Timestamp,
    /// Its keys and values, or those that were chosen.
    pub data: RecordData,
}

/// What is told of a token without using it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrapInfo {
    /// The record's path.
    pub path: String,
    /// The version that was wrapped.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used or revoked.
    pub used_at: Option<Timestamp>,
    /// Whether it can still be used.
    pub usable: bool,
}

impl Records<'_> {
    /// Puts the values of a version, or of some of its keys, behind a token that is good once and for `seconds`. Needs `read`.
    ///
    /// # Errors
    /// As [`Records::read`]; [`Reason::InvalidRequest`] for a key that is not there or a time out of bounds, [`Reason::LimitReached`].
    pub async fn wrap(
        &self,
        ctx: &OpContext,
        path: &RecordPath,
        version: Option<Version>,
        keys: Option<&[KeyName]>,
        seconds: i64,
    ) -> Result<Wrapped> {
        if !(1..=MAX_WRAP_SECONDS).contains(&seconds) {
            let message = format!("'ttlSeconds' is 1 to {MAX_WRAP_SECONDS}");
            return Err(Error::new(Reason::InvalidRequest, message));
        }
        for _ in 0..ATTEMPTS {
            // Read and audited as any read, and refused as one; what is made of it is confirmed once more.
            let read = self.read(ctx, path, version).await?;
            let data = chosen(read.data, keys)?;
            let ruling = self.vault.authority.ruling();
            let decision = ruling.decide(ctx, Capability::Read, path, &self.vault.metrics);
            if !decision.is_allowed() {
                continue;
            }
            let id = random::uuid_v7(ctx.now());
            let root_id = self.vault.keys.root_of(&ruling.root_of(path)?).await?;
            let context = RecordContext {
                root_id,
                table: TABLE,
                record_id: id,
                version: read.version,
                path,
            };
            let sealed = self.vault.keys.seal(&context, &encode(&data)).await?;
            let (secret, hash) = token::generate(PREFIX);
            let maker = format!("{}/{}", ctx.actor().kind(), ctx.actor().id());
            let new = NewWrap {
                id,
                maker: &maker,
                hash: hash.as_bytes(),
                root_id,
                path: path.as_str(),
                version: read.version.number(),
                user_id: ctx.actor().user().map(|user| user.id),
                api_key_id: match ctx.credential {
                    Credential::ApiKey { id, .. } => Some(id),
                    Credential::Session(_) | Credential::Own => None,
                },
                wrapped_dek: &sealed.wrapped_dek,
                ciphertext: &sealed.ciphertext,
                seconds,
            };
            let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
            let end = wraps::insert(&mut tx, &new, MAX_WRAPS).await.map_err(store_failed)?;
            let Some(expires_at) = end else {
                return Err(Error::new(
                    Reason::LimitReached,
                    format!(
                        "{MAX_WRAPS} wrapped values of yours wait for their readers; revoke some, or wait for their end"
                    ),
                ));
            };
            let confirm = Confirm {
                record: Some((read.id, read.revision)),
                until: read.until,
                bearer: ctx.decided_bearer(),
                policy_epoch: Some(ruling.epoch),
            };
            let entry = ctx
                .entry(Action::RecordWrap, path.as_str())
                .decided(&decision)
                .version(read.version.number());
            if audit::insert_confirmed(&mut tx, &entry, confirm)
                .await
                .map_err(store_failed)?
            {
                store::commit(tx).await.map_err(store_failed)?;
                return Ok(Wrapped {
                    token: secret,
                    version: read.version,
                    expires_at,
                });
            }
            drop(tx);
            self.catch_up(ctx, Some(path)).await?;
        }
        Err(busy())
    }

    /// Uses a token up: its values come out once, whichever process is asked. Needs a credential and the token, nothing more.
    ///
    /// # Errors
    /// [`Reason::WrapGone`] for a token that was used, is past its end, was revoked, or never was; [`Reason::SessionEnded`], and those of the
    /// store. After an error of the store the token may be used up.
    pub async fn unwrap(&self, ctx: &OpContext, text: &str) -> Result<Unwrapped> {
        const ACTION: Action = Action::RecordUnwrap;
        for _ in 0..ATTEMPTS {
            let wrap = self.find_wrap(text).await?;
            let Some((wrap, (wrapped_dek, ciphertext))) = wrap.as_ref().and_then(usable) else {
                return Err(self.refuse_wrap(ctx, ACTION, wrap.as_ref()).await?);
            };
            // Opened first: what does not open is not used up.
            let path = RecordPath::parse(&wrap.path).map_err(Error::internal)?;
            let version = Version::new(wrap.version).map_err(Error::internal)?;
            let ruling = self.vault.authority.ruling();
            let context = RecordContext {
                root_id: self.vault.keys.root_of(&ruling.root_of(&path)?).await?,
                table: TABLE,
                record_id: wrap.id,
                version,
                path: &path,
            };
            let plaintext = self.vault.keys.unseal(&context, wrapped_dek, ciphertext).await?;
            let data = decode(&plaintext).map_err(Error::internal)?;
            if self.take_wrap(ctx, ACTION, wrap).await? {
                return Ok(Unwrapped {
                    path,
                    version,
                    created_at: wrap.created_at,
                    data,
                });
            }
        }
        Err(busy())
    }

    /// Tells of a token without using it: a reader who is told that it was used, and did not use it, knows that somebody else did.
    ///
    /// # Errors
    /// [`Reason::WrapGone`] for a token that never was or is forgotten, [`Reason::SessionEnded`], and those of the store.
    pub async fn look_up_wrap(&self, ctx: &OpContext, text: &str) -> Result<WrapInfo> {
        const ACTION: Action = Action::RecordUnwrapLookup;
        let Some(wrap) = self.find_wrap(text).await? else {
            return Err(self.refuse_wrap(ctx, ACTION, None).await?);
        };
        self.vault.looked(ctx, ctx.entry(ACTION, &wrap.path)).await?;
        let usable = usable(&wrap).is_some();
        Ok(WrapInfo {
            path: wrap.path,
            version: wrap.version,
            created_at: wrap.created_at,
            expires_at: wrap.expires_at,
            used_at: wrap.used_at,
            usable,
        })
    }

    /// Makes a token worth nothing. Whoever has it may.
    ///
    /// # Errors
    /// As [`Records::unwrap`].
    pub async fn revoke_wrap(&self, ctx: &OpContext, text: &str) -> Result<()> {
        const ACTION: Action = Action::RecordUnwrapRevoke;
        for _ in 0..ATTEMPTS {
            let wrap = self.find_wrap(text).await?;
            let Some((wrap, _)) = wrap.as_ref().and_then(usable) else {
                return Err(self.refuse_wrap(ctx, ACTION, wrap.as_ref()).await?);
            };
            if self.take_wrap(ctx, ACTION, wrap).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// Uses a token up; `false` if somebody was faster, or the credential of who asks is not what it was: then both are looked at anew.
    async fn take_wrap(&self, ctx: &OpContext, action: Action, wrap: &Wrap) -> Result<bool> {
        let entry = ctx.entry(action, &wrap.path);
        let taken = wraps::take(&self.vault.pool, wrap.id, ctx.decided_bearer(), &entry)
            .await
            .map_err(store_failed)?;
        if !taken {
            self.vault.auth().still_in_force(ctx).await?;
        }
        Ok(taken)
    }

    async fn find_wrap(&self, text: &str) -> Result<Option<Wrap>> {
        let Ok(hash) = token::parse(PREFIX, text) else {
            return Ok(None);
        };
        wraps::find(&self.vault.pool, hash.as_bytes())
            .await
            .map_err(store_failed)
    }

    /// Commits the entry of a token that is worth nothing, and answers the error.
    async fn refuse_wrap(&self, ctx: &OpContext, action: Action, wrap: Option<&Wrap>) -> Result<Error> {
        let resource = wrap.map_or(UNKNOWN, |wrap| wrap.path.as_str());
        let entry = ctx
            .entry(action, resource)
            .ended(Outcome::Fail, Reason::WrapGone.as_str());
        self.vault.looked(ctx, entry).await?;
        let message = match wrap.and_then(|wrap| wrap.used_at) {
            Some(at) => format!("the token was used or revoked at {at}; if that was not you, change what it was for"),
            None => "the token is past its end, was revoked, or is not this vault's; ask for another".to_owned(),
        };
        Ok(Error::new(Reason::WrapGone, message))
    }
}

/// Wrapped key and ciphertext.
type SealedBytes = (Vec<u8>, Vec<u8>);

/// The wrapped value, if it waits for its reader.
fn usable(wrap: &Wrap) -> Option<(&Wrap, &SealedBytes)> {
    wrap.sealed.as_ref().filter(|_| wrap.good).map(|sealed| (wrap, sealed))
}

/// The keys that were chosen; all of them, if none were.
fn chosen(data: RecordData, keys: Option<&[KeyName]>) -> Result<RecordData> {
    let Some(keys) = keys else { return Ok(data) };
    let mut all = data.into_map();
    let mut some = BTreeMap::new();
    for key in keys {
        let value = all.remove(key).ok_or_else(|| {
            let message = format!("the record has no key '{key}', or it is named twice");
            Error::new(Reason::InvalidRequest, message)
        })?;
        some.insert(key.clone(), value);
    }
    RecordData::new(some).map_err(Error::internal)
}
