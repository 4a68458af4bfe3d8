//! Password hashing: Argon2id (RFC 9106), stored as PHC strings. Called by `service`, on a bounded pool: one hash takes tens of
//! milliseconds and the configured memory.

use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{CustomizedPasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

use super::random;

const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// Cost of a hash. The default is OWASP's: 19 MiB, two passes, one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Settings {
    /// KiB of memory.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Default for Argon2Settings {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            iterations: 2,
            parallelism: 1,
        }
    }
}

/// Settings that Argon2 cannot run with, or a password that it cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// A parameter is out of its range.
    #[error(
        "Argon2 cannot run with these settings: \
         memory must be at least 8 KiB a lane, iterations and parallelism at least 1"
    )]
    Settings,
    /// The hash could not be computed.
    #[error("the password could not be hashed: it is too long, or there is no memory for a hash")]
    Hash,
}

/// Hashes and verifies passwords.
pub struct PasswordHasher {
    params: Params,
    /// What is verified where there is no hash: it costs what a real one costs, and no password fits it.
    dummy: PasswordHash,
    verifications: AtomicU64,
}

impl PasswordHasher {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`PasswordError::Settings`].
    pub fn new(settings: &Argon2Settings) -> Result<Self, PasswordError> {
        let Argon2Settings {
            memory_kib,
            iterations,
            parallelism,
        } = *settings;
        let params = Params::new(memory_kib, iterations, parallelism, Some(OUTPUT_BYTES))
            .map_err(|_| PasswordError::Settings)?;
        let dummy = dummy(&params)?;
        Ok(Self {
            params,
            dummy,
            verifications: AtomicU64::new(0),
        })
    }

    /// Hashes a password under a fresh salt.
    ///
    /// # Errors
    /// [`PasswordError::Hash`].
    pub fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let hash: PasswordHash = argon2id(&self.params)
            .hash_password_with_params(password.as_bytes(), &random::bytes::<SALT_BYTES>(), self.params.clone())
            .map_err(|_| PasswordError::Hash)?;
        Ok(hash.to_string())
    }

    /// Whether the password is the one that was hashed. Exactly one Argon2 run in every case: without a hash, or with one that is
    /// broken, the run is made against a hash that nothing fits (R3). Its cost is that of today's settings: after they change, hashes
    /// from before differ in time until [`PasswordHasher::needs_rehash`] has them replaced.
    #[must_use]
    pub fn verify(&self, password: &str, stored: Option<&str>) -> bool {
        let parsed = stored.and_then(usable);
        self.verifications.fetch_add(1, Ordering::Relaxed);
        let hash = parsed.as_ref().unwrap_or(&self.dummy);
        // The comparison inside takes constant time.
        let fits = argon2id(&self.params)
            .verify_password(password.as_bytes(), hash)
            .is_ok();
        fits && parsed.is_some()
    }

    /// Whether a stored hash was made with other settings than today's, so that the next login should replace it.
    #[must_use]
    pub fn needs_rehash(&self, stored: &str) -> bool {
        usable(stored)
            .and_then(|hash| Params::try_from(&hash).ok())
            .is_none_or(|params| {
                (params.m_cost(), params.t_cost(), params.p_cost())
                    != (self.params.m_cost(), self.params.t_cost(), self.params.p_cost())
            })
    }

    /// How many verifications ran.
    #[must_use]
    pub fn verifications(&self) -> u64 {
        self.verifications.load(Ordering::Relaxed)
    }
}

/// A stored hash, if a verification against it can run: one that would end early would tell by its time that it is broken.
fn usable(stored: &str) -> Option<PasswordHash> {
    let hash = PasswordHash::new(stored).ok()?;
    let argon2id = hash.algorithm == Algorithm::Argon2id.ident() && hash.version == Some(Version::V0x13.into());
    let whole = hash.salt.is_some() && hash.hash.is_some();
    (argon2id && whole && Params::try_from(&hash).is_ok()).then_some(hash)
}

fn dummy(params: &Params) -> Result<PasswordHash, PasswordError> {
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(|_| PasswordError::Settings)?,
        salt: Some(Salt::new(&random::bytes::<SALT_BYTES>()).map_err(|_| PasswordError::Settings)?),
        hash: Some(Output::new(&random::bytes::<OUTPUT_BYTES>()).map_err(|_| PasswordError::Settings)?),
    })
}

fn argon2id(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const CHEAP: Argon2Settings = Argon2Settings {
        memory_kib: 64,
        iterations: 1,
        parallelism: 1,
    };

    fn hasher(settings: &Argon2Settings) -> PasswordHasher {
        PasswordHasher::new(settings).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let hasher = hasher(&CHEAP);
        let hash = hasher.hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert!(hasher.verify("correct horse", Some(&hash)));
        assert!(!hasher.verify("correct horsf", Some(&hash)));
        assert!(!hasher.verify("", Some(&hash)));
        assert_ne!(hash, hasher.hash("correct horse").unwrap());
    }

    #[test]
    fn the_default_is_owasps() {
        let hash = hasher(&Argon2Settings::default()).hash("x").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    /// Computed with OpenSSL: password "password", salt "somesaltsomesalt", 64 KiB, one pass, one lane.
    #[test]
    fn a_hash_of_another_implementation_verifies() {
        let stored = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$55PWTvddWPUD1GMbKxSff4ASfF85k9ibHJt4HlHQtBM";
        assert!(hasher(&Argon2Settings::default()).verify("password", Some(stored)));
    }

    #[test]
    fn r03_exactly_one_verification_runs_whatever_is_stored() {
        let hasher = hasher(&CHEAP);
        let hash = hasher.hash("right").unwrap();
        let cases = [
            Some(hash.as_str()),
            None,
            Some(""),
            Some("!"),
            Some("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ"),
        ];
        for (done, stored) in cases.into_iter().enumerate() {
            assert!(!hasher.verify("wrong", stored));
            assert_eq!(hasher.verifications(), u64::try_from(done).unwrap() + 1);
        }
    }

    #[test]
    fn r03_an_unknown_user_takes_the_same_work() {
        let hasher = hasher(&Argon2Settings {
            memory_kib: 8 * 1024,
            iterations: 2,
            parallelism: 1,
        });
        let hash = hasher.hash("right").unwrap();
        let fastest = |stored: Option<&str>| {
            let run = || {
                let start = Instant::now();
                assert!(!hasher.verify("wrong", stored));
                start.elapsed()
            };
            (0..5).map(|_| run()).min().unwrap()
        };
        let known = fastest(Some(&hash));
        for stored in [
            None,
            Some(""),
            Some("$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA"),
        ] {
            let unknown = fastest(stored);
            // Generous: it is there to tell one run from none, on a busy machine as well.
            assert!(unknown * 4 > known && known * 4 > unknown, "{known:?} and {unknown:?}");
        }
    }

    #[test]
    fn a_hash_of_other_settings_still_verifies_and_wants_replacing() {
        let (old, new) = (hasher(&CHEAP), hasher(&Argon2Settings { iterations: 2, ..CHEAP }));
        let hash = old.hash("right").unwrap();
        assert!(new.verify("right", Some(&hash)));
        assert!(new.needs_rehash(&hash));
        assert!(!old.needs_rehash(&hash));
        assert!(new.needs_rehash("not a hash"));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for settings in [
            Argon2Settings { memory_kib: 7, ..CHEAP },
            Argon2Settings { iterations: 0, ..CHEAP },
            Argon2Settings {
                parallelism: 0,
                ..CHEAP
            },
        ] {
            assert_eq!(PasswordHasher::new(&settings).err(), Some(PasswordError::Settings));
        }
    }
}
