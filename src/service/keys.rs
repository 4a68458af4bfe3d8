//! Key lineages: which key-encryption key a root's records are sealed with, and which one opens what is there.
//!
//! No provider call and no encryption happens inside a transaction. Keys are made once per root; a second process that makes one at the
//! same moment finds its insert refused and takes the other's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;
use zeroize::Zeroizing;

use super::context::OpContext;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use super::metrics::Metrics;
use crate::crypto::envelope::{self, RecordContext, Sealed};
use crate::crypto::keyring::{Keyring, UseBudget};
use crate::crypto::keys::{Kek, Purpose};
use crate::crypto::mac::MacKey;
use crate::crypto::random;
use crate::domain::root::RootPath;
use crate::store::{self, Pool, keks, roots};

/// The root that the vault's own keys hang on.
pub(super) const SYSTEM_ROOT: Uuid = Uuid::nil();
/// Uses reserved at a time by a process, so that counting makes no hot row.
const RESERVATION: i64 = 65_536;

/// The key that new versions of a root are sealed with, and how often it may still be used.
struct Active {
    kek: Arc<Kek>,
    budget: UseBudget,
}

/// The lineages, as far as this process has needed them.
pub(super) struct Lineages {
    pool: Pool,
    ring: Keyring,
    metrics: Metrics,
    roots: Mutex<HashMap<String, Uuid>>,
    active: Mutex<HashMap<(Uuid, Purpose), Arc<Active>>>,
}

impl Lineages {
    /// Proves the root key against the sentinel before anything is read or written; a new vault gets its sentinel.
    ///
    /// # Errors
    /// [`Reason::KeyUnavailable`] if the root key is missing or wrong, those of the store.
    pub(super) async fn open(pool: Pool, ring: Keyring, metrics: Metrics) -> Result<Self> {
        let sentinel = match keks::sentinel(&pool).await.map_err(store_failed)? {
            Some(sentinel) => sentinel,
            None => {
                if keks::any(&pool).await.map_err(store_failed)? {
                    return Err(Error::new(
                        Reason::KeyUnavailable,
                        "the database holds keys but no sentinel; restore the whole database, table key_sentinel included",
                    ));
                }
                let (root_key_id, sealed) = ring.make_sentinel().map_err(Error::internal)?;
                keks::insert_sentinel(&pool, &root_key_id, &sealed)
                    .await
                    .map_err(store_failed)?;
                // Another process may have been faster: what stands there counts.
                keks::sentinel(&pool)
                    .await
                    .map_err(store_failed)?
                    .ok_or_else(|| Error::internal("the sentinel vanished"))?
            }
        };
        ring.check_sentinel(&sentinel.0, &sentinel.1)
            .map_err(|error| Error::new(Reason::KeyUnavailable, error.to_string()))?;
        Ok(Self {
            pool,
            ring,
            metrics,
            roots: Mutex::default(),
            active: Mutex::default(),
        })
    }

    /// The id of a root.
    ///
    /// # Errors
    /// [`Reason::PathNotFound`] if nothing was ever written under it.
    pub(super) async fn root_of(&self, root: &RootPath) -> Result<Uuid> {
        if let Some(id) = lock(&self.roots).get(root.as_str()) {
            return Ok(*id);
        }
        let found = roots::find(&self.pool, root.as_str()).await.map_err(store_failed)?;
        let id = found
            .ok_or_else(|| Error::new(Reason::PathNotFound, "there is no record at this path"))?
            .id;
        lock(&self.roots).insert(root.as_str().to_owned(), id);
        Ok(id)
    }

    /// The id of a root, made if it is new.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn ensure_root(&self, ctx: &OpContext, root: &RootPath) -> Result<Uuid> {
        if let Some(id) = lock(&self.roots).get(root.as_str()) {
            return Ok(*id);
        }
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        let (row, _) = roots::ensure(&mut tx, random::uuid_v7(ctx.now()), root.kind.as_str(), root.as_str())
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        lock(&self.roots).insert(root.as_str().to_owned(), row.id);
        Ok(row.id)
    }

    /// Drops what is remembered of roots and their keys: one was bound, adopted or shredded elsewhere.
    pub(super) fn forget_roots(&self) {
        lock(&self.roots).clear();
        lock(&self.active).retain(|(root, _), _| *root == SYSTEM_ROOT);
        self.ring.forget();
    }

    /// Wraps the data key of a version anew for another place; the value that it opens is not touched. The key must open exactly where it is
    /// said to be from (R38).
    ///
    /// # Errors
    /// [`Reason::KeyUnavailable`] if it does not, and those of the store.
    pub(super) async fn rewrap(
        &self,
        from: &RecordContext<'_>,
        to: &RecordContext<'_>,
        wrapped_dek: &[u8],
    ) -> Result<Vec<u8>> {
        let kek_id = envelope::kek_id(wrapped_dek).ok_or_else(unreadable)?;
        let kek = self.kek(kek_id, from.root_id).await?;
        let dek = envelope::unwrap_dek(&kek, from, wrapped_dek).map_err(|error| unreadable().because(error))?;
        let kek = self.use_active(to.root_id, Purpose::Data).await?;
        envelope::wrap_dek(&kek, to, &dek).map_err(Error::internal)
    }

    /// Seals plaintext with a fresh data key under the root's newest key.
    ///
    /// # Errors
    /// Those of the store when a key has to be made or uses reserved.
    pub(super) async fn seal(&self, context: &RecordContext<'_>, plaintext: &[u8]) -> Result<Sealed> {
        let kek = self.use_active(context.root_id, Purpose::Data).await?;
        envelope::seal_record(&kek, context, plaintext).map_err(Error::internal)
    }

    /// Seals one of the vault's own secrets.
    ///
    /// # Errors
    /// As [`Lineages::seal`].
    pub(super) async fn seal_own(&self, context: &RecordContext<'_>, plaintext: &[u8]) -> Result<Sealed> {
        let kek = self.use_active(SYSTEM_ROOT, Purpose::System).await?;
        envelope::seal_record(&kek, context, plaintext).map_err(Error::internal)
    }

    /// Opens what was sealed for exactly this context.
    ///
    /// # Errors
    /// [`Reason::KeyUnavailable`] if the key is gone or anything was moved or changed.
    pub(super) async fn unseal(
        &self,
        context: &RecordContext<'_>,
        wrapped_dek: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let kek_id = envelope::kek_id(wrapped_dek).ok_or_else(unreadable)?;
        let kek = self.kek(kek_id, context.root_id).await?;
        envelope::open_record(&kek, context, wrapped_dek, ciphertext).map_err(|error| unreadable().because(error))
    }

    /// The vault's key for keyed hashes; it survives the rotation of every other key.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn mac_key(&self) -> Result<MacKey> {
        let active = self.active(SYSTEM_ROOT, Purpose::Mac).await?;
        MacKey::new(&active.kek).map_err(Error::internal)
    }

    async fn kek(&self, id: Uuid, root_id: Uuid) -> Result<Arc<Kek>> {
        if let Some(kek) = self.ring.cached(id) {
            if kek.root_id() == root_id {
                return Ok(kek);
            }
            return Err(misplaced());
        }
        let row = keks::find(&self.pool, id).await.map_err(store_failed)?.ok_or_else(|| {
            Error::new(
                Reason::KeyUnavailable,
                "the key that this value was sealed with is gone: its root was shredded",
            )
        })?;
        if row.root_id != root_id {
            return Err(misplaced());
        }
        self.unwrap(&row)
    }

    fn unwrap(&self, row: &keks::KekRow) -> Result<Arc<Kek>> {
        let purpose = Purpose::parse(&row.purpose)
            .ok_or_else(|| Error::internal(format!("key {} has an unknown purpose", row.id)))?;
        let generation = u32::try_from(row.generation).map_err(Error::internal)?;
        self.ring
            .unwrap(row.id, row.root_id, purpose, generation, &row.wrapped)
            .map_err(|error| {
                let message = "a key in the database does not open with the root keys loaded; check the key file";
                Error::new(Reason::KeyUnavailable, message).because(error)
            })
    }

    /// The newest key of a lineage, with one use taken from this process's reservation.
    async fn use_active(&self, root_id: Uuid, purpose: Purpose) -> Result<Arc<Kek>> {
        loop {
            let active = self.active(root_id, purpose).await?;
            if active.budget.take() {
                return Ok(Arc::clone(&active.kek));
            }
            let reserved = keks::reserve_uses(&self.pool, active.kek.id(), RESERVATION)
                .await
                .map_err(store_failed)?;
            if UseBudget::is_due_for_rotation(reserved) {
                self.make(root_id, purpose, active.kek.generation() + 1).await?;
                lock(&self.active).remove(&(root_id, purpose));
            } else {
                active.budget.add(RESERVATION);
            }
        }
    }

    async fn active(&self, root_id: Uuid, purpose: Purpose) -> Result<Arc<Active>> {
        if let Some(active) = lock(&self.active).get(&(root_id, purpose)) {
            return Ok(Arc::clone(active));
        }
        let row = match keks::newest(&self.pool, root_id, purpose.as_str())
            .await
            .map_err(store_failed)?
        {
            Some(row) => row,
            None => self.make(root_id, purpose, 1).await?,
        };
        let active = Arc::new(Active {
            kek: self.unwrap(&row)?,
            budget: UseBudget::default(),
        });
        Ok(Arc::clone(
            lock(&self.active).entry((root_id, purpose)).or_insert(active),
        ))
    }

    /// Makes the next key of a lineage; answers whichever stands there afterwards.
    async fn make(&self, root_id: Uuid, purpose: Purpose, generation: u32) -> Result<keks::KekRow> {
        let made = self.ring.make(root_id, purpose, generation).map_err(Error::internal)?;
        let row = keks::KekRow {
            id: made.id,
            root_id,
            purpose: purpose.as_str().to_owned(),
            generation: i32::try_from(generation).map_err(Error::internal)?,
            root_key_id: made.root_key_id,
            wrapped: made.wrapped,
        };
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        let new = keks::insert(&mut tx, &row).await.map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)?;
        if new {
            self.metrics.keks_made.inc();
            return Ok(row);
        }
        let newest = keks::newest(&self.pool, root_id, purpose.as_str())
            .await
            .map_err(store_failed)?;
        newest.ok_or_else(|| Error::internal("a key that was just made is gone"))
    }
}

fn unreadable() -> Error {
    Error::new(
        Reason::KeyUnavailable,
        "the stored value does not open: it was changed or moved outside the vault, or its key is gone; the log has more",
    )
}

fn misplaced() -> Error {
    Error::new(
        Reason::KeyUnavailable,
        "the stored value belongs to another root: rows were moved outside the vault; restore them from a backup",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Every critical section leaves the map whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
