//! The data of a Kubernetes Secret, in clear: no Debug, no Display, no Serialize.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::domain::record::KeyName;

/// Keys and raw values, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SecretData(BTreeMap<KeyName, Zeroizing<Vec<u8>>>);

impl SecretData {
    pub(super) fn new(map: BTreeMap<KeyName, Zeroizing<Vec<u8>>>) -> Self {
        Self(map)
    }

    /// Keys with their values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&KeyName, &[u8])> {
        self.0.iter().map(|(key, value)| (key, value.as_slice()))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(|value| value.as_slice())
    }

    /// The map itself.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<KeyName, Zeroizing<Vec<u8>>> {
        self.0
    }
}
