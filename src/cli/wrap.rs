//! `wrap` and `unwrap`: handing values over by a token that is good once.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::client::{SessionArgs, parse, record_path};
use super::failure::Failure;
use super::files::read_secret;
use super::get;
use crate::domain::path::RecordPath;
use crate::settings::HumanDuration;

/// Prints a token that gives the values of a record once.
#[derive(Args)]
pub(super) struct WrapArgs {
    /// Path of the record, such as shared/smtp
    #[arg(value_parser = record_path)]
    path: RecordPath,
    /// These keys alone, such as user,password
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    keys: Option<Vec<String>>,
    /// This version rather than the current one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    version: Option<i64>,
    /// For how long the token is good, at most 7d
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = HumanDuration::parse)]
    ttl: HumanDuration,
    #[command(flatten)]
    session: SessionArgs,
}

/// Uses a token up, and prints the keys behind it with their values masked.
#[derive(Args)]
pub(super) struct UnwrapArgs {
    /// File that holds the token; -: standard input
    #[arg(value_name = "FILE", default_value = "-")]
    token_in: PathBuf,
    /// This key only; with --show its value alone, byte for byte
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print values: they are not to be had again
    #[arg(long)]
    show: bool,
    /// Tell of the token without using it
    #[arg(long, conflicts_with_all = ["key", "show", "revoke"])]
    look_up: bool,
    /// Make the token worth nothing
    #[arg(long, conflicts_with_all = ["key", "show"])]
    revoke: bool,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wrapped<'a> {
    token: &'a str,
    expires_at: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info<'a> {
    path: &'a str,
    version: i64,
    expires_at: &'a str,
    used_at: Option<&'a str>,
}

#[derive(Deserialize)]
struct Path<'a> {
    path: &'a str,
}

pub(super) async fn wrap(args: WrapArgs) -> Result<(), Failure> {
    let mut body = json!({"ttlSeconds": args.ttl.get().as_secs()});
    if let Some(keys) = &args.keys {
        body["keys"] = json!(keys);
    }
    if let Some(version) = args.version {
        body["version"] = version.into();
    }
    let body = Zeroizing::new(body.to_string().into_bytes());
    let answer = args
        .session
        .connect()?
        .send(Method::POST, &format!("wrap/{}", args.path), &[], Some(body))
        .await?;
    let wrapped: Wrapped<'_> = parse(&answer)?;
    eprintln!("good once, until {}", wrapped.expires_at);
    println!("{}", wrapped.token);
    Ok(())
}

pub(super) async fn unwrap(args: UnwrapArgs) -> Result<(), Failure> {
    if !args.show && !args.look_up && !args.revoke {
        return Err(Failure::usage(
            "values come out once: give --show to print them, --look-up to see whether the token is still good",
        ));
    }
    let token = read_secret(&args.token_in)?;
    let body = Zeroizing::new(json!({"token": token.expose_secret()}).to_string().into_bytes());
    let endpoint = match (args.look_up, args.revoke) {
        (true, _) => "unwrap/lookup",
        (_, true) => "unwrap/revoke",
        _ => "unwrap",
    };
    let answer = args
        .session
        .connect()?
        .send(Method::POST, endpoint, &[], Some(body))
        .await?;
    if args.revoke {
        println!("revoked");
        return Ok(());
    }
    if args.look_up {
        let info: Info<'_> = parse(&answer)?;
        match info.used_at {
            None => println!(
                "{}  version {}, unused, good until {}",
                info.path, info.version, info.expires_at
            ),
            Some(at) => println!("{}  version {}, used or revoked at {at}", info.path, info.version),
        }
        return Ok(());
    }
    let path: Path<'_> = parse(&answer)?;
    get::show(path.path, parse(&answer)?, args.key.as_deref(), args.show, None)
}
