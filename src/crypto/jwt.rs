//! Access tokens: JWTs signed with Ed25519 (RFC 7519, RFC 8037), typed `at+jwt` (RFC 9068). Called by `service`.
//!
//! The algorithm is pinned, the key is chosen by `kid` among the vault's own keys, and nothing else in a token's header is followed.
//! Time comes in from the caller. Whether the session behind a token still holds is not said by the token, and is checked elsewhere.

use std::collections::HashMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::random;
use super::token::sha256;

/// No token of the vault's is near this size; a longer one is refused unread.
const MAX_TOKEN_BYTES: usize = 4096;
/// The type in the header, so that no other kind of JWT under the same key passes for an access token.
const TYPE: &str = "at+jwt";
/// By how many seconds the clock of the process that issued a token may be ahead of ours.
const CLOCK_SKEW_SECONDS: i64 = 30;
/// An unencrypted PKCS#8 v1 document of an Ed25519 key up to the 32 bytes of the key itself (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const SEED_BYTES: usize = 32;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// The user.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    /// When it was issued, in seconds since 1970, like all times here.
    pub iat: i64,
    /// Before when it is not valid.
    pub nbf: i64,
    /// From when it is not valid any more.
    pub exp: i64,
}

/// A key that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// The private half does not parse.
    #[error("the private half of a signing key is not an Ed25519 key in PKCS#8")]
    Private,
    /// The public half has another size, or its id is not its thumbprint.
    #[error("the public half of a signing key does not belong to its id: the row was changed outside the vault")]
    Public,
    /// Signing failed.
    #[error("a token could not be signed")]
    Signing,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Past its end.
    #[error("the token is past its end")]
    Expired,
    /// From the future, by more than clocks may differ.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Not a token of this form, or too long.
    #[error("the token is malformed")]
    Malformed,
    /// Signed with another algorithm than EdDSA.
    #[error("the token is signed with another algorithm")]
    WrongAlgorithm,
    /// Signed by a key that is not, or no longer, the vault's.
    #[error("the token is signed by an unknown key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Issued by another vault.
    #[error("the token was issued by another issuer")]
    WrongIssuer,
    /// For another audience.
    #[error("the token is for another audience")]
    WrongAudience,
}

/// The private key that tokens are signed with.
pub struct SigningKey {
    kid: String,
    public_key: [u8; 32],
    // Holds the PKCS#8 document, and wipes it when dropped.
    key: EncodingKey,
}

impl SigningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`SigningKeyError::Private`]; never in practice.
    pub fn generate() -> Result<Self, SigningKeyError> {
        let mut pkcs8 = Zeroizing::new([0; PKCS8_PREFIX.len() + SEED_BYTES]);
        let (prefix, seed) = pkcs8.split_at_mut(PKCS8_PREFIX.len());
        prefix.copy_from_slice(&PKCS8_PREFIX);
        random::fill(seed);
        Self::from_pkcs8(&*pkcs8)
    }

    /// Reads what [`SigningKey::pkcs8`] gave.
    ///
    /// # Errors
    /// [`SigningKeyError::Private`].
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SigningKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| SigningKeyError::Private)?;
        let public_key = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| SigningKeyError::Private)?;
        Ok(Self {
            kid: thumbprint(&public_key),
            public_key,
            key: EncodingKey::from_ed_der(pkcs8),
        })
    }

    /// The private half as an unencrypted PKCS#8 document; it goes nowhere but into an envelope.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// Its id: the thumbprint of the public half (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }
}

/// The public halves that tokens are verified with, by id.
pub struct VerifyingKeys(HashMap<String, VerifyingKey>);

struct VerifyingKey {
    key: DecodingKey,
    public_key: [u8; 32],
}

impl VerifyingKeys {
    /// Takes ids with public halves.
    ///
    /// # Errors
    /// [`SigningKeyError::Public`] if an id is not the thumbprint of its key.
    pub fn new(keys: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, SigningKeyError> {
        let checked = keys.into_iter().map(|(kid, public_key)| {
            let public_key: [u8; 32] = public_key.try_into().map_err(|_| SigningKeyError::Public)?;
            if thumbprint(&public_key) != kid {
                return Err(SigningKeyError::Public);
            }
            Ok((
                kid,
                VerifyingKey {
                    key: DecodingKey::from_ed_der(&public_key),
                    public_key,
                },
            ))
        });
        checked.collect::<Result<_, _>>().map(Self)
    }

    /// Whether each of these keys is among the others.
    #[must_use]
    pub fn is_within(&self, others: &Self) -> bool {
        self.0.keys().all(|kid| others.0.contains_key(kid))
    }

    /// The JSON Web Key Set to publish (RFC 7517), in the order of the ids.
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        let mut keys: Vec<_> = self.0.iter().collect();
        keys.sort_by_key(|(kid, _)| *kid);
        let jwk = |(kid, key): (&String, &VerifyingKey)| {
            let x = URL_SAFE_NO_PAD.encode(key.public_key);
            serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x })
        };
        serde_json::json!({ "keys": keys.into_iter().map(jwk).collect::<Vec<_>>() })
    }
}

/// Signs a token.
///
/// # Errors
/// [`SigningKeyError::Signing`]; never in practice.
pub fn issue(key: &SigningKey, claims: &Claims) -> Result<SecretString, SigningKeyError> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(key.kid.clone());
    jsonwebtoken::encode(&header, claims, &key.key)
        .map(SecretString::from)
        .map_err(|_| SigningKeyError::Signing)
}

/// Verifies a token: form, key, signature, issuer, audience and times, in this order.
///
/// # Errors
/// [`VerifyError`].
pub fn verify(
    token: &str,
    keys: &VerifyingKeys,
    issuer: &str,
    audience: &str,
    now: Timestamp,
) -> Result<Claims, VerifyError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(VerifyError::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| VerifyError::Malformed)?;
    if header.alg != Algorithm::EdDSA {
        return Err(VerifyError::WrongAlgorithm);
    }
    // An extension that must be understood is one that is not (RFC 7515, section 4.1.11).
    if header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
        return Err(VerifyError::Malformed);
    }
    let key = header
        .kid
        .and_then(|kid| keys.0.get(&kid))
        .ok_or(VerifyError::UnknownKey)?;
    let claims: Claims = jsonwebtoken::decode(token, &key.key, &signature_only())
        .map_err(|error| refusal(error.kind()))?
        .claims;
    if claims.iss != issuer {
        return Err(VerifyError::WrongIssuer);
    }
    if claims.aud != audience {
        return Err(VerifyError::WrongAudience);
    }
    let now = now.as_second();
    if claims.exp <= now {
        return Err(VerifyError::Expired);
    }
    if claims.nbf.max(claims.iat) > now.saturating_add(CLOCK_SKEW_SECONDS) {
        return Err(VerifyError::NotYetValid);
    }
    Ok(claims)
}

/// The library reads the clock itself, so it checks the signature and `verify` checks the claims.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn refusal(kind: &ErrorKind) -> VerifyError {
    match kind {
        ErrorKind::InvalidSignature => VerifyError::BadSignature,
        ErrorKind::InvalidAlgorithm => VerifyError::WrongAlgorithm,
        _ => VerifyError::Malformed,
    }
}

/// RFC 7638: SHA-256 of the required members, in the order of their names and without white space.
fn thumbprint(public_key: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    URL_SAFE_NO_PAD.encode(sha256(
        format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes(),
    ))
}

#[cfg(test)]
mod tests;
