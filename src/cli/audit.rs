//! `audit`: whether the log is what was written, for people and for programs.
//!
//! Exit codes of `verify` and `check`: 0 intact, 1 tampered with, 2 cannot be told.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::failure::{Failure, code};
use super::{SettingsArgs, block_on};
use crate::app;
use crate::domain::audit::report::{Report, Verdict};

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Compute everything anew and name what was changed; exit code 0 intact, 1 tampered with, 2 cannot be told
    Verify {
        /// A checkpoint from a safe place: shows a tail that was cut off
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Verify this export instead of the database; needs --public-keys or --checkpoint, and no settings
        #[arg(long, value_name = "FILE")]
        export: Option<PathBuf>,
        /// Public keys to trust, as 'aether-vault audit keys' prints them
        #[arg(long, value_name = "FILE", requires = "export")]
        public_keys: Option<PathBuf>,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the proof that an entry was sealed
    Prove {
        /// The entry's number
        id: i64,
    },
    /// Check a proof; exit code 0 it holds, 1 it does not, 2 cannot be told
    Check {
        /// The proof, as 'aether-vault audit prove' prints it
        proof: PathBuf,
        /// A checkpoint from a safe place, for its public key
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Public keys to trust, as 'aether-vault audit keys' prints them
        #[arg(long, value_name = "FILE")]
        public_keys: Option<PathBuf>,
    },
    /// Write the whole log, one JSON object a line, to be verified elsewhere
    Export {
        /// The file; it must not exist. Standard output if absent
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print a signed checkpoint: keep it where the database's administrators cannot reach it
    Checkpoint,
    /// Print the ids and public halves of the keys that sign the log
    Keys,
    /// Drop the entries of one day; its blocks stay, and the log says so
    Drop {
        /// The day (UTC), such as 2026-11-26; at least a week ago and wholly sealed
        day: String,
    },
}

pub(super) fn run(settings: &SettingsArgs, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify {
            checkpoint,
            export,
            public_keys,
            json,
        } => verify(
            settings,
            checkpoint.as_deref(),
            export.as_deref(),
            public_keys.as_deref(),
            json,
        ),
        AuditCommand::Prove { id } => {
            let loaded = settings.plain()?;
            let proof = block_on(async { Ok(app::prove_audit_entry(&loaded.settings, id).await?) })?;
            print_json(&proof)
        }
        AuditCommand::Check {
            proof,
            checkpoint,
            public_keys,
        } => {
            let checked =
                app::verify_audit_proof(&proof, checkpoint.as_deref(), public_keys.as_deref()).map_err(cannot_tell)?;
            match checked {
                Ok(proof) => {
                    let (entry, header) = (&proof.entry, &proof.block.header);
                    println!(
                        "entry {} was sealed in block {} at {}",
                        entry.id, header.height, header.sealed_at
                    );
                    Ok(())
                }
                Err(problem) => Err(Failure::new(format!("the proof does not hold: {problem}"))),
            }
        }
        AuditCommand::Export { output } => export(settings, output.as_deref()),
        AuditCommand::Checkpoint => {
            let loaded = settings.plain()?;
            print_json(&block_on(async { Ok(app::audit_checkpoint(&loaded.settings).await?) })?)
        }
        AuditCommand::Keys => {
            let loaded = settings.plain()?;
            for (kid, public) in block_on(async { Ok(app::audit_public_keys(&loaded.settings).await?) })? {
                println!("{kid} {public}");
            }
            Ok(())
        }
        AuditCommand::Drop { day } => {
            let loaded = settings.plain()?;
            let entries = block_on(async { Ok(app::drop_audit_day(&loaded.settings, &day).await?) })?;
            println!("dropped {entries} entries of {day}; the blocks over them stay");
            Ok(())
        }
    }
}

fn verify(
    settings: &SettingsArgs,
    checkpoint: Option<&Path>,
    export: Option<&Path>,
    public_keys: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    let report = match export {
        Some(export) => app::verify_audit_export(export, checkpoint, public_keys).map_err(cannot_tell)?,
        None => {
            let loaded = settings.plain()?;
            let verified = block_on(async { Ok(app::audit_verify(&loaded.settings, checkpoint).await) })?;
            verified.map_err(cannot_tell)?
        }
    };
    if json {
        print_json(&report)?;
    } else {
        print!("{}", told(&report));
    }
    match report.verdict {
        Verdict::Intact => Ok(()),
        Verdict::Tampered => Err(Failure::told()),
        Verdict::CannotTell => Err(Failure {
            code: code::USAGE,
            message: String::new(),
        }),
    }
}

fn export(settings: &SettingsArgs, output: Option<&Path>) -> Result<(), Failure> {
    let loaded = settings.plain()?;
    let Some(path) = output else {
        let mut out = std::io::BufWriter::new(std::io::stdout());
        block_on(async { Ok(app::export_audit(&loaded.settings, &mut out).await?) })?;
        return Ok(());
    };
    let failed = |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
    let file = std::fs::File::create_new(path).map_err(failed)?;
    let mut out = std::io::BufWriter::new(file);
    let lines = block_on(async { Ok(app::export_audit(&loaded.settings, &mut out).await?) })?;
    out.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    println!("wrote {lines} lines to {}", path.display());
    Ok(())
}

/// What keeps a verification from telling has an exit code of its own.
fn cannot_tell(error: app::AppError) -> Failure {
    Failure {
        code: code::USAGE,
        message: format!(
            "it cannot be told whether the log is intact: {}",
            Failure::from(error).message
        ),
    }
}

fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").map_err(|error| Failure::new(error.to_string()))
}

/// The report for people.
fn told(report: &Report) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for finding in &report.findings {
        let block = finding.block.map(|block| format!(" block {block}")).unwrap_or_default();
        let entry = finding.entry.map(|entry| format!(" entry {entry}")).unwrap_or_default();
        let _ = writeln!(out, "{}:{block}{entry}: {}", finding.damage.as_str(), finding.detail);
    }
    if report.found > report.findings.len() as u64 {
        let _ = writeln!(out, "and {} more", report.found - report.findings.len() as u64);
    }
    for problem in &report.problems {
        let _ = writeln!(out, "cannot tell: {problem}");
    }
    for day in &report.dropped {
        let _ = writeln!(
            out,
            "{day}: dropped by retention; its blocks were verified, its entries are gone"
        );
    }
    let verdict = match report.verdict {
        Verdict::Intact => "intact",
        Verdict::Tampered => "TAMPERED WITH",
        Verdict::CannotTell => "cannot be told",
    };
    let _ = writeln!(
        out,
        "{verdict}: {} blocks, {} entries, {} not sealed yet; last block {} {}",
        report.blocks, report.entries, report.unsealed, report.height, report.hash
    );
    out
}
