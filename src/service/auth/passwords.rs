//! Argon2id on a bounded pool, so that logins never starve reads.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::crypto::password::{Argon2Settings, PasswordHasher};
use crate::service::error::{Error, Reason, Result};
use crate::service::metrics::Metrics;

/// Characters that a new password needs at least (NIST SP 800-63B, for a password that is the only factor).
const MIN_PASSWORD_CHARS: usize = 15;
/// Characters of a password at most: Argon2 would take more, a login form should not.
const MAX_PASSWORD_CHARS: usize = 256;

/// How passwords are hashed.
#[derive(Debug, Clone)]
pub struct PasswordSettings {
    /// Cost of a hash.
    pub argon2: Argon2Settings,
    /// Verifications at a time.
    pub concurrency: usize,
    /// Requests that may wait for one.
    pub queue: usize,
}

/// Hashes and verifies, a bounded number at a time.
pub struct PasswordPool {
    hasher: Arc<PasswordHasher>,
    running: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    metrics: Metrics,
}

impl PasswordPool {
    pub(in crate::service) fn new(settings: &PasswordSettings, metrics: Metrics) -> Result<Self> {
        let hasher = PasswordHasher::new(&settings.argon2).map_err(Error::internal)?;
        Ok(Self {
            hasher: Arc::new(hasher),
            running: Arc::new(Semaphore::new(settings.concurrency)),
            queue: Arc::new(Semaphore::new(settings.concurrency + settings.queue)),
            metrics,
        })
    }

    /// Verifies against a hash, or does the same work against none: exactly one verification runs either way (R3).
    pub(super) async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool> {
        self.metrics.password_verifications.inc();
        let hasher = Arc::clone(&self.hasher);
        self.run(move || hasher.verify(password.expose_secret(), hash.as_deref()))
            .await
    }

    /// Hashes a new password.
    pub(in crate::service) async fn hash(&self, password: SecretString) -> Result<String> {
        let hasher = Arc::clone(&self.hasher);
        self.run(move || hasher.hash(password.expose_secret()))
            .await?
            .map_err(Error::internal)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::new(Reason::Busy, "too many logins at once; try again shortly");
        let _place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| busy())?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(Error::internal)?;
        // The permit goes along: a client that gives up does not free a core that is still busy.
        tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(running);
            outcome
        })
        .await
        .map_err(Error::internal)
    }
}

/// Checks a new password: a length, and no composition rules (NIST SP 800-63B, section 5.1.1.2).
///
/// # Errors
/// [`Reason::PasswordTooWeak`].
pub(in crate::service) fn check_new_password(password: &SecretString, old: Option<&SecretString>) -> Result<()> {
    let chars = password.expose_secret().chars().count();
    if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&chars) {
        let message =
            format!("a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters; a few words will do");
        return Err(Error::new(Reason::PasswordTooWeak, message));
    }
    if old.is_some_and(|old| password.expose_secret() == old.expose_secret()) {
        return Err(Error::new(
            Reason::PasswordTooWeak,
            "the new password is the one before; choose another",
        ));
    }
    Ok(())
}
