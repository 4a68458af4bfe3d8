//! A record as JSON: the one place where values leave through the REST door.
//!
//! Written by hand, since values have no `Serialize`: text as strings, JSON as it is, bytes as base64 under `binary`. The bytes are wiped
//! when the answer has been sent.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Response;
use axum::http::header::{self, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use zeroize::Zeroizing;

use super::version::etag;
use crate::domain::path::RecordPath;
use crate::domain::record::{RecordData, Value, Version};
use crate::service::records::ReadRecord;

/// A record as the OpenAPI description tells of it; the answer itself is written by hand.
#[derive(JsonSchema)]
#[schemars(rename = "Record", rename_all = "camelCase")]
#[expect(dead_code, reason = "a form to describe, not to fill")]
pub(super) struct RecordView {
    /// Where it is.
    path: String,
    /// The version that was read.
    version: i64,
    /// When that was written.
    created_at: Timestamp,
    /// When its values stop being of use, if the record says so.
    expires_at: Option<Timestamp>,
    /// Seconds until then; below 0 once it is past.
    expires_in: Option<i64>,
    /// Keys whose values are text or JSON.
    data: BTreeMap<String, serde_json::Value>,
    /// Keys whose values are bytes, in base64.
    binary: Option<BTreeMap<String, String>>,
}

/// The answer to a read.
pub(super) fn answer(path: &RecordPath, record: &ReadRecord, now: Timestamp) -> Response<Body> {
    let shown = Shown::of(path, record, now);
    let mut out = Zeroizing::new(Vec::with_capacity(shown.size()));
    shown.write(&mut out);
    let mut response = response(out);
    response.headers_mut().insert(header::ETAG, etag(record.version));
    response
}

/// JSON that is wiped when it has been sent.
pub(super) fn response(json: Zeroizing<Vec<u8>>) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_owner(json)));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A version with its values, to be written as JSON.
pub(super) struct Shown<'a> {
    pub(super) path: &'a RecordPath,
    pub(super) version: Version,
    pub(super) created_at: Timestamp,
    /// When its values stop being of use, and the seconds until then.
    pub(super) expires: Option<(Timestamp, i64)>,
    pub(super) data: &'a RecordData,
}

impl<'a> Shown<'a> {
    pub(super) fn of(path: &'a RecordPath, record: &'a ReadRecord, now: Timestamp) -> Self {
        let left = |at: Timestamp| at.as_second().saturating_sub(now.as_second());
        Self {
            path,
            version: record.version,
            created_at: record.created_at,
            expires: record.expires_at.map(|at| (at, left(at))),
            data: &record.data,
        }
    }

    /// Bytes enough for all but text full of escapes: growing leaves copies behind that nobody wipes.
    pub(super) fn size(&self) -> usize {
        let values: usize = self
            .data
            .iter()
            .map(|(key, value)| 16 + key.as_str().len() + value.as_bytes().len() * 3 / 2)
            .sum();
        320 + self.path.as_str().len() + values
    }

    /// Writes the object.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"path":"#);
        string(out, self.path.as_str());
        out.extend_from_slice(format!(r#","version":{},"createdAt":"{}""#, self.version, self.created_at).as_bytes());
        if let Some((at, left)) = self.expires {
            out.extend_from_slice(format!(r#","expiresAt":"{at}","expiresIn":{left}"#).as_bytes());
        }
        out.extend_from_slice(br#","data":{"#);
        write_values(out, self.data);
        out.push(b'}');
    }
}

/// The entries of `data`, its end, and `binary` if there are bytes.
fn write_values(out: &mut Vec<u8>, data: &RecordData) {
    let mut first = true;
    for (key, value) in data.iter() {
        match value {
            Value::Text(text) => {
                name(out, &mut first, key.as_str());
                string(out, text);
            }
            Value::Json(json) => {
                name(out, &mut first, key.as_str());
                out.extend_from_slice(json.as_bytes());
            }
            Value::Bytes(_) => {}
        }
    }
    out.push(b'}');
    let mut first = true;
    for (key, value) in data.iter() {
        if let Value::Bytes(bytes) = value {
            if first {
                out.extend_from_slice(br#","binary":{"#);
            }
            name(out, &mut first, key.as_str());
            base64(out, bytes);
        }
    }
    if !first {
        out.push(b'}');
    }
}

fn name(out: &mut Vec<u8>, first: &mut bool, key: &str) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    string(out, key);
    out.push(b':');
}

/// A text as JSON.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    // A str into memory always serialises.
    let _ = serde_json::to_writer(out, text);
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn json(data: &RecordData) -> String {
        let path = RecordPath::parse("shared/x").unwrap();
        let shown = Shown {
            path: &path,
            version: Version::FIRST,
            created_at: Timestamp::UNIX_EPOCH,
            expires: None,
            data,
        };
        let mut out = Vec::new();
        shown.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn record(data: serde_json::Value, binary: &[(&str, &str)]) -> RecordData {
        let serde_json::Value::Object(data) = data else {
            panic!("no object")
        };
        RecordData::from_json(data, binary.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()).unwrap()
    }

    #[test]
    fn each_kind_has_its_form() {
        let data = record(
            serde_json::json!({"t": "a\"b\n", "n": 7, "o": {"x": [true]}}),
            &[("b", "AP8="), ("c", "")],
        );
        let expected = concat!(
            r#"{"path":"shared/x","version":1,"createdAt":"1970-01-01T00:00:00Z","#,
            r#""data":{"n":7,"o":{"x":[true]},"t":"a\"b\n"},"binary":{"b":"AP8=","c":""}}"#
        );
        assert_eq!(json(&data), expected);
        assert!(json(&RecordData::default()).ends_with(r#""data":{}}"#));
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_written_back(
            texts in proptest::collection::btree_map("[a-z]{1,8}", ".{0,64}", 0..6),
            blobs in proptest::collection::btree_map("[A-Z]{1,8}", proptest::collection::vec(any::<u8>(), 0..64), 0..6),
        ) {
            let texts: serde_json::Map<_, _> = texts.into_iter().map(|(k, v)| (k, v.into())).collect();
            let blobs: BTreeMap<_, _> = blobs.into_iter().map(|(k, v)| (k, STANDARD.encode(v))).collect();
            let data = RecordData::from_json(texts, blobs).unwrap();
            let shown: serde_json::Value = serde_json::from_str(&json(&data)).unwrap();
            let texts = shown["data"].as_object().unwrap().clone();
            let blobs = shown.get("binary").map(|b| serde_json::from_value(b.clone()).unwrap()).unwrap_or_default();
            prop_assert!(RecordData::from_json(texts, blobs).unwrap() == data);
        }
    }
}
