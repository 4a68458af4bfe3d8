//! Key pairs for workloads, made by the TLS library's algorithms: PKCS #8 and SubjectPublicKeyInfo in PEM, OpenSSH's formats. Called by
//! `generate` and `certificate`.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::generate::{KeyPairSpec, KeyType};

/// Characters of a line of PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// A key pair.
pub struct MadePair {
    /// The private key, PKCS #8 version 1: older programs do not read version 2.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// The public key as SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
}

/// The library made no key: there is no randomness, or no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key could be made")]
pub struct NoKey;

impl From<Unspecified> for NoKey {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

impl MadePair {
    /// Makes a key pair. An RSA key takes a while: some hundred milliseconds of 3072 bits, some seconds of 4096.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn generate(spec: &KeyPairSpec) -> Result<Self, NoKey> {
        match spec.kind {
            KeyType::Ed25519 => {
                let pair = Ed25519KeyPair::generate()?;
                Self::of(pair.to_pkcs8v1()?.as_ref(), &pair.public_key().as_der()?)
            }
            KeyType::EcdsaP256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
                Self::of(pair.to_pkcs8v1()?.as_ref(), &pair.public_key().as_der()?)
            }
            KeyType::Rsa => {
                let size = match spec.rsa_bits() {
                    Some(2048) => KeySize::Rsa2048,
                    Some(4096) => KeySize::Rsa4096,
                    _ => KeySize::Rsa3072,
                };
                let pair = rsa::KeyPair::generate(size)?;
                let private: Pkcs8V1Der<'_> = pair.as_der()?;
                Self::of((*private).as_ref(), &pair.public_key().as_der()?)
            }
        }
    }

    fn of(pkcs8: &[u8], spki: &PublicKeyX509Der<'_>) -> Result<Self, NoKey> {
        Ok(Self {
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
            spki: spki.as_ref().to_vec(),
        })
    }

    /// The private key in PEM.
    #[must_use]
    pub fn private_pem(&self) -> Zeroizing<String> {
        pem("PRIVATE KEY", &self.pkcs8, PEM_LINE)
    }

    /// The public key in PEM.
    #[must_use]
    pub fn public_pem(&self) -> Zeroizing<String> {
        pem("PUBLIC KEY", &self.spki, PEM_LINE)
    }
}

/// Text armour around bytes.
pub(super) fn pem(label: &str, bytes: &[u8], line: usize) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(bytes));
    // Sized once: growing would leave unwiped copies behind.
    let mut text = Zeroizing::new(String::with_capacity(
        base64.len() + base64.len() / line + 2 * label.len() + 40,
    ));
    for part in ["-----BEGIN ", label, "-----\n"] {
        text.push_str(part);
    }
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(rest.len().min(line));
        text.push_str(head);
        text.push('\n');
        rest = tail;
    }
    for part in ["-----END ", label, "-----\n"] {
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn each_algorithm_makes_a_pair_that_a_tls_library_loads() {
        for (spec, scheme) in [
            (r#"{}"#, rustls::SignatureScheme::ED25519),
            (
                r#"{"type": "ecdsaP256"}"#,
                rustls::SignatureScheme::ECDSA_NISTP256_SHA256,
            ),
            (
                r#"{"type": "rsa", "bits": 2048}"#,
                rustls::SignatureScheme::RSA_PSS_SHA256,
            ),
        ] {
            let made =
                MadePair::generate(&serde_json::from_str(spec).unwrap()).unwrap_or_else(|error| panic!("{error}"));
            let der = PrivateKeyDer::from_pem_slice(made.private_pem().as_bytes()).unwrap();
            let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).unwrap();
            assert!(key.choose_scheme(&[scheme]).is_some(), "{spec}");
            assert_eq!(
                key.public_key().unwrap().as_ref(),
                made.spki,
                "{spec}: the halves belong together"
            );
            assert!(made.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
            assert!(made.private_pem().lines().all(|line| line.len() <= PEM_LINE));
        }
    }

    #[test]
    fn an_rsa_key_has_the_bits_that_were_asked_for() {
        let spec = KeyPairSpec {
            kind: KeyType::Rsa,
            bits: Some(2048),
        };
        let made = MadePair::generate(&spec).unwrap_or_else(|error| panic!("{error}"));
        let pair = rsa::KeyPair::from_pkcs8(&made.pkcs8).unwrap();
        assert_eq!(pair.public_modulus_len() * 8, 2048);
    }
}
