//! `login`: from a name and a password to a token file.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::client::{ServerArgs, parse};
use super::failure::Failure;
use super::files::{read_secret, write_secret};

/// Passwords are read from files or standard input, never from arguments, which others can see.
#[derive(Args)]
pub(super) struct LoginArgs {
    /// User name
    #[arg(long, value_name = "NAME")]
    username: String,
    /// File with the password, or - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// File with a new password, to replace a one-time password
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
    /// Where the access token is written, readable for you alone
    #[arg(long, value_name = "FILE", env = "AETHER_VAULT_TOKEN_FILE")]
    token_file: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credentials<'a> {
    username: &'a str,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_password: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    token: &'a str,
    expires_at: &'a str,
}

pub(super) async fn run(args: LoginArgs) -> Result<(), Failure> {
    let client = args.server.connect()?;
    let password = read_secret(&args.password_file)?;
    let new_password = args.new_password_file.as_deref().map(read_secret).transpose()?;
    let credentials = Credentials {
        username: &args.username,
        password: password.expose_secret(),
        new_password: new_password.as_ref().map(SecretString::expose_secret),
    };
    // Texts always serialise.
    let body = Zeroizing::new(serde_json::to_vec(&credentials).unwrap_or_default());
    let answer = client.send(Method::POST, "auth/login", &[], Some(body)).await?;
    let token: Token<'_> = parse(&answer)?;
    write_secret(&args.token_file, token.token)?;
    println!(
        "Logged in as {} until {}; the token is in {}",
        args.username,
        token.expires_at,
        args.token_file.display()
    );
    Ok(())
}
