//! `settings`: what is in force, and why.

use clap::Subcommand;

use super::SettingsArgs;
use super::failure::Failure;

#[derive(Subcommand)]
pub(super) enum SettingsCommand {
    /// Print the settings in force as YAML, secrets masked, each with where it was set; exit code 2 if they cannot be used
    Check,
}

pub(super) fn run(settings: &SettingsArgs, command: &SettingsCommand) -> Result<(), Failure> {
    match command {
        SettingsCommand::Check => {
            let loaded = settings.plain()?;
            print!("{}", loaded.to_yaml());
            loaded.settings.database.runtime()?;
            loaded.settings.keys.file()?;
            Ok(())
        }
    }
}
