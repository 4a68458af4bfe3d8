//! Key pairs: which algorithm, which size, and for SSH the comment.

use serde::{Deserialize, Serialize};

use super::GenerateError;

/// Bits of an RSA key that names none.
const DEFAULT_RSA_BITS: u32 = 3072;
/// Bits that an RSA key may have.
const RSA_BITS: [u32; 3] = [2048, 3072, 4096];
/// Characters of a comment.
const MAX_COMMENT: usize = 128;

/// An algorithm that keys are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyType {
    /// Ed25519 (RFC 8032).
    #[default]
    Ed25519,
    /// ECDSA over P-256 (FIPS 186-5).
    EcdsaP256,
    /// RSA.
    Rsa,
}

/// A key pair as PEM: PKCS #8 (RFC 5958), and the public key as SubjectPublicKeyInfo (RFC 5280).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KeyPairSpec {
    /// The algorithm; Ed25519 if not given.
    #[serde(rename = "type")]
    pub kind: KeyType,
    /// Bits, for RSA alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
}

/// A key pair for SSH, in OpenSSH's formats.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SshKeySpec {
    /// The algorithm: Ed25519 (if not given) or RSA.
    #[serde(rename = "type")]
    pub kind: KeyType,
    /// Bits, for RSA alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// What stands behind the public key, such as whom it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl KeyPairSpec {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`GenerateError::Bits`].
    pub fn validate(&self) -> Result<(), GenerateError> {
        match (self.kind, self.bits) {
            (_, None) => Ok(()),
            (KeyType::Rsa, Some(bits)) if RSA_BITS.contains(&bits) => Ok(()),
            _ => Err(GenerateError::Bits),
        }
    }

    /// Bits of the key, if it is an RSA key.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<u32> {
        (self.kind == KeyType::Rsa).then(|| self.bits.unwrap_or(DEFAULT_RSA_BITS))
    }
}

impl SshKeySpec {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`GenerateError`] with what to change.
    pub fn validate(&self) -> Result<(), GenerateError> {
        if self.kind == KeyType::EcdsaP256 {
            return Err(GenerateError::SshType);
        }
        let comment = self.comment.as_deref().unwrap_or_default();
        // A line break would begin another line of an authorized_keys file.
        if comment.chars().count() > MAX_COMMENT || comment.chars().any(char::is_control) {
            return Err(GenerateError::Comment);
        }
        self.key().validate()
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> KeyPairSpec {
        KeyPairSpec {
            kind: self.kind,
            bits: self.bits,
        }
    }
}
