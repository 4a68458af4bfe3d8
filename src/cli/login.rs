//! `login`: from a name and a password, or from a service account token, to a token file.

use std::path::{Path, PathBuf};

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
    #[arg(
        long,
        value_name = "NAME",
        requires = "password_file",
        required_unless_present = "kubernetes_token_file"
    )]
    username: Option<String>,
    /// File with the password, or - for standard input
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// File with a new password, to replace a one-time password
    #[arg(long, value_name = "FILE", requires = "username")]
    new_password_file: Option<PathBuf>,
    /// File with a service account token, as Kubernetes projects it into a pod: log in as a workload
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    kubernetes_token_file: Option<PathBuf>,
    /// Prefix of the workload's cluster, if it is not the vault's own
    #[arg(long, value_name = "PREFIX", requires = "kubernetes_token_file")]
    cluster: Option<String>,
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

#[derive(Serialize)]
struct ServiceAccount<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    token: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    token: &'a str,
    expires_at: &'a str,
}

pub(super) async fn run(args: LoginArgs) -> Result<(), Failure> {
    let client = args.server.connect()?;
    let (endpoint, who, body) = match &args.kubernetes_token_file {
        Some(file) => ("auth/kubernetes", "this workload", service_account(&args, file)?),
        None => {
            let name = args.username.as_deref().unwrap_or_default();
            ("auth/login", name, credentials(&args, name)?)
        }
    };
    let answer = client.send(Method::POST, endpoint, &[], Some(body)).await?;
    let token: Token<'_> = parse(&answer)?;
    write_secret(&args.token_file, token.token)?;
    println!(
        "Logged in as {who} until {}; the token is in {}",
        token.expires_at,
        args.token_file.display()
    );
    Ok(())
}

fn credentials(args: &LoginArgs, username: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let file = args
        .password_file
        .as_deref()
        .ok_or_else(|| Failure::usage("give --password-file FILE, or - for standard input"))?;
    let password = read_secret(file)?;
    let new_password = args.new_password_file.as_deref().map(read_secret).transpose()?;
    let credentials = Credentials {
        username,
        password: password.expose_secret(),
        new_password: new_password.as_ref().map(SecretString::expose_secret),
    };
    // Texts always serialise.
    Ok(Zeroizing::new(serde_json::to_vec(&credentials).unwrap_or_default()))
}

fn service_account(args: &LoginArgs, file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let token = read_secret(file)?;
    let form = ServiceAccount {
        cluster: args.cluster.as_deref(),
        token: token.expose_secret(),
    };
    Ok(Zeroizing::new(serde_json::to_vec(&form).unwrap_or_default()))
}
