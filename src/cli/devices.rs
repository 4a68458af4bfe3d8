//! `devices`: what a code would let in, yes, and no.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::client::{SessionArgs, parse};
use super::failure::Failure;
use crate::domain::device::UserCode;

#[derive(Subcommand)]
pub(super) enum DevicesCommand {
    /// Show the device that waits with a code
    Show(CodeArgs),
    /// Let a device in: it gets a session of yours
    Approve(CodeArgs),
    /// Refuse a device
    Deny(CodeArgs),
}

#[derive(Args)]
pub(super) struct CodeArgs {
    /// The code that the device shows, such as WDJB-MJHT
    #[arg(value_name = "CODE", value_parser = code)]
    code: String,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    client: Option<String>,
    user_agent: Option<String>,
    asked_at: String,
    expires_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decision<'a> {
    user_code: &'a str,
}

pub(super) async fn run(command: DevicesCommand) -> Result<(), Failure> {
    match command {
        DevicesCommand::Show(args) => show(&args).await,
        DevicesCommand::Approve(args) => decide(&args, "approve", "Let in").await,
        DevicesCommand::Deny(args) => decide(&args, "deny", "Refused").await,
    }
}

async fn show(args: &CodeArgs) -> Result<(), Failure> {
    let client = args.session.connect()?;
    let answer = client
        .send(Method::GET, "me/devices", &[("userCode", &args.code)], None)
        .await?;
    let device: Device = parse(&answer)?;
    println!(
        "asked from   {}",
        device.client.as_deref().unwrap_or("an unknown address")
    );
    println!("calls itself {}", device.user_agent.as_deref().unwrap_or("nothing"));
    println!("asked at     {}", device.asked_at);
    println!("code ends    {}", device.expires_at);
    Ok(())
}

async fn decide(args: &CodeArgs, decision: &str, done: &str) -> Result<(), Failure> {
    let client = args.session.connect()?;
    let body = Decision { user_code: &args.code };
    // A text always serialises.
    let body = Zeroizing::new(serde_json::to_vec(&body).unwrap_or_default());
    let endpoint = format!("me/devices/{decision}");
    client.send(Method::POST, &endpoint, &[], Some(body)).await?;
    println!("{done}: {}", args.code);
    Ok(())
}

fn code(text: &str) -> Result<String, String> {
    let code = UserCode::parse(text).map_err(|error| error.to_string())?;
    Ok(code.shown())
}
