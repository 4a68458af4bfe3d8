//! `login --device`: a person who is logged in elsewhere lets this command in (RFC 8628).

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::client::{Client, parse};
use super::failure::Failure;

/// What being told to slow down adds to the interval (RFC 8628, section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grant<'a> {
    device_code: &'a str,
    user_code: &'a str,
    verification_uri: Option<&'a str>,
    expires_at: &'a str,
    interval: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    device_code: &'a str,
}

/// Asks to be let in and waits for the decision; answers what the server said.
pub(super) async fn log_in(client: &Client) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let answer = client.send(Method::POST, "auth/device", &[], None).await?;
    let grant: Grant<'_> = parse(&answer)?;
    eprintln!(
        "Where you are logged in, run (until {}):\n  aether-vault devices approve {}",
        grant.expires_at, grant.user_code
    );
    if let Some(page) = grant.verification_uri {
        eprintln!("More on it: {page}");
    }
    let question = Question {
        device_code: grant.device_code,
    };
    // A text always serialises.
    let question = Zeroizing::new(serde_json::to_vec(&question).unwrap_or_default());
    let mut interval = Duration::from_secs(grant.interval.clamp(1, 60));
    loop {
        tokio::time::sleep(interval).await;
        let asked = client.ask(Method::POST, "auth/device/token", question.clone()).await?;
        match asked {
            Err(refusal) if refusal.reason == "AuthorizationPending" => {}
            Err(refusal) if refusal.reason == "SlowDown" => interval += SLOW_DOWN,
            decided => return decided.map_err(|refusal| refusal.failure),
        }
    }
}
