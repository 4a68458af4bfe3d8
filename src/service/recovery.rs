//! Break-glass: what an operator with the owner's database URL and the root key does when nobody can log in, or a policy keeps everybody
//! out. Never reachable over HTTP (R22). The vault was opened with both, so whoever comes here has them; every step is audited.

use std::path::Path;

use super::Vault;
use super::auth::write_credential;
use super::error::{Error, Reason, Result};
use super::failure::store_failed;
use super::maintenance::process_context;
use super::policies::canonical_policy_name;
use crate::crypto::{random, token};
use crate::domain::account::parse_name;
use crate::domain::actor::Role;
use crate::domain::audit::Action;
use crate::domain::change::ChangeKind;
use crate::store::users::{self, UserRow};
use crate::store::{self, Tx, audit, changes, login_attempts, policies, recovery};

/// What became of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// There was none of this name.
    Made,
    /// There was one; it is an administrator in good standing now.
    Restored,
}

impl Vault {
    /// Makes somebody an administrator with a one-time password in `credential_file`, which must not be there yet. A user of the name is
    /// enabled, restored and unlocked; with `drop_second_factor` their second factors go too.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`] without the owner's role, [`Reason::InvalidRequest`] for a name that cannot be one or is a
    /// machine's, or a file that is there or cannot be written, and those of the store.
    pub async fn recover_administrator(
        &self,
        name: &str,
        credential_file: &Path,
        drop_second_factor: bool,
    ) -> Result<Recovered> {
        let name = parse_name(name).map_err(invalid)?;
        self.require_owner().await?;
        if credential_file.exists() {
            return Err(invalid("the credential file is there already; name one that is not"));
        }
        let password = token::one_time_password();
        let hash = self.passwords.hash(password.clone()).await?;
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        let found = recovery::find(&mut tx, &name).await.map_err(store_failed)?;
        let recovered = match found {
            Some((_, kind)) if kind == "machine" => {
                return Err(invalid("the name is a machine's, which never logs in; choose another"));
            }
            Some((id, _)) => {
                recovery::make_administrator(&mut tx, id, &hash)
                    .await
                    .map_err(store_failed)?;
                if drop_second_factor {
                    recovery::drop_second_factors(&mut tx, id).await.map_err(store_failed)?;
                }
                login_attempts::forget_all(&mut tx, id).await.map_err(store_failed)?;
                Recovered::Restored
            }
            None => {
                let user = UserRow {
                    id: random::uuid_v7(self.clock.now()),
                    name: name.clone(),
                    role: Role::Admin.as_str().to_owned(),
                    password_hash: Some(hash),
                    password_changed_at: None,
                    must_change_password: true,
                    disabled: false,
                };
                users::insert(&mut tx, &user).await.map_err(store_failed)?;
                Recovered::Made
            }
        };
        self.note(&mut tx, Action::RecoverAdministrator, &name).await?;
        // Written before the commit: a password that nobody can read would be in force otherwise.
        write_credential(credential_file, &password).map_err(|error| {
            let message = format!("{} cannot be written: {error}", credential_file.display());
            Error::new(Reason::InvalidRequest, message)
        })?;
        if let Err(error) = store::commit(tx).await {
            // Whether it was committed is unknown; the file stays, for the password in it may be in force.
            return Err(store_failed(error));
        }
        Ok(recovered)
    }

    /// Disables a policy by its full name, so that it counts for nothing however it is written, or enables it again.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`] without the owner's role, [`Reason::PolicyNotFound`], and those of the store.
    pub async fn recover_policy(&self, name: &str, disabled: bool) -> Result<()> {
        let unknown = || {
            Error::new(
                Reason::PolicyNotFound,
                "there is no policy of this name; a VaultPolicy's is 'prefix/namespace/name', such as k8s/shop/allow-ca",
            )
        };
        let name = canonical_policy_name(name).ok_or_else(unknown)?;
        self.require_owner().await?;
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        policies::raise_epoch(&mut tx).await.map_err(store_failed)?;
        if !recovery::disable_policy(&mut tx, &name, disabled)
            .await
            .map_err(store_failed)?
        {
            return Err(unknown());
        }
        let action = match disabled {
            true => Action::RecoverDisablePolicy,
            false => Action::RecoverEnablePolicy,
        };
        self.note(&mut tx, action, &name).await?;
        changes::insert(&mut tx, ChangeKind::Policy, &name)
            .await
            .map_err(store_failed)?;
        store::commit(tx).await.map_err(store_failed)
    }

    /// Unlocks an account after too many attempts.
    ///
    /// # Errors
    /// [`Reason::AdministratorRequired`] without the owner's role, [`Reason::UserNotFound`], and those of the store.
    pub async fn recover_unlock(&self, name: &str) -> Result<()> {
        let name = parse_name(name).map_err(invalid)?;
        self.require_owner().await?;
        let mut tx = store::begin(&self.pool).await.map_err(store_failed)?;
        let found = recovery::find(&mut tx, &name).await.map_err(store_failed)?;
        let Some((id, _)) = found else {
            return Err(Error::new(Reason::UserNotFound, "there is no user of this name"));
        };
        login_attempts::forget_all(&mut tx, id).await.map_err(store_failed)?;
        self.note(&mut tx, Action::RecoverUnlock, &name).await?;
        store::commit(tx).await.map_err(store_failed)
    }

    async fn require_owner(&self) -> Result<()> {
        if recovery::is_owner(&self.pool).await.map_err(store_failed)? {
            return Ok(());
        }
        Err(Error::new(
            Reason::AdministratorRequired,
            "recovery takes the URL of the role that owns the schema: set database.owner_url or database.owner_url_file",
        ))
    }

    async fn note(&self, tx: &mut Tx<'_>, action: Action, resource: &str) -> Result<()> {
        let ctx = process_context(self.clock.now());
        audit::insert(tx, &ctx.entry(action, resource))
            .await
            .map_err(store_failed)
    }
}

fn invalid(message: &str) -> Error {
    Error::new(Reason::InvalidRequest, message)
}
