//! The first administrator: a one-time password in a file that only its owner can read, never a default.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::Auth;
use crate::crypto::{random, token};
use crate::domain::actor::Role;
use crate::domain::audit::Action;
use crate::service::error::{Error, Result};
use crate::service::failure::store_failed;
use crate::service::maintenance::process_context;
use crate::store::users::{self, UserRow};
use crate::store::{self, audit};

/// The name of the first administrator.
const FIRST_ADMIN: &str = "admin";

/// What the start found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrapped {
    /// The vault has users.
    No,
    /// The vault is new: the one-time password is in the file.
    Yes,
}

impl Auth<'_> {
    /// Makes the first administrator of a new vault. The one-time password is good for one login, which has to replace it.
    ///
    /// The file is written before the commit: after a crash in between, the vault is still new and the next start replaces the file.
    ///
    /// # Errors
    /// [`crate::service::error::Reason::Internal`] if the file cannot be written, and those of the store.
    pub async fn bootstrap(&self, credential_file: &Path) -> Result<Bootstrapped> {
        self.make_first(token::one_time_password(), |password| {
            write_credential(credential_file, password).map_err(|error| {
                Error::internal(format!(
                    "the first administrator's one-time password cannot be written to {}: {error}; \
                     set bootstrap.credential_file to a place that this process can write",
                    credential_file.display()
                ))
            })
        })
        .await
    }

    /// The same with a one-time password that the caller made, and keeps for whoever is to log in first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn bootstrap_with(&self, one_time_password: SecretString) -> Result<Bootstrapped> {
        self.make_first(one_time_password, |_| Ok(())).await
    }

    /// Whether the vault has no user yet.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn is_new(&self) -> Result<bool> {
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        Ok(!users::any_locked(&mut tx).await.map_err(store_failed)?)
    }

    /// `keep` gets the password before the commit, while nobody else can make an administrator.
    async fn make_first(
        &self,
        password: SecretString,
        keep: impl FnOnce(&SecretString) -> Result<()>,
    ) -> Result<Bootstrapped> {
        let now = self.vault.clock.now();
        // Hashing takes its time, and no transaction waits for it.
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        if users::any_locked(&mut tx).await.map_err(store_failed)? {
            return Ok(Bootstrapped::No);
        }
        drop(tx);
        let password_hash = self.vault.passwords.hash(password.clone()).await?;
        let mut tx = store::begin(&self.vault.pool).await.map_err(store_failed)?;
        if users::any_locked(&mut tx).await.map_err(store_failed)? {
            return Ok(Bootstrapped::No);
        }
        let user = UserRow {
            id: random::uuid_v7(now),
            name: FIRST_ADMIN.to_owned(),
            role: Role::Admin.as_str().to_owned(),
            password_hash: Some(password_hash),
            password_changed_at: None,
            must_change_password: true,
            disabled: false,
        };
        users::insert(&mut tx, &user).await.map_err(store_failed)?;
        let ctx = process_context(now);
        audit::insert(&mut tx, &ctx.entry(Action::Bootstrap, FIRST_ADMIN))
            .await
            .map_err(store_failed)?;
        keep(&password)?;
        store::commit(tx).await.map_err(store_failed)?;
        Ok(Bootstrapped::Yes)
    }
}

/// Writes a one-time password to a file that only its owner can read.
pub(in crate::service) fn write_credential(path: &Path, password: &SecretString) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)?;
    writeln!(file, "{}", password.expose_secret())?;
    file.sync_all()?;
    std::fs::rename(&partial, path)
}
