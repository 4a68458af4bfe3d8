//! `keys`: root keys, which open everything and are never stored in the database; and the key that signs access tokens.

use std::path::PathBuf;

use clap::Subcommand;

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app::{self, SecretName};

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Make a root key in a new file or Kubernetes Secret. Without it the database cannot be read: keep a copy where the database's backups are not
    Init {
        /// The file to make; an existing one is never touched
        #[arg(long, value_name = "FILE", required_unless_present = "kubernetes_secret")]
        file: Option<PathBuf>,
        /// Leave an existing file as it is, and succeed
        #[arg(long, requires = "file")]
        if_absent: bool,
        /// The Kubernetes Secret to make instead of a file; an existing one is never touched
        #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "file")]
        kubernetes_secret: Option<SecretName>,
        /// The key of the Secret
        #[arg(long, value_name = "KEY", default_value = "root.key", requires = "kubernetes_secret")]
        secret_key: String,
    },
    /// Print the ids of the root keys in a file, the one in use first
    List {
        /// The file [setting: keys.file]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Make another key sign access tokens. Tokens of the keys before stay good for their time
    RotateSigning {
        /// End them at once instead, as after a leak; sessions go on by their refresh tokens
        #[arg(long)]
        end_tokens: bool,
    },
}

pub(super) fn run(settings: &SettingsArgs, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Init {
            kubernetes_secret: Some(at),
            secret_key,
            ..
        } => match block_on(async { Ok(app::keep_root_key(&at, &secret_key).await?) })? {
            Some(id) => {
                println!("{id}");
                eprintln!("{}", back_it_up(&at, &secret_key));
            }
            None => println!("Secret {at} is there; it stays as it is"),
        },
        KeysCommand::Init { file, if_absent, .. } => {
            let file = file.ok_or_else(|| Failure::usage("give --file or --kubernetes-secret"))?;
            if if_absent && file.exists() {
                // Told now if it is no key file, rather than by the server.
                for id in app::root_key_ids(&file)? {
                    println!("{id}");
                }
                return Ok(());
            }
            let id = app::make_root_key(&file)?;
            println!("{id}");
            eprintln!(
                "The root key is in {}. Keep a copy of it apart from the database: without it, everything is lost.",
                file.display()
            );
        }
        KeysCommand::RotateSigning { end_tokens } => return rotate_signing(settings, end_tokens),
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

fn back_it_up(at: &SecretName, key: &str) -> String {
    let SecretName { namespace, name } = at;
    let jsonpath = key.replace('.', "\\.");
    format!(
        "
=====================================================================================
  BACK UP THE ROOT KEY NOW. It is in Secret {at} and nowhere else.
  Without it nothing in the database can be read, and nobody can help.

  kubectl -n {namespace} get secret {name} -o jsonpath='{{.data.{jsonpath}}}' | base64 -d > root.key

  Keep the copy offline or in another system, never beside the database's backups.
====================================================================================="
    )
}

fn rotate_signing(settings: &SettingsArgs, end_tokens: bool) -> Result<(), Failure> {
    let settings = settings.plain()?.settings;
    block_on(async { Ok(app::rotate_signing_key(&settings, end_tokens).await?) })?;
    println!("Access tokens are signed with a new key.");
    Ok(())
}
