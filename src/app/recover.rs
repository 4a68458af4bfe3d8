//! Break-glass. The root key is opened, and the database as its owner, before anything is done; neither is reachable over HTTP (R22).

use std::path::Path;

use super::{AppError, vault};
use crate::service::Recovered;
use crate::settings::Settings;

/// Makes somebody an administrator; answers whether the account was made anew.
///
/// # Errors
/// [`AppError`], and then nothing was changed.
pub async fn recover_administrator(
    settings: &Settings,
    name: &str,
    credential_file: &Path,
    drop_second_factor: bool,
) -> Result<bool, AppError> {
    let vault = vault::open_as_owner(settings).await?;
    let recovered = vault
        .recover_administrator(name, credential_file, drop_second_factor)
        .await?;
    Ok(recovered == Recovered::Made)
}

/// Disables a policy, or enables it again.
///
/// # Errors
/// [`AppError`] if there is no such policy.
pub async fn recover_policy(settings: &Settings, name: &str, disabled: bool) -> Result<(), AppError> {
    Ok(vault::open_as_owner(settings)
        .await?
        .recover_policy(name, disabled)
        .await?)
}

/// Unlocks an account.
///
/// # Errors
/// [`AppError`] if there is no such user.
pub async fn recover_unlock(settings: &Settings, name: &str) -> Result<(), AppError> {
    Ok(vault::open_as_owner(settings).await?.recover_unlock(name).await?)
}
