//! Versions of a record and check-and-set, with the semantics of Vault's KV version 2.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A version number: 1 for a record's first write, then one more for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "i64", inline)]
#[serde(try_from = "i64", into = "i64")]
pub struct Version(i64);

/// A version number below one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version is a whole number from 1")]
pub struct BadVersion;

impl Version {
    /// The version of a record's first write.
    pub const FIRST: Self = Self(1);

    /// Checks a number from outside.
    ///
    /// # Errors
    /// [`BadVersion`] below one.
    pub fn new(number: i64) -> Result<Self, BadVersion> {
        if number < 1 { Err(BadVersion) } else { Ok(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// The version that the next write makes.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl TryFrom<i64> for Version {
    type Error = BadVersion;
    fn try_from(number: i64) -> Result<Self, BadVersion> {
        Self::new(number)
    }
}

impl From<Version> for i64 {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a version holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VersionState {
    /// Values can be read.
    Live,
    /// Soft-deleted: hidden, and can be brought back.
    Deleted,
    /// Its ciphertext is gone.
    Destroyed,
}

impl VersionState {
    /// As stored and as shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Deleted, Self::Destroyed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What a write expects to find (check-and-set).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there.
    Any,
    /// No version at all: `cas` 0.
    Absent,
    /// Exactly this version, deleted or not: `cas` n.
    Current(Version),
}

/// The write expected something else than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExpectError {
    /// `cas` 0, and the record exists.
    #[error("the record exists at version {0}; read it and write with that version as 'cas'")]
    Exists(Version),
    /// `cas` n, and the record does not exist.
    #[error("the record does not exist; write with 'cas' 0 to make it")]
    Missing,
    /// `cas` n, and the record is at another version.
    #[error("the record is at version {0}; read it and write with that version as 'cas'")]
    Moved(Version),
}

impl Expect {
    /// Reads `cas` from outside: absent is [`Expect::Any`], 0 is [`Expect::Absent`].
    ///
    /// # Errors
    /// [`BadVersion`] below zero.
    pub fn from_cas(cas: Option<i64>) -> Result<Self, BadVersion> {
        match cas {
            None => Ok(Self::Any),
            Some(0) => Ok(Self::Absent),
            Some(number) => Version::new(number).map(Self::Current),
        }
    }

    /// Decides whether a write may follow `current`, and which version it makes.
    ///
    /// # Errors
    /// [`ExpectError`] with the version to read first.
    pub fn next(self, current: Option<Version>) -> Result<Version, ExpectError> {
        match (self, current) {
            (Self::Absent, Some(current)) => Err(ExpectError::Exists(current)),
            (Self::Current(_), None) => Err(ExpectError::Missing),
            (Self::Current(expected), Some(current)) if expected != current => Err(ExpectError::Moved(current)),
            (_, None) => Ok(Version::FIRST),
            (_, Some(current)) => Ok(current.next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(number: i64) -> Version {
        Version::new(number).unwrap()
    }

    #[test]
    fn check_and_set_follows_kv_version_2() {
        for (cas, current, outcome) in [
            (None, None, Ok(1)),
            (None, Some(4), Ok(5)),
            (Some(0), None, Ok(1)),
            (Some(0), Some(4), Err(ExpectError::Exists(v(4)))),
            (Some(4), Some(4), Ok(5)),
            (Some(3), Some(4), Err(ExpectError::Moved(v(4)))),
            (Some(5), Some(4), Err(ExpectError::Moved(v(4)))),
            (Some(1), None, Err(ExpectError::Missing)),
        ] {
            let got = Expect::from_cas(cas).unwrap().next(current.map(v));
            assert_eq!(got, outcome.map(v), "cas {cas:?} over {current:?}");
        }
    }

    #[test]
    fn r23_numbers_below_range_are_refused() {
        assert_eq!(Expect::from_cas(Some(-1)), Err(BadVersion));
        assert_eq!(Version::new(0), Err(BadVersion));
        assert_eq!(Version::new(i64::MIN), Err(BadVersion));
        assert_eq!(v(i64::MAX).next().number(), i64::MAX);
    }
}
