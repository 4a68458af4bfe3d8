//! Public keys of credentials: read from COSE (RFC 9052, RFC 9053), stored as JSON, verified by aws-lc-rs.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cbor::Item;

/// Algorithms that are taken, the ones to prefer first: Ed25519, ECDSA on P-256 with SHA-256, RSA PKCS #1 v1.5 with SHA-256.
pub(super) const ALGORITHMS: [i64; 3] = [EDDSA, ES256, RS256];
const EDDSA: i64 = -8;
const ES256: i64 = -7;
const RS256: i64 = -257;

/// COSE's labels: kind of key, algorithm, and what differs between kinds.
const KIND: i64 = 1;
const ALGORITHM: i64 = 3;
const CURVE: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const MODULUS: i64 = -1;
const EXPONENT: i64 = -2;

const KIND_OKP: i64 = 1;
const KIND_EC2: i64 = 2;
const KIND_RSA: i64 = 3;
const CURVE_P256: i64 = 1;
const CURVE_ED25519: i64 = 6;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    Ed25519(Vec<u8>),
    /// The point, uncompressed.
    P256(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// A public key as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(tag = "alg")]
enum Stored {
    #[serde(rename = "EdDSA")]
    Ed25519 { x: String },
    #[serde(rename = "ES256")]
    P256 { point: String },
    #[serde(rename = "RS256")]
    Rsa { n: String, e: String },
}

impl PublicKey {
    /// Reads a COSE key; `None` for a kind that is not taken.
    pub(super) fn from_cose(key: &Item<'_>) -> Option<Self> {
        let coordinate = |label| key.bytes_at(label).filter(|bytes| bytes.len() == 32);
        match (key.int_at(KIND)?, key.int_at(ALGORITHM)?) {
            (KIND_OKP, EDDSA) if key.int_at(CURVE)? == CURVE_ED25519 => Some(Self::Ed25519(coordinate(X)?.to_vec())),
            (KIND_EC2, ES256) if key.int_at(CURVE)? == CURVE_P256 => {
                Some(Self::P256([&[4], coordinate(X)?, coordinate(Y)?].concat()))
            }
            (KIND_RSA, RS256) => {
                let (modulus, exponent) = (key.bytes_at(MODULUS)?, key.bytes_at(EXPONENT)?);
                let fits = (256..=1024).contains(&modulus.len()) && (1..=8).contains(&exponent.len());
                fits.then(|| Self::Rsa {
                    modulus: modulus.to_vec(),
                    exponent: exponent.to_vec(),
                })
            }
            _ => None,
        }
    }

    /// As it is stored.
    pub(super) fn stored(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let stored = match self {
            Self::Ed25519(x) => Stored::Ed25519 { x: encode(x) },
            Self::P256(point) => Stored::P256 { point: encode(point) },
            Self::Rsa { modulus, exponent } => Stored::Rsa {
                n: encode(modulus),
                e: encode(exponent),
            },
        };
        // Texts always serialise.
        serde_json::to_value(stored).unwrap_or_default()
    }

    /// Reads what was stored.
    pub(super) fn from_stored(value: &Value) -> Option<Self> {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        Some(match Stored::deserialize(value).ok()? {
            Stored::Ed25519 { x } => Self::Ed25519(decode(&x)?),
            Stored::P256 { point } => Self::P256(decode(&point)?),
            Stored::Rsa { n, e } => Self::Rsa {
                modulus: decode(&n)?,
                exponent: decode(&e)?,
            },
        })
    }

    /// Whether the signature is of this key.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let outcome = match self {
            Self::Ed25519(x) => UnparsedPublicKey::new(&ED25519, x).verify(message, signature),
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature),
            Self::Rsa { modulus, exponent } => RsaPublicKeyComponents {
                n: modulus,
                e: exponent,
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
        };
        outcome.is_ok()
    }
}
