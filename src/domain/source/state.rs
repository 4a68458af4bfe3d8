//! What the vault remembers beside a record of what its source did. Holds no value; kept with the record, written in the same statement.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::record::KeyName;

/// What was done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceState {
    /// When the values were made or rotated last; the next rotation counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Timestamp>,
    /// The keys that hold previous values.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub previous: BTreeSet<KeyName>,
    /// When they are dropped; with the next rotation if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
    /// When the certificate of each generator is renewed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub renewals: BTreeMap<KeyName, Timestamp>,
    /// The wish for a rotation that was carried out last, as a keyed hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_now: Option<String>,
}

impl SourceState {
    /// Reads the stored form. What a newer release wrote beside it is ignored; what cannot be read at all is as if nothing were known.
    #[must_use]
    pub fn from_json(json: serde_json::Value) -> Self {
        serde_json::from_value(json).unwrap_or_default()
    }

    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // Times and texts always serialise.
        serde_json::to_value(self).unwrap_or_default()
    }
}
