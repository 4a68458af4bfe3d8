//! Changing some keys of a record: JSON Merge Patch (RFC 7396) over its values.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use zeroize::Zeroizing;

use super::data::{DataError, KeyName, RecordData, Value, decode_base64, depth};
use crate::domain::limits::{MAX_JSON_DEPTH, MAX_KEYS};

/// What to change: a key with a value is set, a key with `null` is removed, any other stays.
pub struct Patch(BTreeMap<KeyName, Change>);

enum Change {
    Remove,
    Bytes(Zeroizing<Vec<u8>>),
    /// Objects are merged with what is there, anything else takes its place.
    Merge(Json),
}

impl Patch {
    /// Reads the REST form: `data` with JSON values, `binary` with base64, `null` under either.
    ///
    /// # Errors
    /// [`DataError`] naming the key at fault.
    pub fn from_json(data: Map<String, Json>, binary: BTreeMap<String, Option<String>>) -> Result<Self, DataError> {
        if data.len().saturating_add(binary.len()) > MAX_KEYS {
            return Err(DataError::TooManyKeys);
        }
        let mut changes = BTreeMap::new();
        for (key, value) in data {
            let key = KeyName::parse(key)?;
            if depth(&value) > MAX_JSON_DEPTH {
                return Err(DataError::TooDeep(key));
            }
            let change = match value {
                Json::Null => Change::Remove,
                other => Change::Merge(other),
            };
            changes.insert(key, change);
        }
        for (key, text) in binary {
            let key = KeyName::parse(key)?;
            let change = match text {
                None => Change::Remove,
                Some(text) => Change::Bytes(decode_base64(&key, text)?),
            };
            if changes.insert(key.clone(), change).is_some() {
                return Err(DataError::KeyTwice(key));
            }
        }
        Ok(Self(changes))
    }

    /// The record that comes out.
    ///
    /// # Errors
    /// [`DataError`] if it is over a bound.
    pub fn apply(&self, current: RecordData) -> Result<RecordData, DataError> {
        let mut map = current.into_map();
        for (key, change) in &self.0 {
            let value = match change {
                Change::Remove => {
                    map.remove(key);
                    continue;
                }
                Change::Bytes(bytes) => Value::Bytes(bytes.clone()),
                Change::Merge(patch) => merged(key, map.get(key), patch)?,
            };
            map.insert(key.clone(), value);
        }
        RecordData::new(map)
    }
}

fn merged(key: &KeyName, current: Option<&Value>, patch: &Json) -> Result<Value, DataError> {
    let target = match current {
        // Whatever is no JSON object is replaced, as RFC 7396 has it.
        Some(Value::Json(json)) => serde_json::from_str(json).unwrap_or(Json::Null),
        _ => Json::Null,
    };
    let value = merge(target, patch);
    if depth(&value) > MAX_JSON_DEPTH {
        return Err(DataError::TooDeep(key.clone()));
    }
    Ok(match value {
        Json::String(text) => Value::Text(Zeroizing::new(text)),
        other => Value::Json(Zeroizing::new(other.to_string())),
    })
}

/// `MergePatch(Target, Patch)` of RFC 7396, section 2. The depth of both is bounded.
fn merge(target: Json, patch: &Json) -> Json {
    let Json::Object(patch) = patch else {
        return patch.clone();
    };
    let mut map = match target {
        Json::Object(map) => map,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            map.remove(name);
        } else {
            let before = map.remove(name).unwrap_or(Json::Null);
            map.insert(name.clone(), merge(before, value));
        }
    }
    Json::Object(map)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Json) -> Map<String, Json> {
        match value {
            Json::Object(map) => map,
            _ => panic!("no object"),
        }
    }

    fn record(data: Json) -> RecordData {
        RecordData::from_json(object(data), BTreeMap::from([("raw".to_owned(), "AP8=".to_owned())])).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_7396() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(merge(target.clone(), &patch), result, "{target} {patch}");
        }
    }

    #[test]
    fn keys_are_set_merged_removed_and_left() {
        let before = record(json!({"text": "old", "gone": "x", "conf": {"a": 1, "b": {"c": 2}}}));
        let patch = Patch::from_json(
            object(json!({"text": "new", "gone": null, "conf": {"b": {"c": null, "d": 3}}, "more": 7})),
            BTreeMap::from([("bytes".to_owned(), Some("AQ==".to_owned()))]),
        )
        .unwrap();
        let after = patch.apply(before).unwrap();
        let shown: Vec<_> = after.iter().map(|(k, v)| (k.as_str(), v.as_bytes())).collect();
        assert_eq!(
            shown,
            [
                ("bytes", &[1][..]),
                ("conf", br#"{"a":1,"b":{"d":3}}"#),
                ("more", b"7"),
                ("raw", &[0, 255]),
                ("text", b"new"),
            ]
        );
    }

    #[test]
    fn bytes_are_removed_by_null_and_a_key_is_given_once() {
        let removed = Patch::from_json(Map::new(), BTreeMap::from([("raw".to_owned(), None)])).unwrap();
        assert!(removed.apply(record(json!({}))).unwrap().is_empty());
        let twice = Patch::from_json(object(json!({"k": 1})), BTreeMap::from([("k".to_owned(), None)]));
        assert!(matches!(twice.err(), Some(DataError::KeyTwice(_))));
    }

    #[test]
    fn r27_what_a_patch_makes_is_bounded() {
        let deep = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"k": inner}));
        assert!(matches!(
            Patch::from_json(object(json!({"k": deep(33)})), BTreeMap::new()).err(),
            Some(DataError::TooDeep(_))
        ));
        let many = (0..513).map(|n| (format!("k{n}"), json!(1))).collect();
        assert_eq!(
            Patch::from_json(many, BTreeMap::new()).err(),
            Some(DataError::TooManyKeys)
        );
        let half: Map<_, _> = (0..300).map(|n| (format!("a{n}"), json!(1))).collect();
        let other: Map<_, _> = (0..300).map(|n| (format!("b{n}"), json!(1))).collect();
        let current = RecordData::from_json(half, BTreeMap::new()).unwrap();
        let patch = Patch::from_json(other, BTreeMap::new()).unwrap();
        assert_eq!(patch.apply(current).err(), Some(DataError::TooManyKeys));
    }

    proptest! {
        #[test]
        fn a_patch_of_plain_values_sets_exactly_these(
            before in proptest::collection::btree_map("[a-e]", "[a-z]{0,8}", 0..5),
            patch in proptest::collection::btree_map("[a-e]", proptest::option::of("[a-z]{0,8}"), 0..5),
        ) {
            let current: Map<_, _> = before.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            let changes: Map<_, _> = patch.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            let current = RecordData::from_json(current, BTreeMap::new()).unwrap();
            let after = Patch::from_json(changes, BTreeMap::new()).unwrap().apply(current).unwrap();
            let mut expected = before;
            for (key, value) in patch {
                match value {
                    Some(value) => { expected.insert(key, value); }
                    None => { expected.remove(&key); }
                }
            }
            let shown: BTreeMap<_, _> = after
                .iter()
                .map(|(k, v)| (k.as_str().to_owned(), String::from_utf8(v.as_bytes().to_vec()).unwrap()))
                .collect();
            prop_assert_eq!(shown, expected);
        }
    }
}
