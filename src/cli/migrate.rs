//! `migrate`: brings the schema up to date as its owner, and lets the runtime role serve.

use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::setup::duration;
use super::{SettingsArgs, block_on};
use crate::app;

/// Applies what is missing, under a lock, and grants the runtime role what it needs. Does nothing on a schema that is newer than this
/// program: a release runs on the schema of the next one.
#[derive(Args)]
pub(super) struct MigrateArgs {
    /// How long to wait for a database that does not answer yet
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    wait: Duration,
}

pub(super) fn run(settings: &SettingsArgs, args: &MigrateArgs) -> Result<(), Failure> {
    let loaded = settings.plain()?;
    let migrated = block_on(async { Ok(app::migrate(&loaded.settings, args.wait).await?) })?;
    if migrated.version > migrated.known {
        println!(
            "the schema is of a newer release (version {}, this program knows {}); nothing to do",
            migrated.version, migrated.known
        );
        return Ok(());
    }
    for name in &migrated.applied {
        println!("applied  {name}");
    }
    if migrated.applied.is_empty() {
        println!("the schema is current (version {})", migrated.version);
    }
    match migrated.granted_to {
        Some(role) => println!("granted  what serving needs, to role {role}"),
        None => eprintln!(
            "warning: owner and runtime role are the same, so the server could change audit entries; give database.url a role of its own"
        ),
    }
    Ok(())
}
