//! Argon2id on threads of its own, a bounded number that give way to all other work, so that logins never starve reads.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::background::BackgroundThreads;
use crate::crypto::breached::BreachedList;
use crate::crypto::password::{Argon2Settings, PasswordHasher};
use crate::service::error::{Error, Reason, Result};
use crate::service::metrics::Metrics;

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
    /// Characters that a new password needs at least.
    pub min_chars: usize,
    /// Hashes of passwords that nobody may choose, because they are in lists that attackers have.
    pub breached: Option<Arc<BreachedList>>,
}

/// Hashes and verifies, a bounded number at a time.
pub struct PasswordPool {
    hasher: Arc<PasswordHasher>,
    threads: BackgroundThreads,
    queue: Arc<Semaphore>,
    min_chars: usize,
    breached: Option<Arc<BreachedList>>,
    metrics: Metrics,
}

impl PasswordPool {
    pub(in crate::service) fn new(settings: &PasswordSettings, metrics: Metrics) -> Result<Self> {
        let hasher = PasswordHasher::new(&settings.argon2).map_err(Error::internal)?;
        Ok(Self {
            hasher: Arc::new(hasher),
            threads: BackgroundThreads::start("passwords", settings.concurrency)?,
            queue: Arc::new(Semaphore::new(settings.concurrency + settings.queue)),
            min_chars: settings.min_chars,
            breached: settings.breached.clone(),
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

    /// Whether a stored hash should be replaced at the next login.
    pub(super) fn needs_rehash(&self, stored: &str) -> bool {
        self.hasher.needs_rehash(stored)
    }

    /// Checks a new password: a length, no composition rules, and no password that is known to attackers (NIST SP 800-63B,
    /// section 5.1.1.2).
    ///
    /// # Errors
    /// [`Reason::PasswordTooWeak`]; [`Reason::Internal`] if the list of breached passwords cannot be read.
    pub(in crate::service) async fn check_new(
        &self,
        password: &SecretString,
        old: Option<&SecretString>,
    ) -> Result<()> {
        let weak = |message: String| Err(Error::new(Reason::PasswordTooWeak, message));
        let chars = password.expose_secret().chars().count();
        if !(self.min_chars..=MAX_PASSWORD_CHARS).contains(&chars) {
            let min = self.min_chars;
            return weak(format!(
                "a password has {min} to {MAX_PASSWORD_CHARS} characters; a few words will do"
            ));
        }
        if old.is_some_and(|old| password.expose_secret() == old.expose_secret()) {
            return weak("the new password is the one before; choose another".to_owned());
        }
        let Some(list) = self.breached.clone() else {
            return Ok(());
        };
        let password = password.clone();
        let found = tokio::task::spawn_blocking(move || list.contains(password.expose_secret()))
            .await
            .map_err(Error::internal)?
            .map_err(Error::internal)?;
        if found {
            return weak(
                "this password is in lists of stolen passwords that attackers try first; choose another".to_owned(),
            );
        }
        Ok(())
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::new(Reason::Busy, "too many logins at once; try again shortly");
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| busy())?;
        // The place goes along: a client that gives up does not free a core that is still busy.
        self.threads
            .run(move || {
                let outcome = work();
                drop(place);
                outcome
            })
            .await
    }
}
