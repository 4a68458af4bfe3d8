//! Service account tokens of Kubernetes: JWTs that a cluster's API server signs (RFC 7519; Kubernetes, "Managing Service Accounts").
//! Called by `service`.
//!
//! They are verified here with the keys that the cluster publishes, or by the API server itself; then [`read`] tells what the token says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// Bytes of a token at most; those of an API server have about a thousand.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// Keys that a cluster may publish: one signs, a few overlap.
const MAX_KEYS: usize = 32;
/// By how many seconds the clock of the API server may be ahead of ours.
const CLOCK_SKEW_SECONDS: i64 = 30;
/// Seconds that a token may be good for. Bound tokens live for an hour or so; those without an end, which lie in Secrets, are refused.
const MAX_LIFE_SECONDS: i64 = 86_400;
/// What the subject of a service account begins with.
const SUBJECT: &str = "system:serviceaccount:";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccountClaims {
    /// The issuer.
    pub issuer: String,
    /// Whom it is for.
    pub audiences: Vec<String>,
    /// When it was issued, in seconds since 1970, like all times here.
    pub issued_at: i64,
    /// From when it is not valid any more.
    pub expires_at: i64,
    /// The namespace's name. Its uid is in no token.
    pub namespace: String,
    /// The service account.
    pub service_account: Bound,
    /// The pod that it is bound to, if it is.
    pub pod: Option<Bound>,
}

/// A named object with its uid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bound {
    /// The name.
    pub name: String,
    /// The uid.
    pub uid: String,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClusterTokenError {
    /// Not a JWT of this form, or too long.
    #[error("this is no service account token")]
    Malformed,
    /// Past its end.
    #[error("the token is past its end")]
    Expired,
    /// From the future, by more than clocks may differ.
    #[error("the token is not valid yet; do the clocks differ?")]
    NotYetValid,
    /// Without an end, or one that is too far away.
    #[error("the token lives longer than a day; project one into the pod, with an end")]
    LivesTooLong,
    /// For another audience.
    #[error("the token is for another audience")]
    WrongAudience,
    /// By another issuer.
    #[error("the token is of another issuer than this cluster's")]
    WrongIssuer,
    /// Neither RS256 nor ES256.
    #[error("the token is signed with another algorithm than RS256 and ES256")]
    WrongAlgorithm,
    /// By a key that the cluster does not publish.
    #[error("the token is signed with a key that the cluster has not published")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    BadSignature,
}

/// The published keys are not a JSON Web Key Set with keys that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON Web Key Set with 1 to {MAX_KEYS} keys for RS256 or ES256, each with an id")]
pub struct BadKeySet;

/// The keys that a cluster signs with.
pub struct ClusterKeys(Vec<(String, Algorithm, DecodingKey)>);

impl ClusterKeys {
    /// Reads a JSON Web Key Set (RFC 7517).
    ///
    /// # Errors
    /// [`BadKeySet`].
    pub fn parse(jwks: &serde_json::Value) -> Result<Self, BadKeySet> {
        let set: JwkSet = serde_json::from_value(jwks.clone()).map_err(|_| BadKeySet)?;
        if !(1..=MAX_KEYS).contains(&set.keys.len()) {
            return Err(BadKeySet);
        }
        set.keys
            .iter()
            .map(usable)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or(BadKeySet)
    }
}

fn usable(jwk: &Jwk) -> Option<(String, Algorithm, DecodingKey)> {
    use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve};
    // The algorithm follows from the key, never from the token alone (RFC 8725, section 3.1).
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    Some((jwk.common.key_id.clone()?, algorithm, key))
}

/// Verifies a token with a cluster's keys: form, key, signature, issuer, audience and times.
///
/// # Errors
/// [`ClusterTokenError`].
pub fn verify(
    token: &str,
    keys: &ClusterKeys,
    issuer: &str,
    audience: &str,
    now: Timestamp,
) -> Result<ServiceAccountClaims, ClusterTokenError> {
    let claims = read(token)?;
    let header = jsonwebtoken::decode_header(token).map_err(|_| ClusterTokenError::Malformed)?;
    if header.crit.is_some() {
        return Err(ClusterTokenError::Malformed);
    }
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(ClusterTokenError::WrongAlgorithm);
    }
    let (_, algorithm, key) = keys
        .0
        .iter()
        .find(|(kid, ..)| Some(kid) == header.kid.as_ref())
        .ok_or(ClusterTokenError::UnknownKey)?;
    if header.alg != *algorithm {
        return Err(ClusterTokenError::WrongAlgorithm);
    }
    let mut signature_only = Validation::new(*algorithm);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_nbf = false;
    signature_only.validate_aud = false;
    jsonwebtoken::decode::<serde_json::Value>(token, key, &signature_only)
        .map_err(|_| ClusterTokenError::BadSignature)?;
    if claims.issuer != issuer {
        return Err(ClusterTokenError::WrongIssuer);
    }
    check(&claims, audience, now)?;
    Ok(claims)
}

/// Checks audience and times of a token whose signature is, or will be, verified elsewhere.
///
/// # Errors
/// [`ClusterTokenError`].
pub fn check(claims: &ServiceAccountClaims, audience: &str, now: Timestamp) -> Result<(), ClusterTokenError> {
    let now = now.as_second();
    if !claims.audiences.iter().any(|found| found == audience) {
        return Err(ClusterTokenError::WrongAudience);
    }
    if claims.expires_at <= now {
        return Err(ClusterTokenError::Expired);
    }
    if claims.issued_at > now.saturating_add(CLOCK_SKEW_SECONDS) {
        return Err(ClusterTokenError::NotYetValid);
    }
    if claims.expires_at.saturating_sub(claims.issued_at) > MAX_LIFE_SECONDS {
        return Err(ClusterTokenError::LivesTooLong);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audiences,
    sub: String,
    iat: i64,
    exp: i64,
    #[serde(default)]
    nbf: i64,
    #[serde(rename = "kubernetes.io")]
    kubernetes: KubernetesClaims,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct KubernetesClaims {
    namespace: String,
    serviceaccount: Bound,
    pod: Option<Bound>,
}

/// What a token says, without a word on whether it is true.
///
/// # Errors
/// [`ClusterTokenError::Malformed`].
pub fn read(token: &str) -> Result<ServiceAccountClaims, ClusterTokenError> {
    let malformed = ClusterTokenError::Malformed;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(malformed);
    }
    let mut parts = token.split('.');
    let (Some(_), Some(body), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(malformed);
    };
    let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| malformed)?;
    let claims: Claims = serde_json::from_slice(&body).map_err(|_| malformed)?;
    let kubernetes = claims.kubernetes;
    // The subject is what the API server goes by; what stands beside it has to say the same.
    let subject = format!("{SUBJECT}{}:{}", kubernetes.namespace, kubernetes.serviceaccount.name);
    let bound = [Some(&kubernetes.serviceaccount), kubernetes.pod.as_ref()];
    let named = bound
        .into_iter()
        .flatten()
        .all(|bound| fits(&bound.name) && fits(&bound.uid));
    if claims.sub != subject || !named || !fits(&kubernetes.namespace) {
        return Err(malformed);
    }
    Ok(ServiceAccountClaims {
        issuer: claims.iss,
        audiences: match claims.aud {
            Audiences::One(one) => vec![one],
            Audiences::Many(many) => many,
        },
        issued_at: claims.iat.max(claims.nbf),
        expires_at: claims.exp,
        namespace: kubernetes.namespace,
        service_account: kubernetes.serviceaccount,
        pod: kubernetes.pod,
    })
}

/// A name or a uid as Kubernetes has them.
fn fits(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests;
