//! `generate`: files that are made from the code.

use std::path::PathBuf;

use clap::Subcommand;

use super::failure::Failure;
use crate::{app, settings};

#[derive(Subcommand)]
pub(super) enum GenerateCommand {
    /// The definitions of VaultSecret and VaultPolicy, for kubectl apply
    Crds {
        /// Write one file each into this folder rather than all to standard output
        #[arg(long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
    /// The description of the REST API, OpenAPI 3.1
    Openapi,
    /// The reference of all settings, Markdown
    Settings,
}

pub(super) fn run(command: GenerateCommand) -> Result<(), Failure> {
    let output = match command {
        GenerateCommand::Crds { output } => output,
        GenerateCommand::Openapi => {
            print!("{}", app::openapi());
            return Ok(());
        }
        GenerateCommand::Settings => {
            print!("{}", settings::reference());
            return Ok(());
        }
    };
    match output {
        None => {
            for (_, yaml) in app::crds() {
                print!("---\n{yaml}");
            }
        }
        Some(folder) => {
            let failed = |error: std::io::Error| Failure::new(format!("cannot write to {}: {error}", folder.display()));
            std::fs::create_dir_all(&folder).map_err(failed)?;
            for (name, yaml) in app::crds() {
                std::fs::write(folder.join(name), yaml).map_err(failed)?;
                println!("{}", folder.join(name).display());
            }
        }
    }
    Ok(())
}
