//! What `login` keeps of a session: the access token in the file that was named, and beside it, in `FILE.session`, what the session goes on by.
//! Both are readable for their owner alone.

use std::fs::File;
use std::path::{Path, PathBuf};

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::files::{read_bytes, read_secret, write_secret};

/// Bytes of the file at most.
const LIMIT: u64 = 16 << 10;

/// The files of a session at a server.
pub(super) struct SessionFile {
    token_file: PathBuf,
    address: Url,
}

/// The tokens of a session, as the server answers them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tokens<'a> {
    pub(super) token: &'a str,
    pub(super) expires_at: &'a str,
    /// A workload has none: it logs in again.
    pub(super) refresh_token: Option<&'a str>,
    pub(super) session_ends_at: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept<'a> {
    /// The server that the refresh token is for; it is sent nowhere else.
    address: &'a str,
    refresh_token: &'a str,
}

impl SessionFile {
    pub(super) fn new(token_file: &Path, address: &Url) -> Self {
        Self {
            token_file: token_file.to_owned(),
            address: address.clone(),
        }
    }

    /// The access token.
    pub(super) fn token(&self) -> Result<SecretString, Failure> {
        read_secret(&self.token_file)
    }

    /// The refresh token, if the session has one for this server.
    pub(super) fn refresh_token(&self) -> Result<Option<SecretString>, Failure> {
        let file = self.beside("session");
        if !file.exists() {
            return Ok(None);
        }
        let bytes = read_bytes(&file, LIMIT)?;
        let kept: Kept<'_> = serde_json::from_slice(&bytes)
            .map_err(|_| Failure::usage(format!("{} is not understood; log in again", file.display())))?;
        if kept.address != self.address.as_str() {
            return Ok(None);
        }
        Ok(Some(SecretString::from(kept.refresh_token)))
    }

    /// Keeps the tokens of a session. The refresh token first: with it, a token that was lost is got again.
    pub(super) fn keep(&self, tokens: &Tokens<'_>) -> Result<(), Failure> {
        let file = self.beside("session");
        match tokens.refresh_token {
            Some(refresh_token) => {
                let kept = Kept {
                    address: self.address.as_str(),
                    refresh_token,
                };
                // Texts always serialise.
                let text = Zeroizing::new(serde_json::to_string(&kept).unwrap_or_default());
                write_secret(&file, &text)?;
            }
            None => remove(&file)?,
        }
        write_secret(&self.token_file, tokens.token)
    }

    /// Removes both files.
    pub(super) fn forget(&self) -> Result<(), Failure> {
        remove(&self.beside("session"))?;
        remove(&self.beside("lock"))?;
        remove(&self.token_file)
    }

    /// Keeps other commands with the same files from refreshing at the same time, until it is dropped.
    pub(super) fn lock(&self) -> Result<File, Failure> {
        let path = self.beside("lock");
        let failed = |error: std::io::Error| Failure::new(format!("cannot lock {}: {error}", path.display()));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// Whether the access token is still this one.
    pub(super) fn still_holds(&self, token: &SecretString) -> Result<bool, Failure> {
        Ok(self.token()?.expose_secret() == token.expose_secret())
    }

    fn beside(&self, what: &str) -> PathBuf {
        let mut path = self.token_file.as_os_str().to_owned();
        path.push(".");
        path.push(what);
        path.into()
    }
}

fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn tokens<'a>(token: &'a str, refresh_token: Option<&'a str>) -> Tokens<'a> {
        Tokens {
            token,
            expires_at: "",
            refresh_token,
            session_ends_at: None,
        }
    }

    #[test]
    fn r13_a_refresh_token_is_for_its_server_alone_and_readable_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (
            "https://vault.example/".parse().unwrap(),
            "https://other.example/".parse().unwrap(),
        );
        let file = folder.path().join("token");
        let session = SessionFile::new(&file, &here);
        assert!(session.refresh_token().unwrap().is_none());
        session.keep(&tokens("access", Some("avr_x"))).unwrap();
        assert_eq!(session.token().unwrap().expose_secret(), "access");
        assert_eq!(session.refresh_token().unwrap().unwrap().expose_secret(), "avr_x");
        assert!(SessionFile::new(&file, &there).refresh_token().unwrap().is_none());
        for name in ["token", "token.session"] {
            let mode = std::fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        drop(session.lock().unwrap());
        session.forget().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        session.forget().unwrap();
    }

    #[test]
    fn a_session_that_does_not_go_on_leaves_no_refresh_token_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let address = "https://vault.example/".parse().unwrap();
        let session = SessionFile::new(&folder.path().join("token"), &address);
        session.keep(&tokens("a person's", Some("avr_x"))).unwrap();
        session.keep(&tokens("a workload's", None)).unwrap();
        assert!(session.refresh_token().unwrap().is_none());
    }
}
