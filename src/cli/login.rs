//! `login`: from a name and a password, or from a service account token, to a token file.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::client::{Client, ServerArgs, parse};
use super::failure::Failure;
use super::files::read_secret;
use super::second_factor::{Factor, ask, given_or_asked};
use super::session_file::{SessionFile, Tokens};
use super::{login_device, login_sso};

/// Passwords are read from files or standard input, never from arguments, which others can see.
#[derive(Args)]
pub(super) struct LoginArgs {
    /// User name
    #[arg(
        long,
        value_name = "NAME",
        requires = "password_file",
        required_unless_present_any = ["kubernetes_token_file", "sso", "device"]
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
    /// Code of the authenticator, or a recovery code, for an account with a second factor; asked for on the terminal if absent
    #[arg(long, value_name = "CODE", conflicts_with = "kubernetes_token_file")]
    code: Option<String>,
    /// Prefix of the workload's cluster, if it is not the vault's own
    #[arg(long, value_name = "PREFIX", requires = "kubernetes_token_file")]
    cluster: Option<String>,
    /// Log in at a provider of single sign-on, with a browser on this machine
    #[arg(long, value_name = "PROVIDER", conflicts_with_all = ["username", "kubernetes_token_file"])]
    sso: Option<String>,
    /// Have somebody who is logged in elsewhere let this machine in
    #[arg(long, conflicts_with_all = ["username", "kubernetes_token_file", "sso"])]
    device: bool,
    /// Where the access token is written, readable for you alone; what the session goes on by is kept in FILE.session beside it
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

/// What a login answers that waits for its second factor.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Challenge<'a> {
    challenge: &'a str,
    enrolment_required: bool,
}

#[derive(Serialize)]
struct ChallengeForm<'a> {
    challenge: &'a str,
}

#[derive(Deserialize)]
struct Enrolment<'a> {
    secret: &'a str,
    uri: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Completed<'a> {
    #[serde(borrow, default)]
    recovery_codes: Vec<&'a str>,
}

pub(super) async fn run(args: LoginArgs) -> Result<(), Failure> {
    let client = args.server.connect()?;
    let (who, mut answer) = match (&args.kubernetes_token_file, &args.sso) {
        (Some(file), _) => {
            let body = service_account(&args, file)?;
            let answer = client.send(Method::POST, "auth/kubernetes", &[], Some(body)).await?;
            ("this workload".to_owned(), answer)
        }
        (None, Some(provider)) => {
            let answer = login_sso::log_in(&client, provider).await?;
            (format!("whom '{provider}' says you are"), answer)
        }
        (None, None) if args.device => (
            "the person who let this device in".to_owned(),
            login_device::log_in(&client).await?,
        ),
        (None, None) => {
            let name = args.username.as_deref().unwrap_or_default();
            let body = credentials(&args, name)?;
            let answer = client.send(Method::POST, "auth/login", &[], Some(body)).await?;
            (name.to_owned(), answer)
        }
    };
    if let Ok(challenge) = parse::<Challenge<'_>>(&answer) {
        let completed = second_factor(&client, &args, &challenge).await?;
        answer = completed;
    }
    let tokens: Tokens<'_> = parse(&answer)?;
    SessionFile::new(&args.token_file, client.address()).keep(&tokens)?;
    let until = tokens.session_ends_at.unwrap_or(tokens.expires_at);
    println!(
        "Logged in as {who} until {until}; the token is in {}",
        args.token_file.display()
    );
    let completed: Completed<'_> = parse(&answer)?;
    if !completed.recovery_codes.is_empty() {
        println!("Recovery codes, each good once, shown this once; keep them where the authenticator is not:");
        for code in completed.recovery_codes {
            println!("  {code}");
        }
    }
    Ok(())
}

/// Completes a login with its second factor; enrols one first where the account must have one.
async fn second_factor(
    client: &Client,
    args: &LoginArgs,
    challenge: &Challenge<'_>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let code = if challenge.enrolment_required {
        let form = ChallengeForm {
            challenge: challenge.challenge,
        };
        // Texts always serialise.
        let body = Zeroizing::new(serde_json::to_vec(&form).unwrap_or_default());
        let answer = client
            .send(Method::POST, "auth/second-factor/enrol", &[], Some(body))
            .await?;
        let enrolment: Enrolment<'_> = parse(&answer)?;
        let question = Zeroizing::new(format!(
            "The account needs a second factor. Set up an authenticator with this secret:\n  {}\nor with this address:\n  {}\nCode that it shows: ",
            enrolment.secret, enrolment.uri
        ));
        ask(&question)?
    } else {
        given_or_asked(args.code.as_deref())?
    };
    let body = Factor::new(Some(challenge.challenge), &code).body();
    client.send(Method::POST, "auth/second-factor", &[], Some(body)).await
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
