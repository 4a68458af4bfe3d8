//! `put`: writes a new version of a record.

use std::path::Path;

use base64::Engine as _;
use clap::Args;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::{Zeroize as _, Zeroizing};

use super::client::{SessionArgs, parse, record_path};
use super::failure::Failure;
use super::files::read_bytes;
use crate::domain::limits::MAX_RECORD_BYTES;
use crate::domain::path::RecordPath;

/// Writes a version that holds the given keys and no others.
#[derive(Args)]
pub(super) struct PutArgs {
    /// Path of the record, such as shared/smtp
    #[arg(value_parser = record_path)]
    path: RecordPath,
    /// KEY=VALUE, KEY=@FILE for what a file holds, KEY=@- for standard input, KEY=@@TEXT for a value that begins with @.
    /// Others on this machine can see arguments: give secrets by file
    #[arg(required = true, value_name = "KEY=VALUE")]
    values: Vec<String>,
    /// Only if the record is at this version; 0: only if there is none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    cas: Option<i64>,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Default, Serialize)]
pub(super) struct Record {
    pub(super) data: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) binary: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cas: Option<i64>,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.data
            .values_mut()
            .chain(self.binary.values_mut())
            .for_each(String::zeroize);
    }
}

/// The answer to a write.
#[derive(Deserialize)]
pub(super) struct Written {
    pub(super) version: i64,
}

pub(super) async fn run(args: PutArgs) -> Result<(), Failure> {
    let mut record = Record::default();
    record.cas = args.cas;
    for argument in &args.values {
        add(&mut record, argument)?;
    }
    // Texts and numbers always serialise.
    let body = Zeroizing::new(serde_json::to_vec(&record).unwrap_or_default());
    let answer = args
        .session
        .connect()?
        .send(Method::PUT, &format!("records/{}", args.path), &[], Some(body))
        .await?;
    let written: Written = parse(&answer)?;
    println!("{}  version {}", args.path, written.version);
    Ok(())
}

/// Adds `KEY=VALUE` or `KEY=@FILE`.
pub(super) fn add(record: &mut Record, argument: &str) -> Result<(), Failure> {
    let (key, value) = argument
        .split_once('=')
        .ok_or_else(|| Failure::usage("each value is given as KEY=VALUE or KEY=@FILE"))?;
    if record.data.contains_key(key) || record.binary.contains_key(key) {
        return Err(Failure::usage(format!("key '{key}' is given twice")));
    }
    let Some(file) = value.strip_prefix('@') else {
        record.data.insert(key.to_owned(), value.to_owned());
        return Ok(());
    };
    if file.starts_with('@') {
        record.data.insert(key.to_owned(), file.to_owned());
        return Ok(());
    }
    let bytes = read_bytes(Path::new(file), MAX_RECORD_BYTES as u64)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => record.data.insert(key.to_owned(), text.to_owned()),
        Err(_) => record.binary.insert(
            key.to_owned(),
            base64::engine::general_purpose::STANDARD.encode(&*bytes),
        ),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_from_arguments_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let (text, binary) = (folder.path().join("text"), folder.path().join("binary"));
        std::fs::write(&text, "two\nlines\n").unwrap();
        std::fs::write(&binary, [0xff, 0x00]).unwrap();
        let mut record = Record::default();
        for argument in [
            "a=x=y",
            "b=@@x",
            &format!("c=@{}", text.display()),
            &format!("d=@{}", binary.display()),
            "e=",
        ] {
            add(&mut record, argument).unwrap();
        }
        let expected =
            serde_json::json!({"data": {"a": "x=y", "b": "@x", "c": "two\nlines\n", "e": ""}, "binary": {"d": "/wA="}});
        assert_eq!(serde_json::to_value(&record).unwrap(), expected);
        assert_eq!(
            add(&mut record, "a=again").unwrap_err().message,
            "key 'a' is given twice"
        );
        assert_eq!(add(&mut record, "novalue").unwrap_err().code, 2);
    }
}
