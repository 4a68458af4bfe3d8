//! The second factor on the command line: given with `--code`, or asked for on the terminal.

use std::io::{BufRead as _, BufReader, Write as _};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::failure::Failure;

/// Where people sit, also when standard input is a file.
const TERMINAL: &str = "/dev/tty";
const CODE_DIGITS: usize = 6;

/// A second factor as the API takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Factor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) challenge: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_code: Option<&'a str>,
}

impl<'a> Factor<'a> {
    /// Six digits are a code of an authenticator, anything else is a recovery code; whether it is one is for the server to say.
    pub(super) fn new(challenge: Option<&'a str>, text: &'a SecretString) -> Self {
        let text = text.expose_secret().trim();
        let is_code = text.len() == CODE_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        Self {
            challenge,
            code: is_code.then_some(text),
            recovery_code: (!is_code).then_some(text),
        }
    }

    /// As it is sent.
    pub(super) fn body(&self) -> Zeroizing<Vec<u8>> {
        // Texts always serialise.
        Zeroizing::new(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The code that was given, or one that is asked for on the terminal.
pub(super) fn given_or_asked(given: Option<&str>) -> Result<SecretString, Failure> {
    match given {
        Some(code) => Ok(SecretString::from(code)),
        None => ask("Code of the authenticator, or a recovery code: "),
    }
}

/// Shows something on the terminal and reads a line from it.
pub(super) fn ask(question: &str) -> Result<SecretString, Failure> {
    let nobody = |_| {
        Failure::usage(
            "a second factor is needed, and there is no terminal to ask for one: give --code CODE, or log in on a terminal",
        )
    };
    let mut terminal = std::fs::File::options()
        .read(true)
        .write(true)
        .open(TERMINAL)
        .map_err(nobody)?;
    terminal
        .write_all(question.as_bytes())
        .and_then(|()| terminal.flush())
        .map_err(nobody)?;
    let mut line = Zeroizing::new(String::with_capacity(256));
    BufReader::new(terminal).read_line(&mut line).map_err(nobody)?;
    let text = line.trim();
    if text.is_empty() {
        return Err(Failure::usage("no code was given"));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_a_code_and_anything_else_a_recovery_code() {
        let body = |text: &str| {
            let text = SecretString::from(text);
            String::from_utf8(Factor::new(Some("avc_x"), &text).body().to_vec()).unwrap()
        };
        assert_eq!(body(" 012345 "), r#"{"challenge":"avc_x","code":"012345"}"#);
        assert_eq!(
            body("0abc-d1fg-hjkm-npqr"),
            r#"{"challenge":"avc_x","recoveryCode":"0abc-d1fg-hjkm-npqr"}"#
        );
    }
}
