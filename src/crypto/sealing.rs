//! Sealing values to a public key: HPKE (RFC 9180) in base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, by the TLS
//! library's implementation. Called by `service`, and by `app` for the command that seals.
//!
//! `info` is the encoding of what the value is sealed for (see [`super::aad`]), the associated data is the key's id: a sealed value opens
//! for exactly that key of that resource in that namespace of that cluster.

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use super::{aad, random};
use crate::domain::sealed::{KEY_BYTES, SealedFor, SealedText, SealingKeyId, SealingPublicKey};

/// The first byte of a stored key pair.
const FORMAT: u8 = 1;

/// A key pair that values are sealed to. No `Debug`; the private half is wiped when dropped.
pub struct SealingKey {
    public: SealingPublicKey,
    private: HpkePrivateKey,
}

/// A value does not open: it was sealed for something else, or it was changed. Which of the two cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed for another cluster, namespace, resource or key, or it was changed since")]
pub struct DoesNotOpen;

/// No key was made, or nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value cannot be sealed: the sealing key is no X25519 public key")]
pub struct CannotSeal;

/// Seals a value.
///
/// # Errors
/// [`CannotSeal`].
pub fn seal(public: &SealingPublicKey, target: &SealedFor<'_>, plaintext: &[u8]) -> Result<SealedText, CannotSeal> {
    let key = HpkePublicKey(public.key.to_vec());
    let (encapsulated, ciphertext) = SUITE
        .seal(&aad::sealed(target), &public.id.0, plaintext, &key)
        .map_err(|_| CannotSeal)?;
    Ok(SealedText {
        key_id: public.id,
        encapsulated: encapsulated.0.try_into().map_err(|_| CannotSeal)?,
        ciphertext,
    })
}

impl SealingKey {
    /// Makes a key pair.
    ///
    /// # Errors
    /// [`CannotSeal`] if the library makes none.
    pub fn generate() -> Result<Self, CannotSeal> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| CannotSeal)?;
        Ok(Self {
            public: SealingPublicKey {
                id: SealingKeyId(random::bytes()),
                key: public.0.try_into().map_err(|_| CannotSeal)?,
            },
            private,
        })
    }

    /// Opens a value that was sealed to this key for exactly this target.
    ///
    /// # Errors
    /// [`DoesNotOpen`].
    pub fn open(&self, target: &SealedFor<'_>, sealed: &SealedText) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        if sealed.key_id != self.public.id {
            return Err(DoesNotOpen);
        }
        let encapsulated = EncapsulatedSecret(sealed.encapsulated.to_vec());
        let opened = SUITE.open(
            &encapsulated,
            &aad::sealed(target),
            &sealed.key_id.0,
            &sealed.ciphertext,
            &self.private,
        );
        opened.map(Zeroizing::new).map_err(|_| DoesNotOpen)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> SealingPublicKey {
        self.public
    }

    /// What is stored inside the vault's envelope: `01 ‖ id ‖ public key ‖ private key`.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + SealingKeyId::BYTES + 2 * KEY_BYTES));
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.public.id.0);
        bytes.extend_from_slice(&self.public.key);
        bytes.extend_from_slice(self.private.secret_bytes());
        bytes
    }

    /// Reads the stored form; `None` if it is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[FORMAT], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (id, rest) = rest.split_first_chunk()?;
        let (key, private) = rest.split_first_chunk()?;
        (private.len() == KEY_BYTES).then(|| Self {
            public: SealingPublicKey {
                id: SealingKeyId(*id),
                key: *key,
            },
            private: HpkePrivateKey::from(private.to_vec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: SealedFor<'_> = SealedFor {
        cluster: "k8s",
        namespace: "shop",
        name: "orders",
        key: "API_TOKEN",
    };

    fn key() -> SealingKey {
        SealingKey::generate().unwrap_or_else(|error| panic!("{error}"))
    }

    fn open(key: &SealingKey, target: &SealedFor<'_>, sealed: &SealedText) -> Result<Vec<u8>, DoesNotOpen> {
        key.open(target, sealed).map(|value| value.to_vec())
    }

    #[test]
    fn a_value_opens_with_the_key_that_it_was_sealed_to_also_after_that_was_stored() {
        let key = key();
        let sealed = seal(&key.public(), &TARGET, b"hunter2").unwrap();
        assert_eq!(open(&key, &TARGET, &sealed), Ok(b"hunter2".to_vec()));
        let stored = SealingKey::from_bytes(&key.to_bytes()).unwrap();
        assert_eq!(open(&stored, &TARGET, &sealed), Ok(b"hunter2".to_vec()));
        assert_eq!(open(&self::key(), &TARGET, &sealed), Err(DoesNotOpen));
        for bad in [&[][..], &key.to_bytes()[1..], &key.to_bytes()[..72]] {
            assert!(SealingKey::from_bytes(bad).is_none());
        }
    }

    #[test]
    fn r38_a_sealed_value_opens_only_for_its_cluster_namespace_resource_and_key() {
        let key = key();
        let sealed = seal(&key.public(), &TARGET, b"hunter2").unwrap();
        for other in [
            SealedFor {
                cluster: "k8s-eu",
                ..TARGET
            },
            SealedFor {
                namespace: "bank",
                ..TARGET
            },
            SealedFor {
                name: "order",
                ..TARGET
            },
            SealedFor {
                key: "API_TOKEN2",
                ..TARGET
            },
            // Parts that run into each other.
            SealedFor {
                namespace: "shopo",
                name: "rders",
                ..TARGET
            },
        ] {
            assert_eq!(open(&key, &other, &sealed), Err(DoesNotOpen), "{other:?}");
        }
    }

    #[test]
    fn r31_whatever_was_changed_does_not_open() {
        let key = key();
        let sealed = seal(&key.public(), &TARGET, b"hunter2").unwrap();
        for at in 0..sealed.ciphertext.len() {
            let mut changed = sealed.clone();
            changed.ciphertext[at] ^= 1;
            assert_eq!(open(&key, &TARGET, &changed), Err(DoesNotOpen));
            changed.ciphertext.truncate(at);
            assert_eq!(open(&key, &TARGET, &changed), Err(DoesNotOpen));
        }
        let zero = SealedText {
            encapsulated: [0; KEY_BYTES],
            ..sealed
        };
        assert_eq!(open(&key, &TARGET, &zero), Err(DoesNotOpen));
    }

    /// RFC 9180, appendix A.2.1: the same KEM and KDF, with ChaCha20-Poly1305, sequence number 0. So the library is HPKE as others speak it.
    #[test]
    fn the_library_opens_the_vector_of_the_rfc() {
        let bytes = |text: &str| hex::decode(text).unwrap();
        let suite = rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305;
        let opened = suite.open(
            &EncapsulatedSecret(bytes(
                "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
            )),
            &bytes("4f6465206f6e2061204772656369616e2055726e"),
            &bytes("436f756e742d30"),
            &bytes("1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"),
            &HpkePrivateKey::from(bytes(
                "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
            )),
        );
        assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
    }
}
