//! Keys and values of a record.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::limits::{MAX_JSON_DEPTH, MAX_KEY_NAME_BYTES, MAX_KEYS, MAX_RECORD_BYTES};

/// Why data is not a record. Messages name keys, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// A key outside `^[-._a-zA-Z0-9]+$` or too long (R39, CVE-2020-8568).
    #[error("a key may hold only letters, digits, '-', '_' and '.', and at most {MAX_KEY_NAME_BYTES} characters")]
    BadKey,
    /// More than [`MAX_KEYS`].
    #[error("a record holds at most {MAX_KEYS} keys")]
    TooManyKeys,
    /// Larger than [`MAX_RECORD_BYTES`].
    #[error("a record holds at most {MAX_RECORD_BYTES} bytes")]
    TooLarge,
    /// `null` is what a patch uses to remove a key, so it cannot be a value.
    #[error("key '{0}' is null; leave it out, or give it a value")]
    NullValue(KeyName),
    /// JSON nested deeper than [`MAX_JSON_DEPTH`].
    #[error("key '{0}' is nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep(KeyName),
    /// The same key under `data` and `binary`.
    #[error("key '{0}' is given under both 'data' and 'binary'")]
    KeyTwice(KeyName),
    /// A value under `binary` that is not standard base64.
    #[error("key '{0}' under 'binary' is not standard base64")]
    BadBase64(KeyName),
}

/// A key of a record, and of a Kubernetes Secret: `^[-._a-zA-Z0-9]{1,253}$`, and never `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

impl KeyName {
    /// Parses a key name.
    ///
    /// # Errors
    /// [`DataError::BadKey`].
    pub fn parse(text: impl Into<String>) -> Result<Self, DataError> {
        let text = text.into();
        let fits = (1..=MAX_KEY_NAME_BYTES).contains(&text.len());
        let clean = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        // Kubernetes refuses these too: they would leave the folder that a Secret is mounted at.
        if !fits || !clean || text.starts_with("..") || text == "." {
            return Err(DataError::BadKey);
        }
        Ok(Self(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for KeyName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyName {
    type Error = DataError;
    fn try_from(text: String) -> Result<Self, DataError> {
        Self::parse(text)
    }
}

impl From<KeyName> for String {
    fn from(key: KeyName) -> Self {
        key.0
    }
}

/// One value. The kind is kept inside the envelope, so that it comes back as it was written.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// UTF-8 text.
    Text(Zeroizing<String>),
    /// JSON that is neither a string nor null, in its compact form.
    Json(Zeroizing<String>),
    /// Raw bytes; base64 under `binary` in the REST API.
    Bytes(Zeroizing<Vec<u8>>),
}

impl Value {
    /// A text value.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    /// The bytes that a Kubernetes Secret gets: text as UTF-8, JSON in compact form, bytes as they are.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) | Self::Json(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The keys and values of one version of a record.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RecordData(BTreeMap<KeyName, Value>);

impl RecordData {
    /// Checks the bounds of a finished map.
    ///
    /// # Errors
    /// [`DataError::TooManyKeys`], [`DataError::TooLarge`].
    pub fn new(map: BTreeMap<KeyName, Value>) -> Result<Self, DataError> {
        if map.len() > MAX_KEYS {
            return Err(DataError::TooManyKeys);
        }
        let bytes: usize = map
            .iter()
            .map(|(key, value)| key.as_str().len() + value.as_bytes().len())
            .sum();
        if bytes > MAX_RECORD_BYTES {
            return Err(DataError::TooLarge);
        }
        Ok(Self(map))
    }

    /// Reads the REST form: `data` with JSON values (a string is text, `null` is refused), `binary` with base64.
    ///
    /// # Errors
    /// [`DataError`] naming the key at fault.
    pub fn from_json(
        data: serde_json::Map<String, serde_json::Value>,
        binary: BTreeMap<String, String>,
    ) -> Result<Self, DataError> {
        if data.len().saturating_add(binary.len()) > MAX_KEYS {
            return Err(DataError::TooManyKeys);
        }
        let mut map = BTreeMap::new();
        for (key, value) in data {
            let key = KeyName::parse(key)?;
            let value = match value {
                serde_json::Value::Null => return Err(DataError::NullValue(key)),
                serde_json::Value::String(text) => Value::Text(Zeroizing::new(text)),
                other if depth(&other) > MAX_JSON_DEPTH => return Err(DataError::TooDeep(key)),
                other => Value::Json(Zeroizing::new(other.to_string())),
            };
            map.insert(key, value);
        }
        for (key, text) in binary {
            let key = KeyName::parse(key)?;
            let bytes = decode_base64(&key, text)?;
            if map.insert(key.clone(), Value::Bytes(bytes)).is_some() {
                return Err(DataError::KeyTwice(key));
            }
        }
        Self::new(map)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Keys with their values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&KeyName, &Value)> {
        self.0.iter()
    }

    /// How many keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The map itself, to add to.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<KeyName, Value> {
        self.0
    }
}

/// Decodes standard base64, and wipes the text.
pub(super) fn decode_base64(key: &KeyName, text: String) -> Result<Zeroizing<Vec<u8>>, DataError> {
    use base64::Engine as _;
    let text = Zeroizing::new(text);
    base64::engine::general_purpose::STANDARD
        .decode(text.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| DataError::BadBase64(key.clone()))
}

/// Levels of arrays and objects; a plain value has none.
pub(super) fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(text).unwrap()
    }

    fn error(data: &str, binary: &[(&str, &str)]) -> DataError {
        let binary = binary.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        match RecordData::from_json(json(data), binary) {
            Err(error) => error,
            Ok(_) => panic!("accepted"),
        }
    }

    #[test]
    fn kinds_are_kept_and_json_is_compacted() {
        let binary = BTreeMap::from([("raw".to_owned(), "AP8=".to_owned())]);
        let data = RecordData::from_json(json(r#"{"t": "x", "j": {"a": [1, 2]}, "n": 7}"#), binary).unwrap();
        assert!(matches!(data.get("t"), Some(Value::Text(t)) if t.as_str() == "x"));
        assert!(matches!(data.get("j"), Some(Value::Json(j)) if j.as_str() == r#"{"a":[1,2]}"#));
        assert!(matches!(data.get("n"), Some(Value::Json(n)) if n.as_str() == "7"));
        assert_eq!(data.get("raw").map(Value::as_bytes), Some(&[0, 255][..]));
    }

    #[test]
    fn r39_key_names_are_those_of_a_secret() {
        for bad in ["", ".", "..", "..x", "a/b", "a b", "a\0", "ü", "a\n"] {
            assert_eq!(KeyName::parse(bad), Err(DataError::BadKey), "{bad:?}");
        }
        for good in ["a", "ca.crt", ".env", "A_B-c.9"] {
            assert!(KeyName::parse(good).is_ok(), "{good}");
        }
        assert!(KeyName::parse("k".repeat(253)).is_ok());
        assert_eq!(KeyName::parse("k".repeat(254)), Err(DataError::BadKey));
    }

    #[test]
    fn faults_name_the_key_and_no_value() {
        assert_eq!(
            error(r#"{"k": null}"#, &[]).to_string(),
            "key 'k' is null; leave it out, or give it a value"
        );
        assert!(matches!(
            error(r#"{"k": "hidden"}"#, &[("k", "AA==")]),
            DataError::KeyTwice(_)
        ));
        assert!(matches!(error("{}", &[("k", "not base64!")]), DataError::BadBase64(_)));
        let deep = format!(r#"{{"k": {}{}}}"#, "[".repeat(33), "]".repeat(33));
        assert!(matches!(error(&deep, &[]), DataError::TooDeep(_)));
    }

    #[test]
    fn r27_size_and_count_are_bounded() {
        let many: serde_json::Map<_, _> = (0..513).map(|n| (format!("k{n}"), serde_json::json!("v"))).collect();
        assert_eq!(
            RecordData::from_json(many, BTreeMap::new()).err(),
            Some(DataError::TooManyKeys)
        );
        let large = serde_json::Map::from_iter([("k".to_owned(), serde_json::json!("v".repeat(MAX_RECORD_BYTES)))]);
        assert_eq!(
            RecordData::from_json(large, BTreeMap::new()).err(),
            Some(DataError::TooLarge)
        );
        let fits = serde_json::Map::from_iter([("k".to_owned(), serde_json::json!("v".repeat(MAX_RECORD_BYTES - 1)))]);
        assert!(RecordData::from_json(fits, BTreeMap::new()).is_ok());
    }
}
