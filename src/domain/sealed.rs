//! Sealed values: encrypted on their author's machine for one key of one resource, and safe in a repository.
//!
//! A sealed value is `avs1.` and base64url of `key id (8 bytes) ‖ encapsulated key (32 bytes) ‖ ciphertext`; the public key that values
//! are sealed to is `avsp1.<key id in hex>.<base64url>`. `crypto` seals and opens; here is the written form.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What a sealed value begins with.
pub const SEALED_PREFIX: &str = "avs1.";
/// What a public key begins with.
pub const PUBLIC_PREFIX: &str = "avsp1.";
/// Characters of a sealed value, so that a resource with several fits into etcd.
pub const MAX_SEALED_CHARS: usize = 65_536;
/// Bytes of an X25519 public key, which an encapsulated key is as well (RFC 9180, section 7.1).
pub const KEY_BYTES: usize = 32;

/// What a value is sealed for; it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedFor<'a> {
    /// The cluster's prefix, such as `k8s`.
    pub cluster: &'a str,
    /// The namespace of the resource.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The key of its record.
    pub key: &'a str,
}

/// The name of a sealing key: 8 bytes, shown as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SealingKeyId(pub [u8; SealingKeyId::BYTES]);

impl SealingKeyId {
    /// Bytes of an id.
    pub const BYTES: usize = 8;
}

impl fmt::Display for SealingKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SealingKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SealingKeyId {
    type Err = BadPublicKey;
    fn from_str(text: &str) -> Result<Self, BadPublicKey> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let digits: Vec<u8> = text.bytes().map(digit).collect::<Option<_>>().ok_or(BadPublicKey)?;
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        let id = bytes.try_into().map_err(|_| BadPublicKey)?;
        if text.len() != 2 * Self::BYTES {
            return Err(BadPublicKey);
        }
        Ok(Self(id))
    }
}

/// The public key that values are sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealingPublicKey {
    /// Its name.
    pub id: SealingKeyId,
    /// An X25519 public key.
    pub key: [u8; KEY_BYTES],
}

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealing key is written avsp1.<id>.<key>, as GET /api/v1/sealing-keys gives it")]
pub struct BadPublicKey;

impl fmt::Display for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}.{}", self.id, URL_SAFE_NO_PAD.encode(self.key))
    }
}

impl FromStr for SealingPublicKey {
    type Err = BadPublicKey;
    fn from_str(text: &str) -> Result<Self, BadPublicKey> {
        let (id, key) = text
            .strip_prefix(PUBLIC_PREFIX)
            .and_then(|rest| rest.split_once('.'))
            .ok_or(BadPublicKey)?;
        let key = URL_SAFE_NO_PAD.decode(key).map_err(|_| BadPublicKey)?;
        Ok(Self {
            id: id.parse()?,
            key: key.try_into().map_err(|_| BadPublicKey)?,
        })
    }
}

impl SealingPublicKey {
    /// The first public key that stands anywhere in a text: the answer of the API, a ConfigMap, a file with the key alone.
    ///
    /// # Errors
    /// [`BadPublicKey`] if there is none.
    pub fn find_in(text: &str) -> Result<Self, BadPublicKey> {
        let start = text.find(PUBLIC_PREFIX).ok_or(BadPublicKey)?;
        let rest = &text[start..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
            .unwrap_or(rest.len());
        rest[..end].parse()
    }
}

/// A sealed value, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedText {
    /// The key that it was sealed to.
    pub key_id: SealingKeyId,
    /// The encapsulated key.
    pub encapsulated: [u8; KEY_BYTES],
    /// The ciphertext with its tag.
    pub ciphertext: Vec<u8>,
}

/// A text that is no sealed value. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a whole sealed value, which begins with 'avs1.' and has at most {MAX_SEALED_CHARS} characters; seal it again"
)]
pub struct BadSealed;

impl fmt::Display for SealedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id.0[..], &self.encapsulated, &self.ciphertext].concat();
        write!(f, "{SEALED_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for SealedText {
    type Err = BadSealed;
    fn from_str(text: &str) -> Result<Self, BadSealed> {
        if text.len() > MAX_SEALED_CHARS {
            return Err(BadSealed);
        }
        let body = text.strip_prefix(SEALED_PREFIX).ok_or(BadSealed)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| BadSealed)?;
        let (id, rest) = bytes.split_first_chunk().ok_or(BadSealed)?;
        let (encapsulated, ciphertext) = rest.split_first_chunk().ok_or(BadSealed)?;
        Ok(Self {
            key_id: SealingKeyId(*id),
            encapsulated: *encapsulated,
            ciphertext: ciphertext.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public() -> SealingPublicKey {
        SealingPublicKey {
            id: SealingKeyId([0, 1, 2, 3, 4, 5, 6, 0xff]),
            key: [7; KEY_BYTES],
        }
    }

    #[test]
    fn a_public_key_is_found_wherever_it_stands() {
        let key = public();
        assert!(key.to_string().starts_with("avsp1.00010203040506ff."));
        for text in [
            key.to_string(),
            format!("{{\"keys\":[{{\"publicKey\":\"{key}\"}}]}}"),
            format!("data:\n  sealing-key: {key}\n  other: avsp1.x\n"),
        ] {
            assert_eq!(SealingPublicKey::find_in(&text), Ok(key), "{text}");
        }
        for bad in ["", "avsp1.", "avsp1.00010203040506FF.AAAA", "avsp1.00.AAAA"] {
            assert_eq!(SealingPublicKey::find_in(bad), Err(BadPublicKey), "{bad}");
        }
    }

    #[test]
    fn r27_a_sealed_value_is_bounded() {
        assert!(SealedText::from_str(&format!("avs1.{}", "A".repeat(MAX_SEALED_CHARS))).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id: [u8; 8], encapsulated: [u8; 32], ciphertext: Vec<u8>) {
            let sealed = SealedText { key_id: SealingKeyId(id), encapsulated, ciphertext };
            let text = sealed.to_string();
            prop_assert!(text.parse::<SealedText>().is_ok_and(|read| read == sealed));
            prop_assert_eq!(sealed.key_id.to_string().parse(), Ok(sealed.key_id));
        }

        #[test]
        fn r31_no_text_panics(text in "(avs1\\.|avsp1\\.)?.*") {
            let _ = text.parse::<SealedText>();
            let _ = text.parse::<SealingPublicKey>();
            let _ = SealingPublicKey::find_in(&text);
        }
    }
}
