//! Versions in URLs, headers and bodies.

use axum::http::HeaderValue;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::domain::record::Version;

/// Versions named at a time at most: no record keeps more.
const MAX_LIST: usize = 1000;

/// `?version=7`.
#[derive(Clone, Copy)]
pub(super) struct WantedVersion(pub(super) Version);

impl<'de> Deserialize<'de> for WantedVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        Version::new(number).map(Self).map_err(de::Error::custom)
    }
}

/// `?versions=1,2`.
pub(super) struct VersionList(pub(super) Vec<Version>);

impl<'de> Deserialize<'de> for VersionList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let versions: Option<Vec<_>> = text.split(',').map(parse).collect();
        match versions {
            Some(versions) if versions.len() <= MAX_LIST => Ok(Self(versions)),
            _ => Err(de::Error::custom("not a list of versions")),
        }
    }
}

/// `"versions": [1, 2]`: at least one.
pub(super) struct Versions(pub(super) Vec<Version>);

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let versions = Vec::<Version>::deserialize(deserializer)?;
        if (1..=MAX_LIST).contains(&versions.len()) {
            Ok(Self(versions))
        } else {
            Err(de::Error::custom("too few or too many versions"))
        }
    }
}

/// The entity tag of a version: its number.
pub(super) fn etag(version: Version) -> HeaderValue {
    // Digits in quotes are a valid header.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Reads back what [`etag`] made; weak tags and lists are none.
pub(super) fn from_etag(value: &HeaderValue) -> Option<Version> {
    parse(value.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?)
}

fn parse(text: &str) -> Option<Version> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Version::new(text.parse().ok()?).ok()
}
impl JsonSchema for WantedVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WantedVersion".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1})
    }
}

impl JsonSchema for VersionList {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VersionList".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[1-9][0-9]*(,[1-9][0-9]*)*$"})
    }
}

impl JsonSchema for Versions {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Versions".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": MAX_LIST})
    }
}
