//! How to reach Postgres: a URL with a password in it, so it is a secret, and it must name its transport.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A Postgres connection URL. `Debug`, `Display` and `Serialize` mask the password.
#[derive(Clone)]
pub struct Dsn {
    text: SecretString,
    masked: String,
}

/// Why a text is not usable as a connection URL. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// Not a URL of the Postgres scheme.
    #[error(
        "not a Postgres URL; write postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full, with special characters in the password percent-encoded"
    )]
    NotPostgres,
    /// No host: what is used then depends on the environment.
    #[error("the URL names no host; add one, or ?host=/var/run/postgresql for a Unix socket")]
    NoHost,
    /// No database: Postgres would take the user's name.
    #[error("the URL names no database; end it with /DATABASE")]
    NoDatabase,
    /// Off loopback without a verified server certificate.
    #[error(
        "the database is not on this machine, so its certificate must be verified: add ?sslmode=verify-full (and &sslrootcert=FILE for a private CA)"
    )]
    Unverified,
}

impl Dsn {
    /// Reads a connection URL and checks its transport: off loopback and Unix sockets, `sslmode` must be `verify-full`.
    ///
    /// # Errors
    /// [`DsnError`] with what to change.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        let text = text.trim();
        let mut url = Url::parse(text).map_err(|_| DsnError::NotPostgres)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(DsnError::NotPostgres);
        }
        let mut hosts: Vec<String> = url
            .host_str()
            .filter(|host| !host.is_empty())
            .map(decode)
            .into_iter()
            .collect();
        let mut sslmode = None;
        let mut database = !url.path().trim_matches('/').is_empty();
        for (key, value) in url.query_pairs() {
            match &*key {
                "host" | "hostaddr" => hosts.push(value.into_owned()),
                "sslmode" | "ssl-mode" => sslmode = Some(value.into_owned()),
                "dbname" => database = true,
                _ => {}
            }
        }
        if hosts.is_empty() {
            return Err(DsnError::NoHost);
        }
        if !database {
            return Err(DsnError::NoDatabase);
        }
        if !hosts.iter().all(|host| is_local(host)) && sslmode.as_deref() != Some("verify-full") {
            return Err(DsnError::Unverified);
        }
        if url.password().is_some() && url.set_password(Some("********")).is_err() {
            return Err(DsnError::NotPostgres);
        }
        if url.query_pairs().any(|(key, _)| key == "password") {
            let kept: Vec<_> = url
                .query_pairs()
                .filter(|(key, _)| key != "password")
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect();
            url.query_pairs_mut()
                .clear()
                .extend_pairs(kept)
                .append_pair("password", "********");
        }
        Ok(Self {
            text: SecretString::from(text),
            masked: url.into(),
        })
    }

    /// The URL with its password, for the connection alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The user that it logs in as, if it names one.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        Url::parse(&self.masked)
            .ok()
            .map(|url| decode(url.username()))
            .filter(|user| !user.is_empty())
    }
}

impl PartialEq for Dsn {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dsn({})", self.masked)
    }
}

impl JsonSchema for Dsn {
    fn schema_name() -> Cow<'static, str> {
        "Dsn".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "URL"})
    }
}

impl Serialize for Dsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked)
    }
}

impl<'de> Deserialize<'de> for Dsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer).map_err(|_| de::Error::custom(DsnError::NotPostgres))?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/') || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Undoes percent-encoding: a socket folder may stand in the place of the host.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = text
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(escape.unwrap_or(byte));
        at += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_this_machine_the_certificate_is_verified() {
        for (text, outcome) in [
            ("postgres://av:x@127.0.0.1:5432/av", Ok(())),
            ("postgres://av:x@localhost/av", Ok(())),
            ("postgres://av:x@[::1]/av", Ok(())),
            ("postgres:///av?host=/var/run/postgresql&user=av", Ok(())),
            ("postgres://av@%2Fvar%2Frun%2Fpostgresql/av", Ok(())),
            ("postgresql://av:x@db.example/av?sslmode=verify-full", Ok(())),
            ("postgres://av:x@db.example/av", Err(DsnError::Unverified)),
            (
                "postgres://av:x@db.example/av?sslmode=require",
                Err(DsnError::Unverified),
            ),
            (
                "postgres://av:x@db.example/av?sslmode=verify-full&sslmode=prefer",
                Err(DsnError::Unverified),
            ),
            (
                "postgres://av:x@localhost/av?host=db.example",
                Err(DsnError::Unverified),
            ),
            ("postgres:///av", Err(DsnError::NoHost)),
            ("postgres://av:x@localhost", Err(DsnError::NoDatabase)),
            ("mysql://av:x@localhost/av", Err(DsnError::NotPostgres)),
            ("hunter2", Err(DsnError::NotPostgres)),
        ] {
            assert_eq!(Dsn::parse(text).map(|_| ()), outcome, "{text}");
        }
    }

    #[test]
    fn r24_the_password_is_masked_wherever_it_stands() {
        for text in [
            "postgres://av:hunter2@localhost/av",
            "postgres://av@localhost/av?password=hunter2&application_name=x",
        ] {
            let dsn = Dsn::parse(text).unwrap();
            let shown = format!("{dsn} {dsn:?} {}", serde_json::to_string(&dsn).unwrap());
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains("localhost/av"), "{shown}");
            assert!(dsn.expose().contains("hunter2"));
        }
    }

    #[test]
    fn the_user_is_decoded() {
        assert_eq!(
            Dsn::parse("postgres://a%40b:x@localhost/av").unwrap().user().as_deref(),
            Some("a@b")
        );
        assert_eq!(Dsn::parse("postgres://localhost/av").unwrap().user(), None);
    }
}
