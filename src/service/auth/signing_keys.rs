//! The keys that access tokens are signed with: read, made anew when they are old or when an operator says so, removed when nothing of theirs
//! is good any more.

use std::time::Duration;

use jiff::Timestamp;

use super::tokens::{KeySet, refused};
use super::{Auth, TokenSettings, Tokens};
use crate::crypto::envelope::RecordContext;
use crate::crypto::jwt::{Claims, SigningKey, VerifyError};
use crate::crypto::random;
use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
use crate::domain::path::RecordPath;
use crate::domain::record::Version;
use crate::service::error::{Error, Result};
use crate::service::failure::store_failed;
use crate::service::keys::{Lineages, SYSTEM_ROOT};
use crate::service::maintenance::process_context;
use crate::store::signing_keys::{self, SigningKeyRow};
use crate::store::{self, Pool, audit, changes};

/// The table that envelopes of signing keys are bound to.
const TABLE: &str = "signing_keys";
/// What the change feed says when keys came or went.
pub(in crate::service) const CHANGE: &str = "signing_keys";
/// How much longer than any token a retired key is kept: clocks differ.
const MARGIN: Duration = Duration::from_secs(300);

impl Tokens {
    /// Loads the signing keys, or makes the first one.
    pub(in crate::service) async fn open(
        pool: &Pool,
        lineages: &Lineages,
        settings: TokenSettings,
        now: Timestamp,
    ) -> Result<Self> {
        if signing_keys::load(pool).await.map_err(store_failed)?.is_empty() {
            let fresh = sealed_key(lineages, now).await?;
            signing_keys::insert_first(pool, &fresh).await.map_err(store_failed)?;
        }
        Ok(Self::new(settings, read(pool, lineages).await?))
    }
}

impl Auth<'_> {
    /// The public halves of the keys that access tokens are signed with, as a JSON Web Key Set (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        self.vault.tokens.jwks()
    }

    /// What a token says, if it is good. A key that another process has just made is looked up.
    pub(super) async fn claims_of(&self, token: &str, now: Timestamp) -> Result<Claims> {
        let tokens = &self.vault.tokens;
        match tokens.verify(token, now) {
            Err(VerifyError::UnknownKey) => {
                let looked = tokens.look_again(|| read(&self.vault.pool, &self.vault.keys)).await?;
                match looked {
                    true => tokens.verify(token, now).map_err(refused),
                    false => Err(refused(VerifyError::UnknownKey)),
                }
            }
            outcome => outcome.map_err(refused),
        }
    }

    /// Reads the keys again.
    pub(in crate::service) async fn reload_signing_keys(&self) -> Result<()> {
        let keys = read(&self.vault.pool, &self.vault.keys).await?;
        self.vault.tokens.replace(keys);
        Ok(())
    }

    /// Makes another key sign, if none is younger than the settings say, and removes those whose last token has ended. For upkeep, by every
    /// process: one does it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keep_signing_keys(&self) -> Result<()> {
        let settings = &self.vault.tokens.settings;
        let age = settings.key_age.as_secs_f64();
        if signing_keys::is_due(&self.vault.pool, age)
            .await
            .map_err(store_failed)?
        {
            self.rotate(age, self.last_token()).await?;
        } else {
            let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
            signing_keys::remove_retired(&mut tx, self.last_token())
                .await
                .map_err(store_failed)?;
            store::commit(tx).await.map_err(store_failed)?;
        }
        self.reload_signing_keys().await
    }

    /// Makes another key sign from now on. Tokens signed with those before stay good for their time; or, if they are to end, are refused by
    /// every process as soon as it hears of it, which takes moments: their sessions go on by refresh tokens.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn rotate_signing_key(&self, end_tokens: bool) -> Result<()> {
        let keep = if end_tokens { 0.0 } else { self.last_token() };
        self.rotate(0.0, keep).await?;
        self.reload_signing_keys().await
    }

    async fn rotate(&self, least_age: f64, keep: f64) -> Result<()> {
        let now = self.vault.clock.now();
        let fresh = sealed_key(&self.vault.keys, now).await?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        if !signing_keys::rotate(&mut tx, &fresh, least_age)
            .await
            .map_err(store_failed)?
        {
            return Ok(());
        }
        signing_keys::remove_retired(&mut tx, keep)
            .await
            .map_err(store_failed)?;
        let entry = process_context(now).entry(Action::SigningKeyRotate, &fresh.kid);
        audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Config, CHANGE)
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.vault.feed.announce();
        Ok(())
    }

    /// Seconds after which a retired key has no token left.
    fn last_token(&self) -> f64 {
        let longest = self.vault.tokens.ttl().max(self.vault.workloads.session_ttl());
        (longest + MARGIN).as_secs_f64()
    }
}

async fn read(pool: &Pool, lineages: &Lineages) -> Result<KeySet> {
    let path = key_path()?;
    let rows = signing_keys::load(pool).await.map_err(store_failed)?;
    let mut opened = Vec::with_capacity(rows.len());
    for row in rows {
        let plaintext = lineages
            .unseal(&key_context(row.id, &path), &row.wrapped_dek, &row.ciphertext)
            .await?;
        opened.push(SigningKey::from_pkcs8(&plaintext).map_err(Error::internal)?);
    }
    KeySet::new(opened)
}

async fn sealed_key(lineages: &Lineages, now: Timestamp) -> Result<SigningKeyRow> {
    let key = SigningKey::generate().map_err(Error::internal)?;
    let id = random::uuid_v7(now);
    let path = key_path()?;
    let sealed = lineages.seal_own(&key_context(id, &path), key.pkcs8()).await?;
    Ok(SigningKeyRow {
        kid: key.kid().to_owned(),
        id,
        wrapped_dek: sealed.wrapped_dek,
        ciphertext: sealed.ciphertext,
    })
}

fn key_context(id: uuid::Uuid, path: &RecordPath) -> RecordContext<'_> {
    RecordContext {
        root_id: SYSTEM_ROOT,
        table: TABLE,
        record_id: id,
        version: Version::FIRST,
        path,
    }
}

/// Signing keys have no path; the envelope wants one all the same, and this one is theirs alone.
fn key_path() -> Result<RecordPath> {
    RecordPath::parse("system/signing-key").map_err(Error::internal)
}
