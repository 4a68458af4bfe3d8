//! What client commands do with records beside reading and writing them whole: `patch`, `versions`, `rollback`, `undelete`, `destroy`, `copy`,
//! `move`, `restore`.

use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::client::{SessionArgs, parse, record_path};
use super::failure::Failure;
use super::put::{Record, Written, add};
use crate::domain::path::RecordPath;

/// A record, and how to reach its server.
#[derive(Args)]
pub(super) struct RecordArgs {
    /// Path of the record, such as shared/smtp
    #[arg(value_parser = record_path)]
    path: RecordPath,
    #[command(flatten)]
    session: SessionArgs,
}

/// Sets some keys, removes some, and leaves the others as they are.
#[derive(Args)]
pub(super) struct PatchArgs {
    /// Path of the record, such as shared/smtp
    #[arg(value_parser = record_path)]
    path: RecordPath,
    /// KEY=VALUE or KEY=@FILE to set, as with 'put'
    #[arg(value_name = "KEY=VALUE")]
    values: Vec<String>,
    /// Remove this key; may be given more than once
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    /// Only if the record is at this version
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    cas: Option<i64>,
    #[command(flatten)]
    session: SessionArgs,
}

/// Versions of a record.
#[derive(Args)]
pub(super) struct VersionsArgs {
    #[command(flatten)]
    record: RecordArgs,
    /// The versions, such as 1,2
    #[arg(long, required = true, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(i64).range(1..))]
    versions: Vec<i64>,
}

/// Writes the values of an earlier version as a new one.
#[derive(Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    record: RecordArgs,
    /// The version to go back to
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    to: i64,
    /// Only if the record is at this version
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    cas: Option<i64>,
}

/// Another path for a record.
#[derive(Args)]
pub(super) struct CopyArgs {
    #[command(flatten)]
    record: RecordArgs,
    /// The path to copy to
    #[arg(value_parser = record_path)]
    to: RecordPath,
    /// This version rather than the current one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    version: Option<i64>,
    /// Only if the record at the target is at this version; 0: only if there is none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    cas: Option<i64>,
}

/// Another path for a record.
#[derive(Args)]
pub(super) struct MoveArgs {
    #[command(flatten)]
    record: RecordArgs,
    /// The path to move to, where there is no record
    #[arg(value_parser = record_path)]
    to: RecordPath,
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: i64,
    state: String,
    created_at: String,
    deleted_at: Option<String>,
}

pub(super) async fn patch(args: PatchArgs) -> Result<(), Failure> {
    let mut record = Record::default();
    for argument in &args.values {
        add(&mut record, argument)?;
    }
    let mut data: Map<String, Value> = Map::new();
    for key in &args.remove {
        if record.data.contains_key(key) || record.binary.contains_key(key) {
            return Err(Failure::usage(format!("key '{key}' is both set and removed")));
        }
        data.insert(key.clone(), Value::Null);
    }
    data.extend(
        record
            .data
            .iter()
            .map(|(key, value)| (key.clone(), value.clone().into())),
    );
    if data.is_empty() && record.binary.is_empty() {
        return Err(Failure::usage("name at least one key to set or to remove"));
    }
    let mut body = json!({"data": data, "binary": record.binary});
    if let Some(cas) = args.cas {
        body["cas"] = cas.into();
    }
    let body = Zeroizing::new(body.to_string().into_bytes());
    let answer = args
        .session
        .connect()?
        .merge_patch(&format!("records/{}", args.path), body)
        .await?;
    let written: Written = parse(&answer)?;
    println!("{}  version {}", args.path, written.version);
    Ok(())
}

pub(super) async fn versions(args: RecordArgs) -> Result<(), Failure> {
    let answer = args
        .session
        .connect()?
        .send(Method::GET, &format!("versions/{}", args.path), &[], None)
        .await?;
    let versions: Versions = parse(&answer)?;
    for version in versions.versions {
        match version.deleted_at {
            None => println!("{:>6}  {:<9}  {}", version.version, version.state, version.created_at),
            Some(at) => println!(
                "{:>6}  {:<9}  {}  until {at}",
                version.version, version.state, version.created_at
            ),
        }
    }
    Ok(())
}

pub(super) async fn rollback(args: RollbackArgs) -> Result<(), Failure> {
    let mut body = json!({"version": args.to});
    if let Some(cas) = args.cas {
        body["cas"] = cas.into();
    }
    let answer = args.record.post("rollback", &body).await?;
    let written: Written = parse(&answer)?;
    println!(
        "{}  version {}, as version {}",
        args.record.path, written.version, args.to
    );
    Ok(())
}

pub(super) async fn undelete(args: VersionsArgs) -> Result<(), Failure> {
    args.record
        .post("undelete", &json!({"versions": args.versions}))
        .await?;
    println!("{}  brought back", args.record.path);
    Ok(())
}

pub(super) async fn destroy(args: VersionsArgs) -> Result<(), Failure> {
    args.record.post("destroy", &json!({"versions": args.versions})).await?;
    println!("{}  destroyed", args.record.path);
    Ok(())
}

pub(super) async fn restore(args: RecordArgs) -> Result<(), Failure> {
    args.session
        .connect()?
        .send(Method::POST, &format!("restore/{}", args.path), &[], None)
        .await?;
    println!("{}  restored", args.path);
    Ok(())
}

pub(super) async fn copy(args: CopyArgs) -> Result<(), Failure> {
    let mut body = json!({"to": args.to});
    for (name, number) in [("version", args.version), ("cas", args.cas)] {
        if let Some(number) = number {
            body[name] = number.into();
        }
    }
    let answer = args.record.post("copy", &body).await?;
    let written: Written = parse(&answer)?;
    println!("{}  version {}", args.to, written.version);
    Ok(())
}

pub(super) async fn rename(args: MoveArgs) -> Result<(), Failure> {
    args.record.post("move", &json!({"to": args.to})).await?;
    println!("{}  moved to {}", args.record.path, args.to);
    Ok(())
}

impl RecordArgs {
    async fn post(&self, verb: &str, body: &Value) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let body = Zeroizing::new(body.to_string().into_bytes());
        self.session
            .connect()?
            .send(Method::POST, &format!("{verb}/{}", self.path), &[], Some(body))
            .await
    }
}
