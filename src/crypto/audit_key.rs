//! The key that audit blocks and checkpoints are signed with: Ed25519 (RFC 8032). Called by `service`.
//!
//! It signs nothing else, and no other key signs for the log. The public half may go anywhere; its id is a hash of it, so that an id names
//! one key only.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::random;
use super::token::sha256;
use crate::domain::audit::report::Signature;

const SEED_BYTES: usize = 32;
const PUBLIC_BYTES: usize = 32;
/// Bytes of the public half's hash that make the id.
const ID_BYTES: usize = 8;

/// A seed or a public half of another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no Ed25519 key: there have to be 32 bytes")]
pub struct BadAuditKey;

/// The private half.
pub struct AuditKey {
    kid: String,
    seed: Zeroizing<[u8; SEED_BYTES]>,
    pair: Ed25519KeyPair,
}

impl AuditKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`BadAuditKey`]; never in practice.
    pub fn generate() -> Result<Self, BadAuditKey> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        random::fill(&mut *seed);
        Self::from_seed(&*seed)
    }

    /// Reads what [`AuditKey::seed`] gave.
    ///
    /// # Errors
    /// [`BadAuditKey`].
    pub fn from_seed(seed: &[u8]) -> Result<Self, BadAuditKey> {
        let seed: Zeroizing<[u8; SEED_BYTES]> = Zeroizing::new(seed.try_into().map_err(|_| BadAuditKey)?);
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| BadAuditKey)?;
        Ok(Self {
            kid: kid_of(pair.public_key().as_ref()),
            seed,
            pair,
        })
    }

    /// The private half; it goes nowhere but into an envelope.
    #[must_use]
    pub fn seed(&self) -> &[u8] {
        &*self.seed
    }

    /// The id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// Public halves that are trusted, by id.
#[derive(Debug, Clone, Default)]
pub struct AuditPublicKeys(BTreeMap<String, Vec<u8>>);

impl AuditPublicKeys {
    /// Trusts a key.
    ///
    /// # Errors
    /// [`BadAuditKey`] if there are not 32 bytes.
    pub fn trust(&mut self, public: &[u8]) -> Result<(), BadAuditKey> {
        if public.len() != PUBLIC_BYTES {
            return Err(BadAuditKey);
        }
        self.0.insert(kid_of(public), public.to_vec());
        Ok(())
    }

    /// Whether a signature is one of a trusted key.
    #[must_use]
    pub fn check(&self, kid: &str, message: &[u8], signature: &[u8]) -> Signature {
        match self.0.get(kid) {
            None => Signature::UnknownKey,
            Some(public) => match UnparsedPublicKey::new(&ED25519, public).verify(message, signature) {
                Ok(()) => Signature::Good,
                Err(_) => Signature::Bad,
            },
        }
    }

    /// Ids and public halves.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(kid, public)| (kid.as_str(), public.as_slice()))
    }

    /// The public half of a key.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&[u8]> {
        self.0.get(kid).map(Vec::as_slice)
    }
}

fn kid_of(public: &[u8]) -> String {
    hex::encode(&sha256(public)[..ID_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r26_a_signature_is_good_for_its_message_and_its_key_only() {
        let (one, two) = (AuditKey::generate().unwrap(), AuditKey::generate().unwrap());
        let mut keys = AuditPublicKeys::default();
        keys.trust(&one.public()).unwrap();
        let signature = one.sign(b"block");
        assert_eq!(keys.check(one.kid(), b"block", &signature), Signature::Good);
        assert_eq!(keys.check(one.kid(), b"blocl", &signature), Signature::Bad);
        assert_eq!(keys.check(one.kid(), b"block", &two.sign(b"block")), Signature::Bad);
        assert_eq!(
            keys.check(two.kid(), b"block", &two.sign(b"block")),
            Signature::UnknownKey
        );
        assert_eq!(keys.trust(&[0; 31]), Err(BadAuditKey));
    }

    #[test]
    fn a_key_comes_back_from_its_seed() {
        let key = AuditKey::generate().unwrap();
        let again = AuditKey::from_seed(key.seed()).unwrap();
        assert_eq!((again.kid(), again.public()), (key.kid(), key.public()));
        assert_eq!(AuditKey::from_seed(&[0; 31]).err(), Some(BadAuditKey));
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn the_algorithm_is_ed25519() {
        let key = AuditKey::from_seed(
            &hex::decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap(),
        )
        .unwrap();
        assert_eq!(
            hex::encode(key.public()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        assert_eq!(
            hex::encode(key.sign(&[0x72])),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
    }
}
