//! The command line: one file a subcommand. Servers and administration go through `app`; client commands speak to the API.
//!
//! Exit codes: 0 done; 1 failed; 2 wrong usage or settings; 3 not allowed (401, 403); 4 not there (404, 410); 5 a conflict (409, 412, 428);
//! 6 the server or its database cannot be reached (503).

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one module that talks to people on a terminal"
)]

mod audit;
mod client;
mod clusters;
mod consumers;
mod delete;
mod devices;
mod doctor;
mod failure;
mod files;
mod generate;
mod get;
mod keys;
mod list;
mod login;
mod login_device;
mod login_sso;
mod logout;
mod metadata;
mod migrate;
mod plan;
mod put;
mod records;
mod recover;
mod report;
mod roots;
mod seal;
mod sealing_keys;
mod second_factor;
mod serve;
mod session_file;
mod settings;
mod setup;
mod syncs;
mod wrap;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::lifecycle;
use crate::settings::{DEFAULT_FILE, Loaded, Overrides, Settings};
use failure::Failure;

/// Secret server and Kubernetes operator.
#[derive(Parser)]
#[command(name = "aether-vault", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Settings come from a YAML file, then the environment (AETHER_VAULT__SECTION__KEY), then flags; 'aether-vault settings check' explains them.

Exit codes: 0 done; 1 failed; 2 wrong usage or settings; 3 not allowed; 4 not there; 5 a conflict; 6 cannot be reached";

/// Where settings come from.
#[derive(Args)]
struct SettingsArgs {
    /// Settings file [default: /etc/aether-vault/config.yaml, if there is one]
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "AETHER_VAULT_CONFIG",
        help_heading = "Settings"
    )]
    config: Option<PathBuf>,
    /// Set one setting, such as --set http.listen=127.0.0.1:8200; may be given more than once
    #[arg(
        long = "set",
        value_name = "SECTION.KEY=VALUE",
        global = true,
        help_heading = "Settings"
    )]
    sets: Vec<String>,
}

impl SettingsArgs {
    fn load(&self, mut overrides: Overrides) -> Result<Loaded, Failure> {
        for set in &self.sets {
            overrides.set(set)?;
        }
        debug_assert!(
            DEFAULT_FILE == "/etc/aether-vault/config.yaml",
            "the help text of --config names it"
        );
        Ok(Settings::load(self.config.as_deref(), overrides)?)
    }

    fn plain(&self) -> Result<Loaded, Failure> {
        self.load(Overrides::default())
    }
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API
    Api(serve::ApiArgs),
    /// Reconcile the custom resources of a Kubernetes cluster
    Controller(serve::ControllerArgs),
    /// Bring the database schema up to date, as its owner
    Migrate(migrate::MigrateArgs),
    /// Make and look at root keys, and change the key that signs tokens
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Make what an installation on Kubernetes needs, where it is absent
    #[command(subcommand)]
    Setup(setup::SetupCommand),
    /// Hand a namespace's records to the namespace of today
    #[command(subcommand)]
    Roots(roots::RootsCommand),
    /// What workloads of clusters log in with
    #[command(subcommand)]
    Clusters(clusters::ClustersCommand),
    /// Break-glass, for whoever holds the owner's database URL and the root key: make an administrator, disable a policy, unlock
    #[command(subcommand)]
    Recover(recover::RecoverCommand),
    /// Verify, prove and export the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The keys that values are sealed to
    #[command(subcommand)]
    SealingKeys(sealing_keys::SealingKeysCommand),
    /// Decide about synced Secrets
    #[command(subcommand)]
    Syncs(syncs::SyncsCommand),
    /// Look at the settings
    #[command(subcommand)]
    Settings(settings::SettingsCommand),
    /// Check everything that an installation needs, and say what is wrong
    Doctor(doctor::DoctorArgs),
    /// Write generated files
    #[command(subcommand)]
    Generate(generate::GenerateCommand),
    /// Log in at a server and keep the access token in a file
    Login(login::LoginArgs),
    /// End the session at a server
    Logout(logout::LogoutArgs),
    /// Show a second factor again
    StepUp(logout::StepUpArgs),
    /// Let devices in that ask with a code, or refuse them
    #[command(subcommand)]
    Devices(devices::DevicesCommand),
    /// Read a record; values are masked unless --show
    Get(get::GetArgs),
    /// Write a new version of a record
    Put(put::PutArgs),
    /// List records
    List(list::ListArgs),
    /// Tell what manifests would do, before they are applied
    Plan(plan::PlanArgs),
    /// Tell which Secrets and workloads carry a record
    Consumers(consumers::ConsumersArgs),
    /// Report what policies and the audit log say together
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Soft-delete versions of a record
    Delete(delete::DeleteArgs),
    /// Set or remove some keys of a record
    Patch(records::PatchArgs),
    /// List the versions of a record
    Versions(records::RecordArgs),
    /// Write the values of an earlier version as a new one
    Rollback(records::RollbackArgs),
    /// Bring soft-deleted versions back
    Undelete(records::VersionsArgs),
    /// Remove the values of versions for good
    Destroy(records::VersionsArgs),
    /// Restore a whole deleted record
    Restore(records::RecordArgs),
    /// Write the values of a record at another path
    #[command(visible_alias = "cp")]
    Copy(records::CopyArgs),
    /// Move a record with all its versions
    #[command(visible_alias = "mv")]
    Move(records::MoveArgs),
    /// Show or change what a record says of itself
    Metadata(metadata::MetadataArgs),
    /// Find records by what they say of themselves
    Search(metadata::SearchArgs),
    /// Put values behind a token that is good once
    Wrap(wrap::WrapArgs),
    /// Use a token that is good once
    Unwrap(wrap::UnwrapArgs),
    /// Encrypt a value for a VaultSecret, so that its manifest may stand in a repository
    Seal(seal::SealArgs),
}

/// Runs the command line.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = lifecycle::prepare_process() {
        eprintln!("aether-vault: the process cannot be protected from core files and debuggers: {error}");
        return ExitCode::FAILURE;
    }
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("aether-vault: {}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let settings = &cli.settings;
    match cli.command {
        Command::Api(args) => serve::api(settings, &args),
        Command::Controller(args) => serve::controller(settings, &args),
        Command::Migrate(args) => migrate::run(settings, &args),
        Command::Keys(command) => keys::run(settings, command),
        Command::Setup(command) => setup::run(settings, command),
        Command::Roots(command) => roots::run(settings, command),
        Command::Clusters(command) => clusters::run(settings, command),
        Command::Recover(command) => recover::run(settings, command),
        Command::Audit(command) => audit::run(settings, command),
        Command::SealingKeys(command) => sealing_keys::run(settings, &command),
        Command::Syncs(command) => syncs::run(settings, command),
        Command::Settings(command) => settings::run(settings, &command),
        Command::Doctor(args) => doctor::run(settings, &args),
        Command::Generate(command) => generate::run(command),
        Command::Login(args) => block_on(login::run(args)),
        Command::Logout(args) => block_on(logout::run(args)),
        Command::StepUp(args) => block_on(logout::step_up(args)),
        Command::Devices(command) => block_on(devices::run(command)),
        Command::Get(args) => block_on(get::run(args)),
        Command::Put(args) => block_on(put::run(args)),
        Command::List(args) => block_on(list::run(args)),
        Command::Plan(args) => block_on(plan::run(args)),
        Command::Consumers(args) => block_on(consumers::run(args)),
        Command::Report(command) => block_on(report::run(command)),
        Command::Delete(args) => block_on(delete::run(args)),
        Command::Patch(args) => block_on(records::patch(args)),
        Command::Versions(args) => block_on(records::versions(args)),
        Command::Rollback(args) => block_on(records::rollback(args)),
        Command::Undelete(args) => block_on(records::undelete(args)),
        Command::Destroy(args) => block_on(records::destroy(args)),
        Command::Restore(args) => block_on(records::restore(args)),
        Command::Copy(args) => block_on(records::copy(args)),
        Command::Move(args) => block_on(records::rename(args)),
        Command::Metadata(args) => block_on(metadata::metadata(args)),
        Command::Search(args) => block_on(metadata::search(args)),
        Command::Wrap(args) => block_on(wrap::wrap(args)),
        Command::Unwrap(args) => block_on(wrap::unwrap(args)),
        Command::Seal(args) => block_on(seal::run(args)),
    }
}

/// Runs a short task on one thread.
fn block_on<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?
        .block_on(task)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_before_or_after_the_command() {
        for line in [
            "aether-vault --config x --set a.b=c api",
            "aether-vault api --config x --set a.b=c",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.settings.config.as_deref(), Some(std::path::Path::new("x")));
            assert_eq!(cli.settings.sets, ["a.b=c"]);
        }
    }
}
