//! `roots`: who a namespace's records belong to.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app;

#[derive(Subcommand)]
pub(super) enum RootsCommand {
    /// List the roots that belong to namespaces which were deleted, or made again under the same name
    List {
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Hand the records under a namespace's root to the namespace that now has its name, after its VaultSecrets said RootOrphaned
    Adopt {
        /// The root: cluster prefix and namespace, such as k8s/shop
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        path: Option<String>,
        /// The namespace's uid: kubectl get namespace NAME -o jsonpath={.metadata.uid}
        #[arg(long, requires = "path", required_unless_present = "all")]
        uid: Option<String>,
        /// Every orphaned root whose namespace is there again, as after a cluster was rebuilt
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Remove the records under orphaned roots for good, so that the namespaces of today begin anew
    Purge {
        /// The roots, such as k8s/shop
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        paths: Vec<String>,
        /// Every orphaned root whose namespace was made again
        #[arg(long)]
        all: bool,
        /// Really: what is removed is in backups only
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
}

#[derive(Args)]
pub(super) struct ClusterArgs {
    /// The cluster's prefix [setting: controller.cluster_prefix]
    #[arg(long)]
    cluster: Option<String>,
}

pub(super) fn run(settings: &SettingsArgs, command: RootsCommand) -> Result<(), Failure> {
    let loaded = settings.plain()?;
    let settings = &loaded.settings;
    let prefix = |args: ClusterArgs| {
        args.cluster
            .unwrap_or_else(|| settings.controller.cluster_prefix.clone())
    };
    let settled = match command {
        RootsCommand::List { cluster } => {
            let cluster = prefix(cluster);
            block_on(async { Ok(app::orphaned_roots(settings, &cluster).await?) })?
        }
        RootsCommand::Adopt {
            path: Some(path),
            uid: Some(uid),
            ..
        } => {
            block_on(async { Ok(app::adopt_root(settings, &path, &uid).await?) })?;
            println!("{path} belongs to the namespace with uid {uid}");
            return Ok(());
        }
        RootsCommand::Adopt { cluster, .. } => {
            let cluster = prefix(cluster);
            block_on(async { Ok(app::adopt_roots(settings, &cluster).await?) })?
        }
        RootsCommand::Purge { yes: false, .. } => {
            return Err(Failure::new(
                "nothing was removed: records that are purged cannot be brought back; look with 'roots list', then give --yes",
            ));
        }
        RootsCommand::Purge { paths, cluster, .. } => {
            let cluster = prefix(cluster);
            block_on(async { Ok(app::purge_roots(settings, &cluster, &paths).await?) })?
        }
    };
    if settled.is_empty() {
        println!("nothing: no root is orphaned, or the controller of the cluster does not run");
    }
    for root in settled {
        println!("{}  {}", root.path, root.done);
    }
    Ok(())
}
