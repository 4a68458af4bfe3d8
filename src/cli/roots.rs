//! `roots`: who a namespace's records belong to.

use clap::Subcommand;

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app;

#[derive(Subcommand)]
pub(super) enum RootsCommand {
    /// Hand the records under a namespace's root to the namespace that now has its name, after its VaultSecrets said RootOrphaned
    Adopt {
        /// The root: cluster prefix and namespace, such as k8s/shop
        path: String,
        /// The namespace's uid: kubectl get namespace NAME -o jsonpath={.metadata.uid}
        #[arg(long)]
        uid: String,
    },
}

pub(super) fn run(settings: &SettingsArgs, command: RootsCommand) -> Result<(), Failure> {
    let loaded = settings.plain()?;
    match command {
        RootsCommand::Adopt { path, uid } => {
            block_on(async { Ok(app::adopt_root(&loaded.settings, &path, &uid).await?) })?;
            println!("{path} belongs to the namespace with uid {uid}");
        }
    }
    Ok(())
}
