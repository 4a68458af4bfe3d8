//! `migrate`: brings the schema up to date as its owner, and lets the runtime role serve.

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app;

pub(super) fn run(settings: &SettingsArgs) -> Result<(), Failure> {
    let loaded = settings.plain()?;
    let migrated = block_on(async { Ok(app::migrate(&loaded.settings).await?) })?;
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
