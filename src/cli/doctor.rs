//! `doctor`: checks an installation and says what is wrong.

use clap::Args;

use super::failure::Failure;
use super::{SettingsArgs, block_on};
use crate::app::{self, Finding, Outcome};

/// Checks settings, keys, database and cluster as they are now; changes nothing. Exit code 1 if anything is wrong.
#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Leave out the checks of Kubernetes, for an API without a controller
    #[arg(long)]
    no_kubernetes: bool,
}

pub(super) fn run(settings: &SettingsArgs, args: &DoctorArgs) -> Result<(), Failure> {
    let loaded = settings.plain().inspect_err(|_| println!("FAIL  settings"))?;
    println!("OK    settings");
    let findings = block_on(async { Ok(app::examine(&loaded.settings, !args.no_kubernetes).await) })?;
    let mut failed = 0;
    for Finding { name, outcome } in &findings {
        match outcome {
            Outcome::Fine(what) => println!("OK    {name}: {what}"),
            Outcome::Warning { problem, remedy } => println!("WARN  {name}: {problem}\n      {remedy}"),
            Outcome::Failed { problem, remedy } => {
                failed += 1;
                println!("FAIL  {name}: {problem}\n      {remedy}");
            }
            Outcome::Skipped(why) => println!("SKIP  {name}: {why}"),
        }
    }
    match failed {
        0 => Ok(()),
        1 => {
            println!("\n1 check failed");
            Err(Failure::told())
        }
        _ => {
            println!("\n{failed} checks failed");
            Err(Failure::told())
        }
    }
}
