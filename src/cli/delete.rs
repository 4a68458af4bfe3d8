//! `delete`: soft-deletes versions of a record.

use clap::Args;
use reqwest::Method;

use super::client::{SessionArgs, record_path};
use super::failure::Failure;
use crate::domain::path::RecordPath;

/// Deleted versions stay in the vault and can be brought back with POST /api/v1/undelete/PATH.
#[derive(Args)]
pub(super) struct DeleteArgs {
    /// Path of the record, such as shared/smtp
    #[arg(value_parser = record_path)]
    path: RecordPath,
    /// These versions rather than the current one, such as 1,2
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(i64).range(1..))]
    versions: Vec<i64>,
    #[command(flatten)]
    session: SessionArgs,
}

pub(super) async fn run(args: DeleteArgs) -> Result<(), Failure> {
    let versions = args
        .versions
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let query: Vec<_> = if versions.is_empty() {
        Vec::new()
    } else {
        vec![("versions", versions.as_str())]
    };
    args.session
        .connect()?
        .send(Method::DELETE, &format!("records/{}", args.path), &query, None)
        .await?;
    match args.versions.len() {
        0 => println!("{}  current version deleted", args.path),
        _ => println!("{}  deleted: {versions}", args.path),
    }
    Ok(())
}
