//! Key types. Which key may do what is said by its type and purpose; the bytes never leave `crypto`.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretBox};
use uuid::Uuid;

use super::random;

/// Bytes of every symmetric key.
pub(super) const KEY_BYTES: usize = 32;

/// A key's bytes, on the heap so that moving the key leaves no copy behind, wiped when dropped.
pub(super) struct KeyBytes(SecretBox<[u8; KEY_BYTES]>);

impl KeyBytes {
    pub(super) fn generate() -> Self {
        Self(SecretBox::init_with_mut(|bytes: &mut [u8; KEY_BYTES]| {
            random::fill(bytes);
        }))
    }

    /// Copies a key; the source is wiped by whoever holds it.
    pub(super) fn new(source: &[u8; KEY_BYTES]) -> Self {
        Self(SecretBox::init_with_mut(|bytes: &mut [u8; KEY_BYTES]| {
            bytes.copy_from_slice(source);
        }))
    }

    /// `None` if there are not exactly [`KEY_BYTES`] bytes.
    pub(super) fn from_slice(source: &[u8]) -> Option<Self> {
        source.try_into().ok().map(Self::new)
    }

    pub(super) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose_secret()
    }
}

/// What a key-encryption key is for. A key of one purpose is refused for any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Wraps the data keys of records.
    Data,
    /// Keys hashes (see [`super::mac`]); survives the rotation of the others.
    Mac,
    /// Wraps the data keys of the vault's own secrets: signing keys and the like.
    System,
}

impl Purpose {
    /// As stored, and as bound into a wrapped key.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Mac => "mac",
            Self::System => "system",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Data, Self::Mac, Self::System]
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }
}

/// The name of a root key: 8 bytes, shown as 16 lower-case hex digits. It is chosen at random and says nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RootKeyId([u8; RootKeyId::BYTES]);

/// A text that is no [`RootKeyId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a root key is 16 lower-case hex digits")]
pub struct BadRootKeyId;

impl RootKeyId {
    /// Bytes of an id, as in a wrapped key.
    pub const BYTES: usize = 8;

    pub(super) fn generate() -> Self {
        Self(random::bytes())
    }

    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl FromStr for RootKeyId {
    type Err = BadRootKeyId;
    fn from_str(text: &str) -> Result<Self, BadRootKeyId> {
        let mut bytes = [0; Self::BYTES];
        // One spelling an id: hex::decode alone would take capitals as well.
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) || hex::decode_to_slice(text, &mut bytes).is_err() {
            return Err(BadRootKeyId);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for RootKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RootKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A root key: wraps key-encryption keys. It comes from a [`super::provider::KeyProvider`] and is never stored by the vault.
pub struct RootKey {
    id: RootKeyId,
    bytes: KeyBytes,
}

impl RootKey {
    pub(super) fn new(id: RootKeyId, bytes: KeyBytes) -> Self {
        Self { id, bytes }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> RootKeyId {
        self.id
    }

    pub(super) fn bytes(&self) -> &KeyBytes {
        &self.bytes
    }
}

/// Where a key-encryption key stands: all of it is bound into the wrapped key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KekContext {
    /// The key's id.
    pub kek_id: Uuid,
    /// The root whose lineage it belongs to.
    pub root_id: Uuid,
    /// What it is for.
    pub purpose: Purpose,
    /// Its place in the lineage, from 1.
    pub generation: u32,
}

/// A key-encryption key: wraps the data keys of one root, or keys hashes.
pub struct Kek {
    context: KekContext,
    bytes: KeyBytes,
}

impl Kek {
    pub(super) fn new(context: KekContext, bytes: KeyBytes) -> Self {
        Self { context, bytes }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.context.kek_id
    }

    /// The root whose lineage it belongs to.
    #[must_use]
    pub fn root_id(&self) -> Uuid {
        self.context.root_id
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.context.purpose
    }

    /// Its place in the lineage, from 1.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.context.generation
    }

    pub(super) fn context(&self) -> &KekContext {
        &self.context
    }

    pub(super) fn bytes(&self) -> &KeyBytes {
        &self.bytes
    }
}

/// A data key: encrypts one version of one record, once.
pub struct Dek(KeyBytes);

impl Dek {
    /// A fresh key.
    #[must_use]
    pub fn generate() -> Self {
        Self(KeyBytes::generate())
    }

    pub(super) fn new(bytes: KeyBytes) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &KeyBytes {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_id_has_one_spelling() {
        let id: RootKeyId = "00ff10203040506a".parse().unwrap();
        assert_eq!(id.to_string(), "00ff10203040506a");
        for bad in [
            "",
            "00ff10203040506A",
            "00ff10203040506",
            "00ff10203040506aa",
            "00ff10203040506g",
            "../../etc/passwd",
        ] {
            assert_eq!(bad.parse::<RootKeyId>(), Err(BadRootKeyId), "{bad:?}");
        }
    }

    #[test]
    fn a_purpose_comes_back_as_it_was_stored() {
        for purpose in [Purpose::Data, Purpose::Mac, Purpose::System] {
            assert_eq!(Purpose::parse(purpose.as_str()), Some(purpose));
        }
        assert_eq!(Purpose::parse("DATA"), None);
    }

    #[test]
    fn only_a_whole_key_is_a_key() {
        assert!(KeyBytes::from_slice(&[7; 31]).is_none());
        assert!(KeyBytes::from_slice(&[7; 33]).is_none());
        assert_eq!(KeyBytes::from_slice(&[7; 32]).unwrap().expose(), &[7; 32]);
    }
}
