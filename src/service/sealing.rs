//! The keys that values are sealed to: the newest is published and used, the others still open what was sealed to them.

use std::str::FromStr as _;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::Vault;
use super::context::OpContext;
use super::door::SealingKeyInfo;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use super::keys::{Lineages, SYSTEM_ROOT};
use super::maintenance::process_context;
use crate::crypto::envelope::RecordContext;
use crate::crypto::random;
use crate::crypto::sealing::{SealingKey, seal};
use crate::domain::audit::{Action, Outcome};
use crate::domain::change::ChangeKind;
use crate::domain::path::RecordPath;
use crate::domain::record::Version;
use crate::domain::sealed::{SealedFor, SealedText};
use crate::store::sealing_keys::{SealingKeyRow, insert, load};
use crate::store::{self, Pool, audit, changes};

/// The table that envelopes of sealing keys are bound to.
const TABLE: &str = "sealing_keys";
/// What the change feed calls them.
pub(super) const SUBJECT: &str = "sealing-keys";

/// An opened key.
struct Opened {
    key: SealingKey,
    created_at: Timestamp,
}

/// The opened keys, newest first.
pub(super) struct SealingKeys(RwLock<Arc<Vec<Opened>>>);

impl SealingKeys {
    /// Loads the keys, or makes the first one.
    pub(super) async fn open(pool: &Pool, lineages: &Lineages, now: Timestamp) -> Result<Self> {
        let mut keys = opened(pool, lineages).await?;
        if keys.is_empty() {
            let (_, row) = fresh(lineages, now).await?;
            let mut tx = store::begin(pool).await.map_err(store_failed)?;
            insert(&mut tx, &row, true).await.map_err(store_failed)?;
            store::commit(tx).await.map_err(store_failed)?;
            // Another process may have been faster: what stands there counts.
            keys = opened(pool, lineages).await?;
        }
        Ok(Self(RwLock::new(Arc::new(keys))))
    }

    fn all(&self) -> Arc<Vec<Opened>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, keys: Vec<Opened>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

impl Vault {
    /// The public keys that values are sealed to, the newest first. They are public: nobody needs a right to read them.
    ///
    /// # Errors
    /// None today; a remote door may fail.
    #[expect(clippy::unused_async, reason = "a remote door has to ask")]
    pub async fn sealing_keys(&self) -> Result<Vec<SealingKeyInfo>> {
        let info = |opened: &Opened| SealingKeyInfo {
            public_key: opened.key.public().to_string(),
            id: opened.key.public().id.to_string(),
            created_at: opened.created_at,
        };
        Ok(self.sealing.all().iter().map(info).collect())
    }

    /// Makes a new key that values are sealed to from now on; answers its written form. What was sealed before still opens.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn rotate_sealing_key(&self) -> Result<String> {
        let ctx = process_context(self.clock.now());
        let (key, row) = fresh(&self.keys, ctx.now()).await?;
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        insert(&mut tx, &row, false).await.map_err(store_failed)?;
        audit::insert(&mut tx, &ctx.entry(Action::SealingKeyCreate, &row.id))
            .await
            .map_err(store_failed)?;
        changes::insert(&mut tx, ChangeKind::Config, SUBJECT)
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        self.feed.announce();
        self.reload_sealing_keys().await?;
        Ok(key.public().to_string())
    }

    /// Seals a sealed value anew to the newest key, for the same target. The value never leaves the process.
    ///
    /// # Errors
    /// [`Reason::SealedValue`] if it does not open, and those of the store: each use is audited.
    pub async fn rewrap_sealed(&self, ctx: &OpContext, target: &SealedFor<'_>, sealed: &str) -> Result<String> {
        let resource = format!("{}/{}/{} {}", target.cluster, target.namespace, target.name, target.key);
        let entry = ctx.entry(Action::SealingRewrap, &resource);
        let outcome = self.rewrapped(target, sealed).await;
        let entry = match &outcome {
            Ok(_) => entry,
            Err(error) => entry.ended(Outcome::Fail, error.reason().as_str()),
        };
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        audit::insert(&mut tx, &entry).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        outcome
    }

    async fn rewrapped(&self, target: &SealedFor<'_>, sealed: &str) -> Result<String> {
        let value = self.open_sealed(target, sealed).await?;
        let keys = self.sealing.all();
        let newest = keys.first().ok_or_else(|| Error::internal("there is no sealing key"))?;
        let again = seal(&newest.key.public(), target, &value).map_err(Error::internal)?;
        Ok(again.to_string())
    }

    /// Opens a sealed value for exactly this target.
    ///
    /// # Errors
    /// [`Reason::SealedValue`] with what is wrong, never with the value.
    pub(super) async fn open_sealed(&self, target: &SealedFor<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>> {
        let broken = |message: String| Error::new(Reason::SealedValue, message);
        let sealed = SealedText::from_str(sealed).map_err(|error| broken(error.to_string()))?;
        for attempt in 0..2 {
            let keys = self.sealing.all();
            if let Some(opened) = keys.iter().find(|opened| opened.key.public().id == sealed.key_id) {
                return opened
                    .key
                    .open(target, &sealed)
                    .map_err(|error| broken(error.to_string()));
            }
            // Made by another process a moment ago, perhaps.
            if attempt == 0 {
                self.reload_sealing_keys().await?;
            }
        }
        Err(broken(format!(
            "it was sealed with key {}, which is not this vault's; seal it again with the key that this vault publishes",
            sealed.key_id
        )))
    }

    /// Brings the keys up to date.
    pub(super) async fn reload_sealing_keys(&self) -> Result<()> {
        self.sealing.set(opened(&self.pool, &self.keys).await?);
        Ok(())
    }
}

async fn opened(pool: &Pool, lineages: &Lineages) -> Result<Vec<Opened>> {
    let path = key_path()?;
    let mut keys = Vec::new();
    for row in load(pool).await.map_err(store_failed)? {
        let context = context(row.envelope_id, &path);
        let bytes = lineages.unseal(&context, &row.wrapped_dek, &row.ciphertext).await?;
        let key = SealingKey::from_bytes(&bytes).ok_or_else(|| Error::internal("a sealing key is not one"))?;
        // The id stands inside the envelope too: a row that was renamed must not stand in for another.
        if key.public().id.to_string() != row.id {
            return Err(Error::internal(format!("sealing key {} is another one", row.id)));
        }
        keys.push(Opened {
            key,
            created_at: row.created_at,
        });
    }
    Ok(keys)
}

async fn fresh(lineages: &Lineages, now: Timestamp) -> Result<(SealingKey, SealingKeyRow)> {
    let key = SealingKey::generate().map_err(Error::internal)?;
    let envelope_id = random::uuid_v7(now);
    let path = key_path()?;
    let sealed = lineages.seal_own(&context(envelope_id, &path), &key.to_bytes()).await?;
    let row = SealingKeyRow {
        id: key.public().id.to_string(),
        envelope_id,
        wrapped_dek: sealed.wrapped_dek,
        ciphertext: sealed.ciphertext,
        created_at: now,
    };
    Ok((key, row))
}

fn context(id: uuid::Uuid, path: &RecordPath) -> RecordContext<'_> {
    RecordContext {
        root_id: SYSTEM_ROOT,
        table: TABLE,
        record_id: id,
        version: Version::FIRST,
        path,
    }
}

/// Sealing keys have no path; the envelope wants one all the same, and this one is theirs alone.
fn key_path() -> Result<RecordPath> {
    RecordPath::parse("system/sealing-key").map_err(Error::internal)
}
