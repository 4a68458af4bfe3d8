//! `get`: reads a record.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::client::{SessionArgs, parse, record_path};
use super::failure::{Failure, code};
use crate::domain::path::RecordPath;

/// Seconds before the end of a record's values from which on `get` says so: 30 days.
const WARN_SECONDS: i64 = 30 * 86_400;

/// Prints the keys of a record, one a line, with their values masked.
#[derive(Args)]
pub(super) struct GetArgs {
    /// Path of the record, such as shared/smtp
    #[arg(value_parser = record_path)]
    path: RecordPath,
    /// This version rather than the current one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    version: Option<i64>,
    /// This key only; with --show its value alone, byte for byte
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print values
    #[arg(long)]
    show: bool,
    /// Print nothing, and compare the key's value with this file, such as a mounted Secret's; exit code 5 if they differ
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "show")]
    same_as: Option<PathBuf>,
    #[command(flatten)]
    session: SessionArgs,
}

/// A record as the server shows it.
#[derive(Deserialize)]
pub(super) struct Record<'a> {
    version: i64,
    #[serde(default, rename = "expiresIn")]
    expires_in: Option<i64>,
    #[serde(borrow)]
    data: BTreeMap<String, &'a RawValue>,
    #[serde(default)]
    binary: BTreeMap<String, String>,
}

enum Value {
    Text(Zeroizing<String>),
    Bytes(Zeroizing<Vec<u8>>),
}

pub(super) async fn run(args: GetArgs) -> Result<(), Failure> {
    let version = args.version.map(|version| version.to_string());
    let query: Vec<_> = version.iter().map(|version| ("version", version.as_str())).collect();
    let answer = args
        .session
        .connect()?
        .send(Method::GET, &format!("records/{}", args.path), &query, None)
        .await?;
    let record: Record<'_> = parse(&answer)?;
    if let Some(left) = record.expires_in.filter(|left| *left < WARN_SECONDS) {
        match left {
            ..=0 => eprintln!("{}: its values have ended", args.path),
            _ => eprintln!("{}: its values end in {} h", args.path, left / 3600),
        }
    }
    show(
        args.path.as_str(),
        record,
        args.key.as_deref(),
        args.show,
        args.same_as.as_deref(),
    )
}

/// Prints a record, or one key of it, or compares that key's value with a file.
pub(super) fn show(
    path: &str,
    record: Record<'_>,
    key: Option<&str>,
    show: bool,
    same_as: Option<&Path>,
) -> Result<(), Failure> {
    let version = record.version;
    let mut values = values(record)?;
    if let Some(key) = key {
        let value = values.remove(key).ok_or_else(|| Failure {
            code: code::NOT_THERE,
            message: format!(
                "version {version} of {path} has no key '{key}'; it has: {}",
                keys(&values)
            ),
        })?;
        if show {
            return write_raw(&value);
        }
        if let Some(file) = same_as {
            return compare(&value, file, key, version);
        }
        values = BTreeMap::from([(key.to_owned(), value)]);
    }
    println!("{path}  version {version}");
    let width = values.keys().map(String::len).max().unwrap_or(0);
    for (key, value) in &values {
        match value {
            _ if !show => println!("{key:width$}  ********"),
            Value::Text(text) => println!("{key:width$}  {}", text.as_str()),
            Value::Bytes(bytes) => println!("{key:width$}  ({} bytes; --key {key} --show prints them)", bytes.len()),
        }
    }
    Ok(())
}

/// Strings without their JSON escapes, other JSON as it is, bytes decoded.
fn values(record: Record<'_>) -> Result<BTreeMap<String, Value>, Failure> {
    let mut values = BTreeMap::new();
    for (key, json) in record.data {
        let text = if json.get().starts_with('"') {
            parse::<String>(json.get().as_bytes())?
        } else {
            json.get().to_owned()
        };
        values.insert(key, Value::Text(Zeroizing::new(text)));
    }
    for (key, text) in record.binary {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| Failure::new("the server's answer is not understood"))?;
        values.insert(key, Value::Bytes(Zeroizing::new(bytes)));
    }
    Ok(values)
}

fn keys(values: &BTreeMap<String, Value>) -> String {
    values.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

impl Value {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

fn compare(value: &Value, file: &Path, key: &str, version: i64) -> Result<(), Failure> {
    let content = std::fs::read(file)
        .map(Zeroizing::new)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", file.display())))?;
    if content.as_slice() == value.as_bytes() {
        println!("{} holds '{key}' of version {version}", file.display());
        return Ok(());
    }
    Err(Failure {
        code: code::CONFLICT,
        message: format!("{} differs from '{key}' of version {version}", file.display()),
    })
}

fn write_raw(value: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(value.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(format!("cannot write: {error}")))
}
