//! `report`: what the audit log and the policies say together, as JSON for programs and for auditors' tools.

use clap::Subcommand;
use reqwest::Method;

use super::client::{SessionArgs, parse};
use super::failure::Failure;
use crate::domain::path::RecordPath;

#[derive(Subcommand)]
pub(super) enum ReportCommand {
    /// Who may do what, which grants nobody uses, which secrets grow old, which accounts have one factor only
    Access {
        /// What was not used or written for so many days counts as unused or old
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Tell who may do what with this record as well
        #[arg(long, value_parser = path)]
        path: Option<RecordPath>,
        #[command(flatten)]
        session: SessionArgs,
    },
}

pub(super) async fn run(command: ReportCommand) -> Result<(), Failure> {
    let ReportCommand::Access { days, path, session } = command;
    let client = session.connect()?;
    let days = days.to_string();
    let mut query = vec![("days", days.as_str())];
    query.extend(path.iter().map(|path| ("path", path.as_str())));
    let answer = client.send(Method::GET, "reports/access", &query, None).await?;
    let report: serde_json::Value = parse(&answer)?;
    let text = serde_json::to_string_pretty(&report).map_err(|error| Failure::new(error.to_string()))?;
    println!("{text}");
    Ok(())
}

fn path(text: &str) -> Result<RecordPath, String> {
    RecordPath::parse(text).map_err(|error| error.to_string())
}
