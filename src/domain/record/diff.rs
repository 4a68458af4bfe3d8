//! What two versions of a record differ in, by key. The answer holds no value.

use std::collections::BTreeSet;

use super::data::{KeyName, RecordData};

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange {
    /// It is there only afterwards.
    Added,
    /// It was there only before.
    Removed,
    /// Its value is another, or of another kind.
    Changed,
}

impl KeyChange {
    /// As shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// The keys that differ, in their order.
#[must_use]
pub fn diff(before: &RecordData, after: &RecordData) -> Vec<(KeyName, KeyChange)> {
    let keys: BTreeSet<&KeyName> = before.iter().chain(after.iter()).map(|(key, _)| key).collect();
    keys.into_iter()
        .filter_map(|key| {
            let change = match (before.get(key.as_str()), after.get(key.as_str())) {
                (None, _) => KeyChange::Added,
                (_, None) => KeyChange::Removed,
                (Some(before), Some(after)) if before == after => return None,
                _ => KeyChange::Changed,
            };
            Some((key.clone(), change))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn record(data: serde_json::Value) -> RecordData {
        let serde_json::Value::Object(data) = data else {
            panic!("no object")
        };
        RecordData::from_json(data, BTreeMap::new()).unwrap()
    }

    #[test]
    fn keys_are_added_removed_and_changed() {
        let before = record(json!({"same": "x", "gone": "x", "other": "x", "kind": "7"}));
        let after = record(json!({"same": "x", "new": "x", "other": "y", "kind": 7}));
        let shown: Vec<_> = diff(&before, &after)
            .into_iter()
            .map(|(key, change)| format!("{key} {}", change.as_str()))
            .collect();
        assert_eq!(shown, ["gone removed", "kind changed", "new added", "other changed"]);
        assert!(diff(&after, &after).is_empty());
    }
}
