//! `keys`: root keys, which open everything and are never stored in the database.

use std::path::PathBuf;

use clap::Subcommand;

use super::SettingsArgs;
use super::failure::Failure;
use crate::app;

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Make a root key in a new file. Without this file the database cannot be read: keep a copy where the database's backups are not
    Init {
        /// The file to make; an existing one is never touched
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the ids of the root keys in a file, the one in use first
    List {
        /// The file [setting: keys.file]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

pub(super) fn run(settings: &SettingsArgs, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Init { file } => {
            let id = app::make_root_key(&file)?;
            println!("{id}");
            eprintln!(
                "The root key is in {}. Keep a copy of it apart from the database: without it, everything is lost.",
                file.display()
            );
        }
        KeysCommand::List { file } => {
            let file = match file {
                Some(file) => file,
                None => settings.plain()?.settings.keys.file()?.clone(),
            };
            for id in app::root_key_ids(&file)? {
                println!("{id}");
            }
        }
    }
    Ok(())
}
