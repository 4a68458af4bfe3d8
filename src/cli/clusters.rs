//! `clusters`: what the vault knows of the clusters whose workloads log in.

use std::path::PathBuf;

use clap::Subcommand;

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app;

#[derive(Subcommand)]
pub(super) enum ClustersCommand {
    /// Keep what a cluster signs service account tokens with, if its controller may not read that itself
    Issuer {
        /// The cluster's prefix, such as k8s
        prefix: String,
        /// The issuer: kubectl get --raw /.well-known/openid-configuration has it
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// File with the keys, as kubectl get --raw /openid/v1/jwks prints them
        #[arg(long, value_name = "FILE")]
        jwks_file: PathBuf,
    },
}

pub(super) fn run(settings: &SettingsArgs, command: ClustersCommand) -> Result<(), Failure> {
    let loaded = settings.plain()?;
    match command {
        ClustersCommand::Issuer {
            prefix,
            issuer,
            jwks_file,
        } => {
            let published = app::publish_issuer(&loaded.settings, &prefix, &issuer, &jwks_file);
            let changed = block_on(async { Ok(published.await?) })?;
            let outcome = if changed { "are kept" } else { "were kept already" };
            println!("the keys of {prefix} {outcome}");
        }
    }
    Ok(())
}
