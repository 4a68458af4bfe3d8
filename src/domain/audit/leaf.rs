//! A stored entry, and its leaf: the bytes that stand for it in a block.
//!
//! The encoding is canonical: a version, then every field in a fixed order, numbers in a fixed width and big-endian, texts and bytes behind
//! their length, what may be absent behind a 0 or 1. Two entries that differ in anything have different encodings. Golden vectors in
//! `tests/golden/audit.json` keep it as it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::merkle::{self, Hash};

/// The version that an encoding begins with.
const VERSION: u8 = 1;

/// An entry as it is stored, shown and exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredEntry {
    /// Its number; they rise, with gaps.
    pub id: i64,
    /// When it was written, by the database's clock.
    pub at: Timestamp,
    /// The request's id.
    pub request_id: Uuid,
    /// Kind of the actor.
    pub actor_kind: String,
    /// Id of the actor.
    pub actor_id: String,
    /// Name of the actor.
    pub actor_name: String,
    /// The door.
    pub door: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub resource: String,
    /// The record's version, if one was concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// `allow`, `deny` or `fail`.
    pub decision: String,
    /// Why it was refused or failed; empty if allowed.
    pub reason: String,
    /// The policy that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The rule within the policy, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<i32>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The client's name for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Uid of the resource that the controller acted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_uid: Option<String>,
    /// Its generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_generation: Option<i64>,
    /// How many events it stands for.
    pub count: i64,
}

impl StoredEntry {
    /// The canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder(Vec::with_capacity(256));
        out.0.push(VERSION);
        out.number(self.id);
        out.number(self.at.as_microsecond());
        out.bytes(self.request_id.as_bytes());
        for text in [
            &self.actor_kind,
            &self.actor_id,
            &self.actor_name,
            &self.door,
            &self.action,
            &self.resource,
        ] {
            out.bytes(text.as_bytes());
        }
        out.optional(self.version, Encoder::number);
        out.bytes(self.decision.as_bytes());
        out.bytes(self.reason.as_bytes());
        out.optional(self.policy.as_deref(), |out, text| out.bytes(text.as_bytes()));
        out.optional(self.rule, |out, rule| out.number(rule.into()));
        for text in [&self.client, &self.user_agent, &self.origin_uid] {
            out.optional(text.as_deref(), |out, text| out.bytes(text.as_bytes()));
        }
        out.optional(self.origin_generation, Encoder::number);
        out.number(self.count);
        out.0
    }

    /// The leaf hash.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        merkle::leaf(&self.encode())
    }

    /// The leaf that it would have under another number; and, if given, another time.
    #[must_use]
    pub fn leaf_as(&self, id: i64, at: Option<Timestamp>) -> Hash {
        let mut other = self.clone();
        other.id = id;
        other.at = at.unwrap_or(self.at);
        other.leaf()
    }
}

/// Writes the parts of an encoding.
pub(super) struct Encoder(pub(super) Vec<u8>);

impl Encoder {
    pub(super) fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An entry with something in every field.
    pub(in crate::domain::audit) fn entry(id: i64) -> StoredEntry {
        StoredEntry {
            id,
            at: Timestamp::from_microsecond(1_790_000_000_000_000 + id * 1000).unwrap(),
            request_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(id.unsigned_abs())),
            actor_kind: "user".into(),
            actor_id: "0190aaaa-0000-7000-8000-000000000001".into(),
            actor_name: "ann".into(),
            door: "rest".into(),
            action: "record.read".into(),
            resource: format!("shared/smtp-{id}"),
            version: Some(7),
            decision: "allow".into(),
            reason: String::new(),
            policy: Some("team-a".into()),
            rule: Some(2),
            client: Some("192.0.2.7".into()),
            user_agent: Some("curl/8".into()),
            origin_uid: Some("vs-1".into()),
            origin_generation: Some(3),
            count: 1,
        }
    }

    #[test]
    fn the_encoding_is_this_one() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../tests/golden/audit.json")).unwrap();
        for vector in golden["leaves"].as_array().unwrap() {
            let entry: StoredEntry = serde_json::from_value(vector["entry"].clone()).unwrap();
            let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
            assert_eq!(hex(&entry.encode()), vector["encoding"].as_str().unwrap());
            assert_eq!(hex(&entry.leaf()), vector["leaf"].as_str().unwrap());
        }
    }

    #[test]
    fn every_field_counts() {
        let base = entry(1);
        let json = serde_json::to_value(&base).unwrap();
        for (field, value) in json.as_object().unwrap() {
            let mut changed = json.clone();
            changed[field] = match (field.as_str(), value) {
                ("at", _) => "2030-01-01T00:00:00Z".into(),
                ("requestId", _) => Uuid::nil().to_string().into(),
                (_, serde_json::Value::Number(number)) => (number.as_i64().unwrap() + 1).into(),
                _ => "other".into(),
            };
            let changed: StoredEntry = serde_json::from_value(changed).unwrap();
            assert_ne!(changed.leaf(), base.leaf(), "{field}");
        }
    }

    proptest! {
        #[test]
        fn r26_no_two_entries_share_an_encoding(
            a in "[a-z/]{0,6}", b in "[a-z/]{0,6}", c in "[a-z/]{0,6}", d in "[a-z/]{0,6}", version in any::<Option<i64>>(), rule in any::<Option<i32>>()
        ) {
            let make = |resource: &str, decision: &str, policy: Option<&str>| StoredEntry {
                resource: resource.into(), decision: decision.into(), policy: policy.map(Into::into), version, rule, ..entry(1)
            };
            // Texts that move over a border between two fields are another entry.
            prop_assert_eq!(make(&a, &b, None).encode() == make(&c, &d, None).encode(), a == c && b == d);
            prop_assert_ne!(make(&a, &b, None).encode(), make(&a, &b, Some("")).encode());
        }
    }
}
