//! Access tokens: short-lived EdDSA JWTs bound to a session.
//!
//! The keys that sign and verify them are read from the database, and read again when another process may have changed them: after a change in
//! the feed, from time to time, and, a bounded number of times, when a token names a key that is not known here.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use secrecy::SecretString;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use uuid::Uuid;

use crate::crypto::jwt::{self, Claims, SigningKey, VerifyError, VerifyingKeys};
use crate::crypto::token;
use crate::service::error::{Error, Reason, Result};

/// Verified tokens kept by hash: a verification costs a hundred microseconds, a look-up one.
const CACHED_TOKENS: u64 = 20_000;
/// How often at most the keys are read because tokens name keys that are not known: anybody can make up such tokens.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Requests that may wait for that.
const WAITING: usize = 64;

/// What tokens say of themselves, and what they are signed with.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// How long one is good for.
    pub ttl: Duration,
    /// How old a signing key grows before another one signs.
    pub key_age: Duration,
}

/// Issues and verifies access tokens.
pub(in crate::service) struct Tokens {
    pub(super) settings: TokenSettings,
    keys: RwLock<Arc<KeySet>>,
    verified: Cache<[u8; 32], Claims>,
    looked: Mutex<Option<Instant>>,
    waiting: Semaphore,
}

/// The keys as of one reading.
pub(super) struct KeySet {
    signing: SigningKey,
    verifying: VerifyingKeys,
}

impl KeySet {
    /// Takes the keys that were read, the one that signs first.
    pub(super) fn new(opened: Vec<SigningKey>) -> Result<Self> {
        // Public halves come out of the envelope too: a row that somebody added to the table must not verify anything.
        let publics = opened
            .iter()
            .map(|key| (key.kid().to_owned(), key.public_key().to_vec()));
        let verifying = VerifyingKeys::new(publics).map_err(Error::internal)?;
        let signing = opened.into_iter().next();
        let signing = signing.ok_or_else(|| Error::internal("there is no signing key"))?;
        Ok(Self { signing, verifying })
    }
}

impl Tokens {
    pub(super) fn new(settings: TokenSettings, keys: KeySet) -> Self {
        Self {
            settings,
            keys: RwLock::new(Arc::new(keys)),
            verified: Cache::new(CACHED_TOKENS),
            looked: Mutex::new(None),
            waiting: Semaphore::new(WAITING),
        }
    }

    /// Puts keys in force that were read anew. Tokens that were verified with a key that is gone are forgotten.
    pub(super) fn replace(&self, keys: KeySet) {
        let gone = !self.keys().verifying.is_within(&keys.verifying);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        if gone {
            self.verified.invalidate_all();
        }
    }

    /// The keys to publish.
    pub(super) fn jwks(&self) -> serde_json::Value {
        self.keys().verifying.jwks()
    }

    /// How long a token of a person is good for.
    pub(super) fn ttl(&self) -> Duration {
        self.settings.ttl
    }

    /// Issues a token for a session that is good for as long as the caller says.
    pub(super) fn issue_for(&self, user: Uuid, session: Uuid, now: Timestamp, ttl: Duration) -> Result<SecretString> {
        let claims = Claims {
            iss: self.settings.issuer.clone(),
            aud: self.settings.audience.clone(),
            sub: user,
            sid: session,
            iat: now.as_second(),
            nbf: now.as_second(),
            exp: now
                .as_second()
                .saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX)),
        };
        jwt::issue(&self.keys().signing, &claims).map_err(Error::internal)
    }

    /// Verifies a token's signature, issuer, audience and times, with the keys that are known here.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, VerifyError> {
        let hash = token::sha256(token.as_bytes());
        let claims = match self.verified.get(&hash) {
            Some(claims) => claims,
            None => {
                let keys = self.keys();
                let claims = jwt::verify(
                    token,
                    &keys.verifying,
                    &self.settings.issuer,
                    &self.settings.audience,
                    now,
                )?;
                self.verified.insert(hash, claims.clone());
                claims
            }
        };
        // A cached token grows old like any other.
        if claims.exp <= now.as_second() {
            return Err(VerifyError::Expired);
        }
        Ok(claims)
    }

    /// Reads the keys again for a token whose key is not known, by `read`: one reading a second, whoever asks and however often. Answers once
    /// a reading has ended that began after the question; `false` if too many wait.
    pub(super) async fn look_again<F>(&self, read: impl FnOnce() -> F) -> Result<bool>
    where
        F: Future<Output = Result<KeySet>>,
    {
        let asked = Instant::now();
        let Ok(_place) = self.waiting.try_acquire() else {
            return Ok(false);
        };
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at >= asked) {
            return Ok(true);
        }
        if let Some(at) = *looked {
            tokio::time::sleep_until(at + LOOK_EVERY).await;
        }
        *looked = Some(Instant::now());
        self.replace(read().await?);
        Ok(true)
    }

    fn keys(&self) -> Arc<KeySet> {
        // A poisoned lock means that a writer panicked between two whole values: the value in it is whole.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The refusal of a token.
pub(super) fn refused(error: VerifyError) -> Error {
    match error {
        VerifyError::Expired => Error::new(
            Reason::TokenExpired,
            "the access token is past its time; refresh it, or log in again",
        ),
        _ => Error::new(
            Reason::TokenInvalid,
            "the access token is not one of this vault's; log in to get one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn key_set() -> KeySet {
        KeySet::new(vec![SigningKey::generate().unwrap()]).unwrap()
    }

    #[tokio::test]
    async fn r27_tokens_that_name_unknown_keys_share_readings_and_few_may_wait() {
        let settings = TokenSettings {
            issuer: "i".to_owned(),
            audience: "a".to_owned(),
            ttl: Duration::from_secs(600),
            key_age: Duration::from_secs(86_400),
        };
        let tokens = Tokens::new(settings, key_set());
        let reads = AtomicUsize::new(0);
        let look = || {
            tokens.look_again(|| async {
                reads.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(key_set())
            })
        };
        let outcomes = futures::future::join_all((0..500).map(|_| look())).await;
        let looked = outcomes
            .into_iter()
            .filter(|outcome| *outcome.as_ref().unwrap())
            .count();
        assert!((1..=WAITING).contains(&looked), "{looked}");
        assert!((1..=2).contains(&reads.load(Ordering::SeqCst)), "{reads:?}");
        assert!(look().await.unwrap(), "whoever comes later is served too");
    }
}
