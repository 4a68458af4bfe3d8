//! `sealing-keys`: the keys that values are sealed to.

use clap::Subcommand;

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app;

#[derive(Subcommand)]
pub(super) enum SealingKeysCommand {
    /// Make a new key that values are sealed to from now on; what was sealed before still opens
    Rotate,
}

pub(super) fn run(settings: &SettingsArgs, command: &SealingKeysCommand) -> Result<(), Failure> {
    let loaded = settings.plain()?;
    match command {
        SealingKeysCommand::Rotate => {
            let public = block_on(async { Ok(app::rotate_sealing_key(&loaded.settings).await?) })?;
            println!("{public}");
        }
    }
    Ok(())
}
