//! `logout`: ends the session and removes its files. `step-up`: shows a second factor again.

use clap::Args;
use reqwest::Method;

use super::client::SessionArgs;
use super::failure::{Failure, code};
use super::second_factor::{Factor, given_or_asked};

/// Ends the session at the server, and removes the token file and what stands beside it.
#[derive(Args)]
pub(super) struct LogoutArgs {
    #[command(flatten)]
    session: SessionArgs,
}

/// Shows a second factor again, for policies that want one shown lately.
#[derive(Args)]
pub(super) struct StepUpArgs {
    /// Code of the authenticator, or a recovery code; asked for on the terminal if absent
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    session: SessionArgs,
}

pub(super) async fn run(args: LogoutArgs) -> Result<(), Failure> {
    let client = args.session.connect()?;
    let ended = client.send(Method::POST, "auth/logout", &[], None).await;
    match ended {
        // What has ended already is ended.
        Err(failure) if failure.code != code::NOT_ALLOWED => return Err(failure),
        _ => {}
    }
    client.forget_session()?;
    println!("Logged out");
    Ok(())
}

pub(super) async fn step_up(args: StepUpArgs) -> Result<(), Failure> {
    let client = args.session.connect()?;
    let code = given_or_asked(args.code.as_deref())?;
    let body = Factor::new(None, &code).body();
    client.send(Method::POST, "auth/step-up", &[], Some(body)).await?;
    println!("The session has seen a second factor");
    Ok(())
}
