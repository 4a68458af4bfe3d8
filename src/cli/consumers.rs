//! `consumers`: who carries a record.

use clap::Args;
use reqwest::Method;
use serde::Deserialize;

use super::client::{SessionArgs, parse};
use super::failure::Failure;
use crate::domain::path::RecordPath;

/// Prints the Secrets that carry a record, with their version of it and the workloads that use them.
#[derive(Args)]
pub(super) struct ConsumersArgs {
    /// Path of the record, such as k8s/shop/orders-db
    #[arg(value_parser = path)]
    path: RecordPath,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    current_version: i64,
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    cluster: String,
    namespace: String,
    secret: String,
    versions: Vec<Carried>,
    workloads: Vec<Workload>,
}

#[derive(Deserialize)]
struct Carried {
    version: i64,
    pinned: bool,
}

#[derive(Deserialize)]
struct Workload {
    kind: String,
    name: String,
    current: bool,
}

pub(super) async fn run(args: ConsumersArgs) -> Result<(), Failure> {
    let client = args.session.connect()?;
    let endpoint = format!("consumers/{}", args.path);
    let mut after: Option<String> = None;
    let mut headed = false;
    loop {
        let mut query = vec![("limit", "1000")];
        query.extend(after.iter().map(|after| ("after", after.as_str())));
        let answer = client.send(Method::GET, &endpoint, &query, None).await?;
        let page: Page = parse(&answer)?;
        if !headed {
            println!("{}  version {}", args.path, page.current_version);
            headed = true;
        }
        for item in &page.items {
            for line in lines(item) {
                println!("{line}");
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn lines(item: &Item) -> Vec<String> {
    let versions: Vec<String> = item
        .versions
        .iter()
        .map(|carried| format!("{}{}", carried.version, if carried.pinned { " (pinned)" } else { "" }))
        .collect();
    let versions = if versions.is_empty() {
        "being made".to_owned()
    } else {
        format!("version {}", versions.join(", "))
    };
    let mut lines = vec![format!(
        "{}  Secret {}/{}  {versions}",
        item.cluster, item.namespace, item.secret
    )];
    lines.extend(item.workloads.iter().map(|workload| {
        let state = if workload.current {
            "current"
        } else {
            "waits for its restart"
        };
        format!("  {} {}  {state}", workload.kind, workload.name)
    }));
    lines
}

fn path(text: &str) -> Result<RecordPath, String> {
    RecordPath::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_line_and_so_is_each_of_its_workloads() {
        let item = Item {
            cluster: "k8s".into(),
            namespace: "shop".into(),
            secret: "db".into(),
            versions: vec![
                Carried {
                    version: 3,
                    pinned: true,
                },
                Carried {
                    version: 7,
                    pinned: false,
                },
            ],
            workloads: vec![Workload {
                kind: "Deployment".into(),
                name: "orders".into(),
                current: false,
            }],
        };
        assert_eq!(
            lines(&item),
            [
                "k8s  Secret shop/db  version 3 (pinned), 7",
                "  Deployment orders  waits for its restart"
            ]
        );
    }
}
