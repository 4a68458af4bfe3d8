//! Keyed hashes (HMAC-SHA256, RFC 2104): to tell whether secret data changed without keeping anything that could be guessed from.
//! Called by `service`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::keys::{KEY_BYTES, Kek, KeyBytes, Purpose};

/// The input that the hashing key is derived with, so that the wrapped key itself never meets other data.
const DERIVATION: &[u8] = b"av/mac/1";

/// A key for hashes, derived from a key of purpose [`Purpose::Mac`].
pub struct MacKey(KeyBytes);

/// The key is for something else than hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key for hashes was expected, and this one has purpose '{}'", .0.as_str())]
pub struct WrongPurpose(Purpose);

impl MacKey {
    /// Derives the hashing key of a lineage.
    ///
    /// # Errors
    /// [`WrongPurpose`] unless the key is of purpose [`Purpose::Mac`].
    pub fn new(kek: &Kek) -> Result<Self, WrongPurpose> {
        if kek.purpose() != Purpose::Mac {
            return Err(WrongPurpose(kek.purpose()));
        }
        Ok(Self(KeyBytes::new(&Zeroizing::new(hmac(kek.bytes(), DERIVATION)))))
    }
}

/// The keyed hash of `canonical`, which must be an unambiguous encoding of what is hashed: two different things, two encodings.
#[must_use]
pub fn keyed_hash(key: &MacKey, canonical: &[u8]) -> [u8; 32] {
    hmac(&key.0, canonical)
}

/// What a receiver of webhooks checks: HMAC-SHA256 over the time, a dot and the body, as hex digits. The time keeps an old request from being
/// sent again.
#[must_use]
pub fn webhook_signature(secret: &[u8], time: i64, body: &[u8]) -> String {
    // A key of any length is taken (RFC 2104, section 2).
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    let mac = mac.chain_update(time.to_string()).chain_update(b".").chain_update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Compares two hashes in constant time.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn hmac(key: &KeyBytes, data: &[u8]) -> [u8; 32] {
    // HMAC pads a key shorter than a block with zeros (RFC 2104, section 2).
    let mut block = Zeroizing::new([0; 64]);
    block[..KEY_BYTES].copy_from_slice(key.expose());
    let block: &[u8; 64] = &block;
    Hmac::<Sha256>::new(block.into())
        .chain_update(data)
        .finalize()
        .into_bytes()
        .into()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::crypto::keys::KekContext;

    fn kek(purpose: Purpose, byte: u8) -> Kek {
        let context = KekContext {
            kek_id: Uuid::from_u128(1),
            root_id: Uuid::nil(),
            purpose,
            generation: 1,
        };
        Kek::new(context, KeyBytes::new(&[byte; 32]))
    }

    fn mac_key(byte: u8) -> MacKey {
        MacKey::new(&kek(Purpose::Mac, byte)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Computed with OpenSSL: the key is HMAC(0x07 × 32, "av/mac/1"), the hash HMAC(key, "canonical").
    #[test]
    fn the_hash_is_hmac_sha256_under_the_derived_key() {
        let hash = keyed_hash(&mac_key(7), b"canonical");
        assert_eq!(
            hex::encode(hash),
            "2ac38153f44123e25f93628a997c8dde753b946eef1d98462185648817091df5"
        );
    }

    #[test]
    fn hashes_depend_on_key_and_content() {
        let hash = keyed_hash(&mac_key(7), b"canonical");
        assert!(equal(&hash, &keyed_hash(&mac_key(7), b"canonical")));
        assert!(!equal(&hash, &keyed_hash(&mac_key(8), b"canonical")));
        assert!(!equal(&hash, &keyed_hash(&mac_key(7), b"Canonical")));
        assert!(!equal(&hash, &hash[..31]));
    }

    #[test]
    fn a_key_of_another_purpose_makes_no_hashes() {
        for purpose in [Purpose::Data, Purpose::System] {
            assert_eq!(MacKey::new(&kek(purpose, 7)).err(), Some(WrongPurpose(purpose)));
        }
    }
}
