//! `login --sso`: a browser logs in at a provider and comes back to this command, on this machine.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::client::Client;
use super::failure::Failure;
use crate::app;

/// How long a person may take to log in.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a browser may take to send its request, and bytes of it.
const REQUEST_TIME: Duration = Duration::from_secs(5);
const REQUEST_BYTES: usize = 16 << 10;
/// Where the browser comes back to.
const PATH: &str = "/done";

#[derive(Serialize)]
struct Exchange<'a> {
    code: &'a str,
    verifier: &'a str,
}

/// Goes through a login at `provider`; answers what the server said.
pub(super) async fn log_in(client: &Client, provider: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (verifier, challenge) = app::login_proof();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(|error| Failure::new(format!("cannot listen on 127.0.0.1: {error}")))?;
    let port = listener
        .local_addr()
        .map_err(|error| Failure::new(error.to_string()))?
        .port();
    let redirect = format!("http://127.0.0.1:{port}{PATH}");
    let endpoint = format!("auth/sso/{provider}/start");
    let start = client.url(&endpoint, &[("redirect", &redirect), ("codeChallenge", &challenge)]);
    eprintln!("Open this address in a browser on this machine, and log in there:\n  {start}");
    let code = tokio::time::timeout(PATIENCE, come_back(&listener)).await;
    let code = code.map_err(|_| Failure::new("nobody logged in within ten minutes; begin anew"))??;
    let exchange = Exchange {
        code: code.expose_secret(),
        verifier: verifier.expose_secret(),
    };
    // Texts always serialise.
    let body = Zeroizing::new(serde_json::to_vec(&exchange).unwrap_or_default());
    client.send(Method::POST, "auth/sso/exchange", &[], Some(body)).await
}

/// Waits for the browser.
async fn come_back(listener: &TcpListener) -> Result<SecretString, Failure> {
    loop {
        let accepted = listener.accept().await;
        let (stream, _) = accepted.map_err(|error| Failure::new(format!("cannot wait for the browser: {error}")))?;
        // Whatever else asks on this port is no business of ours.
        if let Some(outcome) = stream.into_std().ok().and_then(answer) {
            return outcome;
        }
    }
}

/// Answers one request; `None` if it is not the browser's that comes back.
fn answer(mut stream: TcpStream) -> Option<Result<SecretString, Failure>> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(REQUEST_TIME)).ok()?;
    let mut head = Zeroizing::new(vec![0; REQUEST_BYTES]);
    let mut read = 0;
    while !head[..read].windows(2).any(|two| two == b"\r\n") {
        match stream.read(&mut head[read..]) {
            Ok(more @ 1..) => read += more,
            _ => return None,
        }
    }
    let outcome = outcome_of(std::str::from_utf8(&head[..read]).ok()?);
    let (status, text) = match &outcome {
        Some(Ok(_)) => (
            "200 OK",
            "You are logged in. Go back to the terminal; this page can be closed.",
        ),
        Some(Err(_)) => (
            "200 OK",
            "The login came to nothing. The terminal says why; this page can be closed.",
        ),
        None => ("404 Not Found", "There is nothing here."),
    };
    let page = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    // A browser that does not wait for the page has brought the code all the same.
    let _ = stream.write_all(page.as_bytes());
    outcome
}

/// What a request line brings: `GET /done?code=… HTTP/1.1`.
fn outcome_of(head: &str) -> Option<Result<SecretString, Failure>> {
    let target = head.lines().next()?.strip_prefix("GET ")?.split(' ').next()?;
    let url = Url::parse("http://127.0.0.1/").ok()?.join(target).ok()?;
    if url.path() != PATH {
        return None;
    }
    let parameter = |name: &str| {
        url.query_pairs()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    };
    if let Some(code) = parameter("code") {
        return Some(Ok(SecretString::from(code)));
    }
    let reason = parameter("error")?;
    let formed = reason.len() <= 40 && reason.bytes().all(|b| b.is_ascii_alphabetic());
    let reason = if formed { reason.as_str() } else { "an unknown reason" };
    let message = match reason {
        "ProviderUnavailable" => {
            "the provider cannot be used at the moment (ProviderUnavailable); try again shortly".to_owned()
        }
        _ => format!("the provider did not confirm the login ({reason}); the server's log has the cause"),
    };
    Some(Err(Failure::not_allowed(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_brings_a_code_or_a_reason() {
        let code = outcome_of("GET /done?code=avsc_x&more=1 HTTP/1.1\r\nHost: x")
            .unwrap()
            .unwrap();
        assert_eq!(code.expose_secret(), "avsc_x");
        let refused = outcome_of("GET /done?error=ProviderRefused HTTP/1.1\r\n")
            .unwrap()
            .unwrap_err();
        assert!(refused.message.contains("ProviderRefused") && refused.code == 3);
        let forged = outcome_of("GET /done?error=%1b[31m HTTP/1.1\r\n").unwrap().unwrap_err();
        assert!(!forged.message.contains('\u{1b}'));
        for other in [
            "GET /favicon.ico HTTP/1.1",
            "POST /done?code=x HTTP/1.1",
            "GET /done HTTP/1.1",
            "",
            "GET",
        ] {
            assert!(outcome_of(other).is_none(), "{other}");
        }
    }
}
