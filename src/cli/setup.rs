//! `setup`: what an installation on Kubernetes needs, kept in Secrets and made where it is absent. The chart's jobs run it.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app::{self, DatabaseRole, Kept, SecretName};
use crate::settings::HumanDuration;

#[derive(Subcommand)]
pub(super) enum SetupCommand {
    /// Make a password for a database role, and its URL, in a Secret with the keys username, password and url
    DatabaseRole(DatabaseRoleArgs),
    /// Make a server certificate in a Secret, and its authority in another; make it anew when less than a third of its time is left
    Certificate(CertificateArgs),
    /// Make the first administrator of a new vault, with a one-time password in a Secret
    Administrator {
        /// The Secret to make
        #[arg(long, value_name = "NAMESPACE/NAME")]
        kubernetes_secret: SecretName,
    },
}

#[derive(Args)]
pub(super) struct DatabaseRoleArgs {
    /// The Secret to make; an existing one is never touched
    #[arg(long, value_name = "NAMESPACE/NAME")]
    kubernetes_secret: SecretName,
    /// The role's name
    #[arg(long)]
    user: String,
    /// The database server
    #[arg(long)]
    host: String,
    /// Its port
    #[arg(long, default_value_t = 5432)]
    port: u16,
    /// The database
    #[arg(long)]
    database: String,
    /// Where the servers find the authority of the database server's certificate
    #[arg(long, value_name = "FILE")]
    ssl_root_cert: Option<String>,
}

#[derive(Args)]
pub(super) struct CertificateArgs {
    /// The Secret of the certificate
    #[arg(long, value_name = "NAMESPACE/NAME")]
    kubernetes_secret: SecretName,
    /// The Secret of the authority
    #[arg(long, value_name = "NAMESPACE/NAME")]
    authority_secret: SecretName,
    /// A DNS name that it is for; may be given more than once
    #[arg(long = "dns-name", value_name = "NAME", required = true)]
    names: Vec<String>,
    /// How long it is valid
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = duration)]
    valid: Duration,
}

/// A duration as settings write it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    HumanDuration::parse(text)
        .map(HumanDuration::get)
        .map_err(|error| error.to_string())
}

pub(super) fn run(settings: &SettingsArgs, command: SetupCommand) -> Result<(), Failure> {
    match command {
        SetupCommand::DatabaseRole(args) => {
            let role = DatabaseRole {
                user: args.user,
                host: args.host,
                port: args.port,
                database: args.database,
                root_certificate: args.ssl_root_cert,
            };
            let at = args.kubernetes_secret;
            let kept = block_on(async { Ok(app::keep_database_role(&at, &role).await?) })?;
            report(kept, &format!("password of role {}", role.user), &at);
        }
        SetupCommand::Certificate(args) => {
            let at = args.kubernetes_secret;
            let kept = block_on(async {
                Ok(app::keep_certificate(&at, &args.authority_secret, &args.names, args.valid).await?)
            })?;
            report(kept, &format!("certificate for {}", args.names.join(", ")), &at);
        }
        SetupCommand::Administrator { kubernetes_secret: at } => {
            let loaded = settings.plain()?;
            match block_on(async { Ok(app::keep_administrator(&loaded.settings, &at).await?) })? {
                Kept::Made => println!(
                    "made the first administrator, 'admin'; Secret {at} holds a one-time password: log in with it and a password of your own, \
                     then delete the Secret"
                ),
                Kept::There | Kept::Renewed => println!("the vault has users; nothing to do"),
            }
        }
    }
    Ok(())
}

fn report(kept: Kept, what: &str, at: &SecretName) {
    match kept {
        Kept::There => println!("{what}: Secret {at} is there"),
        Kept::Made => println!("{what}: made in Secret {at}"),
        Kept::Renewed => println!("{what}: renewed in Secret {at}"),
    }
}
