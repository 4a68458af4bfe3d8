//! `list`: what may be seen below a prefix.

use clap::Args;
use reqwest::Method;
use serde::Deserialize;

use super::client::{SessionArgs, parse};
use super::failure::Failure;
use crate::domain::path::PathPrefix;

/// Prints records with their newest version, and folders with a / at their end.
#[derive(Args)]
pub(super) struct ListArgs {
    /// List below this prefix, such as k8s/shop; everything if absent
    #[arg(value_parser = prefix, default_value = "")]
    prefix: PathPrefix,
    /// Every record below, rather than folders
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    path: String,
    #[serde(default)]
    version: Option<i64>,
    #[serde(default)]
    state: Option<String>,
}

pub(super) async fn run(args: ListArgs) -> Result<(), Failure> {
    let client = args.session.connect()?;
    let endpoint = format!("list/{}", args.prefix);
    let endpoint = endpoint.trim_end_matches('/');
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("limit", "1000")];
        if args.recursive {
            query.push(("recursive", "true"));
        }
        query.extend(after.iter().map(|after| ("after", after.as_str())));
        let answer = client.send(Method::GET, endpoint, &query, None).await?;
        let page: Page = parse(&answer)?;
        for item in &page.items {
            match (item.version, item.state.as_deref()) {
                (Some(version), Some("live") | None) => println!("{}  version {version}", item.path),
                (Some(version), Some(state)) => println!("{}  version {version}, {state}", item.path),
                (None, _) => println!("{}", item.path),
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn prefix(text: &str) -> Result<PathPrefix, String> {
    PathPrefix::parse(text).map_err(|error| error.to_string())
}
