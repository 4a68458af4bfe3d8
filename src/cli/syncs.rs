//! `syncs`: decisions about synced Secrets that the controller leaves to people.

use clap::Subcommand;

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app;

#[derive(Subcommand)]
pub(super) enum SyncsCommand {
    /// Let the controller carry out the deletions of Secrets that it holds because there were too many at once
    Confirm {
        /// The cluster's prefix [setting: controller.cluster_prefix]
        #[arg(long)]
        cluster: Option<String>,
    },
}

pub(super) fn run(settings: &SettingsArgs, command: SyncsCommand) -> Result<(), Failure> {
    let loaded = settings.plain()?;
    match command {
        SyncsCommand::Confirm { cluster } => {
            let cluster = cluster.unwrap_or_else(|| loaded.settings.controller.cluster_prefix.clone());
            block_on(async { Ok(app::confirm_deletions(&loaded.settings, &cluster).await?) })?;
            println!("the deletions held for cluster {cluster} will be carried out");
        }
    }
    Ok(())
}
