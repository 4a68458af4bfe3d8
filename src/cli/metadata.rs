//! `metadata` and `search`: what records say of themselves, and finding them by it.

use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::client::{SessionArgs, parse, record_path};
use super::failure::Failure;
use crate::domain::path::{PathPrefix, RecordPath};
use crate::settings::HumanDuration;

/// Shows what a record says of itself; with options, changes it first.
#[derive(Args)]
pub(super) struct MetadataArgs {
    /// Path of the record, such as shared/smtp
    #[arg(value_parser = record_path)]
    path: RecordPath,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whose it is
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// All of its tags, such as prod,db
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    tags: Option<Vec<String>>,
    /// A key of custom metadata to set; KEY= removes it. May be given more than once
    #[arg(long, value_name = "KEY=TEXT", value_parser = pair)]
    custom: Vec<(String, String)>,
    /// When its values stop being of use, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<jiff::Timestamp>,
    /// Versions to keep
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=1000))]
    max_versions: Option<i64>,
    /// After which a version that is written from now on counts as deleted, such as 30d
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    delete_version_after: Option<u64>,
    /// Whether writes have to say which version they follow
    #[arg(long, value_name = "true|false")]
    cas_required: Option<bool>,
    #[command(flatten)]
    session: SessionArgs,
}

/// Finds records that may be listed.
#[derive(Args)]
pub(super) struct SearchArgs {
    /// Below this prefix, such as k8s/shop; everywhere if absent
    #[arg(value_parser = prefix, default_value = "")]
    prefix: PathPrefix,
    /// A part of the path, in any case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// With all of these tags
    #[arg(long, value_name = "TAG,…")]
    tags: Option<String>,
    /// Of this owner
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// With this key of custom metadata
    #[arg(long, value_name = "KEY=TEXT")]
    custom: Option<String>,
    /// Whose values end within this time, or have ended, such as 30d
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    expires_within: Option<u64>,
    /// Whole records that are deleted, and can be restored
    #[arg(long)]
    deleted: bool,
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
    version: i64,
    #[serde(default)]
    tags: Vec<String>,
}

pub(super) async fn metadata(args: MetadataArgs) -> Result<(), Failure> {
    let client = args.session.connect()?;
    let endpoint = format!("metadata/{}", args.path);
    let changes = args.changes();
    if !changes.is_empty() {
        let body = Zeroizing::new(Value::Object(changes).to_string().into_bytes());
        client.merge_patch(&endpoint, body).await?;
    }
    let answer = client.send(Method::GET, &endpoint, &[], None).await?;
    let shown: Map<String, Value> = parse(&answer)?;
    let width = shown.keys().map(String::len).max().unwrap_or(0);
    for (name, value) in &shown {
        match value {
            Value::String(text) => println!("{name:width$}  {text}"),
            other => println!("{name:width$}  {other}"),
        }
    }
    Ok(())
}

impl MetadataArgs {
    fn changes(&self) -> Map<String, Value> {
        let custom: Map<String, Value> = self
            .custom
            .iter()
            .map(|(key, text)| {
                (
                    key.clone(),
                    if text.is_empty() {
                        Value::Null
                    } else {
                        text.clone().into()
                    },
                )
            })
            .collect();
        let fields = [
            ("description", self.description.as_ref().map(|text| json!(text))),
            ("owner", self.owner.as_ref().map(|text| json!(text))),
            ("tags", self.tags.as_ref().map(|tags| json!(tags))),
            ("custom", (!custom.is_empty()).then_some(Value::Object(custom))),
            ("expiresAt", self.expires_at.map(|at| json!(at))),
            ("maxVersions", self.max_versions.map(|n| json!(n))),
            ("deleteVersionAfterSeconds", self.delete_version_after.map(|n| json!(n))),
            ("casRequired", self.cas_required.map(|required| json!(required))),
        ];
        fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

pub(super) async fn search(args: SearchArgs) -> Result<(), Failure> {
    let client = args.session.connect()?;
    let expires_within = args.expires_within.map(|seconds| seconds.to_string());
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("limit", "1000"), ("prefix", args.prefix.as_str())];
        for (name, text) in [
            ("name", &args.name),
            ("tags", &args.tags),
            ("owner", &args.owner),
            ("custom", &args.custom),
            ("expiresWithin", &expires_within),
            ("after", &after),
        ] {
            query.extend(text.as_deref().map(|text| (name, text)));
        }
        if args.deleted {
            query.push(("deleted", "true"));
        }
        let answer = client.send(Method::GET, "search", &query, None).await?;
        let page: Page = parse(&answer)?;
        for item in &page.items {
            println!("{}  version {}  {}", item.path, item.version, item.tags.join(","));
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "give it as KEY=TEXT".to_owned())
}

fn seconds(text: &str) -> Result<u64, String> {
    HumanDuration::parse(text)
        .map(|duration| duration.get().as_secs())
        .map_err(|error| error.to_string())
}

fn prefix(text: &str) -> Result<PathPrefix, String> {
    PathPrefix::parse(text).map_err(|error| error.to_string())
}
