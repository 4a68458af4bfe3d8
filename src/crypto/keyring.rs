//! The keyring: makes and unwraps key-encryption keys, keeps the unwrapped ones at hand, and proves at start that the root key is the
//! right one. Called by `service`, which keeps the wrapped keys in Postgres. Pure computation: no I/O but what the key provider does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use moka::sync::Cache;
use uuid::Uuid;

use super::envelope::{self, OpenError, SealError};
use super::keys::{Kek, KekContext, KeyBytes, Purpose, RootKeyId};
use super::provider::KeyProvider;
use super::random;

/// Unwrapped keys kept at hand: unwrapping again costs microseconds, fetching the wrapped key a query.
const CACHED_KEKS: u64 = 10_000;
/// What the sentinel holds. It is no secret: that it opens is what counts.
const SENTINEL: &[u8] = b"aether-vault sentinel";
/// Uses after which a key is due for rotation: half of what NIST SP 800-38D allows for random nonces (2^32), so that whatever is
/// still reserved when the next key is made stays far below the bound.
const ROTATE_AFTER_USES: i64 = 1 << 31;

/// Root keys, and the key-encryption keys that they opened.
pub struct Keyring {
    provider: Arc<dyn KeyProvider>,
    keks: Cache<Uuid, Arc<Kek>>,
}

/// A fresh key-encryption key, wrapped for the database.
pub struct NewKek {
    /// Its id.
    pub id: Uuid,
    /// The root key that wraps it.
    pub root_key_id: String,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
}

/// A key that cannot be unwrapped.
#[derive(Debug, thiserror::Error)]
pub enum UnwrapError {
    /// The bytes are no wrapped key.
    #[error("the stored key has no known layout: it was changed outside the vault; restore it from a backup")]
    Layout,
    /// The root key is not at hand.
    #[error("{}", missing(*.needed, .loaded))]
    MissingRootKey {
        /// The id of the root key that wraps it.
        needed: RootKeyId,
        /// The ids of those at hand.
        loaded: Vec<RootKeyId>,
    },
    /// The root key is another one, or the wrapped key was changed or moved.
    #[error(
        "a key wrapped by root key {root_key_id} does not open: \
         the key file holds another key under that id, or the stored key was changed or moved"
    )]
    DoesNotOpen {
        /// The id of the root key that wraps it.
        root_key_id: RootKeyId,
        /// The cause, for the log.
        #[source]
        source: OpenError,
    },
}

/// Why the sentinel does not open: the vault must not start, and must not make new keys.
#[derive(Debug, thiserror::Error)]
pub enum SentinelError {
    /// The stored sentinel has no known layout, or names another root key than its row.
    #[error("the sentinel in table key_sentinel is broken: it was changed outside the vault; restore it from a backup")]
    Broken,
    /// The root key is not at hand.
    #[error("{}", missing(*.needed, .loaded))]
    MissingRootKey {
        /// The id of the root key that sealed it.
        needed: RootKeyId,
        /// The ids of those at hand.
        loaded: Vec<RootKeyId>,
    },
    /// There is a key of that id, and it is not the one.
    #[error(
        "root key {root_key_id} in the key file is not the key of that id that this database was made with; \
         restore the original key file, or connect to the database that this one belongs to"
    )]
    WrongRootKey {
        /// The id of the root key that sealed it.
        root_key_id: RootKeyId,
    },
}

fn missing(needed: RootKeyId, loaded: &[RootKeyId]) -> String {
    let loaded: Vec<String> = loaded.iter().map(ToString::to_string).collect();
    format!(
        "this database needs root key {needed}, and the key file holds only {}; add the line 'avrk1.{needed}.…' from the original \
         key file, or connect to the database that this key file belongs to",
        loaded.join(", ")
    )
}

impl Keyring {
    /// A keyring over the provider's root keys.
    #[must_use]
    pub fn new(provider: Arc<dyn KeyProvider>) -> Self {
        Self {
            provider,
            keks: Cache::new(CACHED_KEKS),
        }
    }

    /// An unwrapped key, if it is at hand.
    #[must_use]
    pub fn cached(&self, id: Uuid) -> Option<Arc<Kek>> {
        self.keks.get(&id)
    }

    /// Unwraps a stored key and keeps it at hand. Whatever the row says of it is authenticated.
    ///
    /// # Errors
    /// [`UnwrapError`] with what to do.
    pub fn unwrap(
        &self,
        id: Uuid,
        root_id: Uuid,
        purpose: Purpose,
        generation: u32,
        wrapped: &[u8],
    ) -> Result<Arc<Kek>, UnwrapError> {
        let root_key_id = envelope::root_key_id(wrapped).ok_or(UnwrapError::Layout)?;
        let root_key = self
            .provider
            .find(root_key_id)
            .ok_or_else(|| UnwrapError::MissingRootKey {
                needed: root_key_id,
                loaded: self.provider.ids(),
            })?;
        let context = KekContext {
            kek_id: id,
            root_id,
            purpose,
            generation,
        };
        let kek = envelope::unwrap_kek(&root_key, &context, wrapped)
            .map_err(|source| UnwrapError::DoesNotOpen { root_key_id, source })?;
        let kek = Arc::new(kek);
        self.keks.insert(id, Arc::clone(&kek));
        Ok(kek)
    }

    /// Drops every key that is kept at hand: some were removed from the database, and must not be used any more.
    pub fn forget(&self) {
        self.keks.invalidate_all();
    }

    /// Makes a key for a lineage, wrapped by the active root key. It is not kept at hand: it counts only once it is stored, and another
    /// process may have been faster.
    ///
    /// # Errors
    /// [`SealError`]; never in practice.
    pub fn make(&self, root_id: Uuid, purpose: Purpose, generation: u32) -> Result<NewKek, SealError> {
        let root_key = self.provider.active();
        let context = KekContext {
            kek_id: random::uuid_v4(),
            root_id,
            purpose,
            generation,
        };
        let kek = Kek::new(context, KeyBytes::generate());
        let wrapped = envelope::wrap_kek(&root_key, &kek)?;
        Ok(NewKek {
            id: kek.id(),
            root_key_id: root_key.id().to_string(),
            wrapped,
        })
    }

    /// Makes the sentinel of a new vault: the id of the active root key, and a blob that only this key opens.
    ///
    /// # Errors
    /// [`SealError`]; never in practice.
    pub fn make_sentinel(&self) -> Result<(String, Vec<u8>), SealError> {
        let root_key = self.provider.active();
        Ok((root_key.id().to_string(), envelope::seal_sentinel(&root_key, SENTINEL)?))
    }

    /// Proves with the stored sentinel that the root key is the one that the database was made with.
    ///
    /// # Errors
    /// [`SentinelError`] with the key that is needed and what to do; then nothing may be read or written.
    pub fn check_sentinel(&self, root_key_id: &str, sealed: &[u8]) -> Result<(), SentinelError> {
        let needed: RootKeyId = root_key_id.parse().map_err(|_| SentinelError::Broken)?;
        if envelope::root_key_id(sealed) != Some(needed) {
            return Err(SentinelError::Broken);
        }
        let root_key = self
            .provider
            .find(needed)
            .ok_or_else(|| SentinelError::MissingRootKey {
                needed,
                loaded: self.provider.ids(),
            })?;
        match envelope::open_sentinel(&root_key, sealed) {
            Ok(plaintext) if plaintext.as_slice() == SENTINEL => Ok(()),
            _ => Err(SentinelError::WrongRootKey { root_key_id: needed }),
        }
    }
}

/// The uses of a key that this process has reserved and not yet taken. Starts empty: the caller reserves in Postgres, adds, and takes.
/// What is left when the process ends is lost, which is cheaper than a row that every write would have to update.
#[derive(Default)]
pub struct UseBudget(AtomicI64);

impl UseBudget {
    /// Takes one use; `false` if a new reservation is needed first.
    #[must_use]
    pub fn take(&self) -> bool {
        let take = |left: i64| (left > 0).then_some(left - 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// Adds uses that were reserved.
    pub fn add(&self, reserved: i64) {
        self.0.fetch_add(reserved, Ordering::AcqRel);
    }

    /// Whether a key with so many uses ever reserved, by all processes, has to give way to the next generation.
    #[must_use]
    pub fn is_due_for_rotation(reserved: i64) -> bool {
        reserved >= ROTATE_AFTER_USES
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::crypto::keys::RootKey;

    /// Root keys by id and the byte that they are filled with; the first is active.
    struct Fixed(Vec<Arc<RootKey>>);

    impl KeyProvider for Fixed {
        fn active(&self) -> Arc<RootKey> {
            Arc::clone(&self.0[0])
        }

        fn find(&self, id: RootKeyId) -> Option<Arc<RootKey>> {
            self.0.iter().find(|key| key.id() == id).cloned()
        }

        fn ids(&self) -> Vec<RootKeyId> {
            self.0.iter().map(|key| key.id()).collect()
        }
    }

    const A: &str = "00000000000000aa";
    const B: &str = "00000000000000bb";
    const ROOT: Uuid = Uuid::from_u128(1);

    fn ring(keys: &[(&str, u8)]) -> Keyring {
        let key = |(id, byte): &(&str, u8)| Arc::new(RootKey::new(id.parse().unwrap(), KeyBytes::new(&[*byte; 32])));
        Keyring::new(Arc::new(Fixed(keys.iter().map(key).collect())))
    }

    fn refusal(ring: &Keyring, sentinel: &(String, Vec<u8>)) -> String {
        ring.check_sentinel(&sentinel.0, &sentinel.1)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn a_key_that_was_made_is_unwrapped_by_its_row_and_then_at_hand() {
        let ring = ring(&[(A, 1)]);
        let made = ring.make(ROOT, Purpose::Data, 1).unwrap();
        assert_eq!(made.root_key_id, A);
        assert!(ring.cached(made.id).is_none());
        let kek = ring
            .unwrap(made.id, ROOT, Purpose::Data, 1, &made.wrapped)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (kek.id(), kek.root_id(), kek.purpose(), kek.generation()),
            (made.id, ROOT, Purpose::Data, 1)
        );
        assert!(ring.cached(made.id).is_some_and(|cached| Arc::ptr_eq(&cached, &kek)));
    }

    #[test]
    fn r38_a_row_that_was_changed_does_not_unwrap_and_is_not_kept() {
        let ring = ring(&[(A, 1)]);
        let made = ring.make(ROOT, Purpose::Data, 1).unwrap();
        let other = Uuid::from_u128(2);
        assert!(matches!(
            ring.unwrap(other, ROOT, Purpose::Data, 1, &made.wrapped),
            Err(UnwrapError::DoesNotOpen { .. })
        ));
        assert!(matches!(
            ring.unwrap(made.id, other, Purpose::Data, 1, &made.wrapped),
            Err(UnwrapError::DoesNotOpen { .. })
        ));
        assert!(matches!(
            ring.unwrap(made.id, ROOT, Purpose::Mac, 1, &made.wrapped),
            Err(UnwrapError::DoesNotOpen { .. })
        ));
        assert!(matches!(
            ring.unwrap(made.id, ROOT, Purpose::Data, 2, &made.wrapped),
            Err(UnwrapError::DoesNotOpen { .. })
        ));
        assert!(matches!(
            ring.unwrap(made.id, ROOT, Purpose::Data, 1, &[]),
            Err(UnwrapError::Layout)
        ));
        assert!(ring.cached(made.id).is_none());
    }

    #[test]
    fn after_a_new_root_key_became_active_the_old_one_still_opens_its_own() {
        let made = ring(&[(A, 1)]).make(ROOT, Purpose::Data, 1).unwrap();
        let both = ring(&[(B, 2), (A, 1)]);
        assert!(both.unwrap(made.id, ROOT, Purpose::Data, 1, &made.wrapped).is_ok());
        assert_eq!(both.make(ROOT, Purpose::Data, 2).unwrap().root_key_id, B);
        let error = ring(&[(B, 2)])
            .unwrap(made.id, ROOT, Purpose::Data, 1, &made.wrapped)
            .err()
            .unwrap();
        assert!(
            error
                .to_string()
                .contains("needs root key 00000000000000aa, and the key file holds only 00000000000000bb")
        );
    }

    #[test]
    fn the_sentinel_accepts_its_own_root_key_wherever_it_stands_in_the_list() {
        let sentinel = ring(&[(A, 1)]).make_sentinel().unwrap();
        assert_eq!(refusal(&ring(&[(A, 1)]), &sentinel), "");
        assert_eq!(refusal(&ring(&[(B, 2), (A, 1)]), &sentinel), "");
    }

    #[test]
    fn a_missing_or_wrong_root_key_is_refused_with_its_id_and_the_remedy() {
        let sentinel = ring(&[(A, 1)]).make_sentinel().unwrap();
        let missing = refusal(&ring(&[(B, 2)]), &sentinel);
        assert!(
            missing.starts_with("this database needs root key 00000000000000aa"),
            "{missing}"
        );
        assert!(missing.contains("add the line 'avrk1.00000000000000aa.…'"), "{missing}");
        let wrong = refusal(&ring(&[(A, 2)]), &sentinel);
        assert!(
            wrong.starts_with("root key 00000000000000aa in the key file is not the key"),
            "{wrong}"
        );
    }

    #[test]
    fn a_broken_sentinel_is_refused() {
        let ring = ring(&[(A, 1), (B, 2)]);
        let (id, sealed) = ring.make_sentinel().unwrap();
        let broken = "the sentinel in table key_sentinel is broken";
        assert!(refusal(&ring, &(B.to_owned(), sealed.clone())).starts_with(broken));
        assert!(refusal(&ring, &("main".to_owned(), sealed.clone())).starts_with(broken));
        assert!(refusal(&ring, &(id.clone(), Vec::new())).starts_with(broken));
        let cut = sealed[..sealed.len() - 1].to_vec();
        assert!(!refusal(&ring, &(id, cut)).is_empty());
    }

    #[test]
    fn a_budget_hands_out_each_reserved_use_once() {
        let budget = UseBudget::default();
        assert!(!budget.take());
        budget.add(1_000);
        let taken: usize = thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000).filter(|_| budget.take()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, 1_000);
        assert!(!budget.take());
        budget.add(1);
        assert!(budget.take());
    }

    #[test]
    fn a_key_is_due_for_rotation_well_before_the_bound_of_random_nonces() {
        assert!(!UseBudget::is_due_for_rotation((1 << 31) - 1));
        assert!(UseBudget::is_due_for_rotation(1 << 31));
    }
}
