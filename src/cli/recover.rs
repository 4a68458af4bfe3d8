//! `recover`: break-glass, for whoever holds the owner's database URL and the root key.

use std::path::PathBuf;

use clap::Subcommand;

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app;

#[derive(Subcommand)]
pub(super) enum RecoverCommand {
    /// Make somebody an administrator, with a one-time password in a new file. A user of the name is enabled, restored and unlocked
    Administrator {
        /// The user's name; made if there is none
        name: String,
        /// The file to write the one-time password to, mode 0600; an existing one is never touched
        #[arg(long, value_name = "FILE")]
        credential_file: PathBuf,
        /// Take their second factors away too: TOTP, recovery codes, passkeys
        #[arg(long)]
        drop_second_factor: bool,
    },
    /// Disable a policy, so that it counts for nothing until it is enabled again
    DisablePolicy {
        /// The policy's full name, such as team-a, or k8s/shop/allow-ca for a VaultPolicy
        name: String,
    },
    /// Enable a policy again
    EnablePolicy {
        /// The policy's full name
        name: String,
    },
    /// Unlock an account after too many attempts to log in
    Unlock {
        /// The user's name
        name: String,
    },
}

pub(super) fn run(settings: &SettingsArgs, command: RecoverCommand) -> Result<(), Failure> {
    let settings = settings.plain()?.settings;
    match command {
        RecoverCommand::Administrator {
            name,
            credential_file,
            drop_second_factor,
        } => {
            let made = block_on(async {
                Ok(app::recover_administrator(&settings, &name, &credential_file, drop_second_factor).await?)
            })?;
            let what = if made { "was made" } else { "is" };
            println!(
                "'{name}' {what} an administrator; the one-time password is in {}, and the first log-in replaces it",
                credential_file.display()
            );
        }
        RecoverCommand::DisablePolicy { name } => {
            block_on(async { Ok(app::recover_policy(&settings, &name, true).await?) })?;
            println!("the policy '{name}' is disabled; 'recover enable-policy' enables it again");
        }
        RecoverCommand::EnablePolicy { name } => {
            block_on(async { Ok(app::recover_policy(&settings, &name, false).await?) })?;
            println!("the policy '{name}' is in force again");
        }
        RecoverCommand::Unlock { name } => {
            block_on(async { Ok(app::recover_unlock(&settings, &name).await?) })?;
            println!("'{name}' is unlocked");
        }
    }
    Ok(())
}
