//! ID tokens and logout tokens of OpenID providers (OpenID Connect Core 1.0, section 3.1.3.7; Back-Channel Logout 1.0, section 2.6).
//! Called by `oidc`, which fetches the keys.

use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

/// Bytes of a token at most.
const MAX_TOKEN_BYTES: usize = 64 << 10;
/// Keys of a provider that are looked at.
const MAX_KEYS: usize = 64;
/// By how many seconds the provider's clock and ours may differ.
const CLOCK_SKEW_SECONDS: i64 = 30;
/// Seconds for which a logout token is taken after it was issued.
const LOGOUT_TOKEN_SECONDS: i64 = 150;
/// The event that makes a token a logout token.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Why a token is refused. The texts never repeat anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Not a JWT of this form, or too long.
    #[error("not a token of this kind")]
    Malformed,
    /// Signed with a key that the provider does not publish.
    #[error("signed with a key that the provider does not publish")]
    UnknownKey,
    /// Signed in a way that the key is not for, or not at all.
    #[error("signed in a way that the key is not for")]
    WrongAlgorithm,
    /// Its signature is not that of its content.
    #[error("the signature is wrong")]
    BadSignature,
    /// Of another issuer.
    #[error("issued by somebody else")]
    WrongIssuer,
    /// For another client.
    #[error("issued for another client")]
    WrongAudience,
    /// Past its end.
    #[error("past its end")]
    Expired,
    /// Issued in the future.
    #[error("issued in the future; the clocks of provider and vault differ")]
    NotYetValid,
    /// Issued for another login.
    #[error("issued for another login")]
    WrongNonce,
}

/// The provider published nothing that verifies anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider publishes no key that signatures can be verified with")]
pub struct NoKeys;

/// The keys that a provider publishes.
pub struct ProviderKeys(Vec<ProviderKey>);

struct ProviderKey {
    kid: Option<String>,
    algorithms: &'static [Algorithm],
    key: DecodingKey,
}

/// Whom a token has to be from and for.
#[derive(Clone, Copy)]
pub struct Parties<'a> {
    /// The issuer, as the settings have it.
    pub issuer: &'a str,
    /// Our own name at it.
    pub client_id: &'a str,
}

/// A session that ended at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedOut {
    /// The subject, if it is told.
    pub subject: Option<String>,
    /// The provider's session, if it is told; all of the subject's otherwise.
    pub session: Option<String>,
}

impl ProviderKeys {
    /// Reads a JSON Web Key Set (RFC 7517). Keys that are for something else, or of an unknown kind, are passed over.
    ///
    /// # Errors
    /// [`NoKeys`] if none is left.
    pub fn parse(jwks: &Value) -> Result<Self, NoKeys> {
        let listed = jwks.get("keys").and_then(Value::as_array).ok_or(NoKeys)?;
        let keys: Vec<_> = listed.iter().take(MAX_KEYS).filter_map(usable).collect();
        if keys.is_empty() { Err(NoKeys) } else { Ok(Self(keys)) }
    }
}

fn usable(jwk: &Value) -> Option<ProviderKey> {
    let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    // The algorithm follows from the key, never from the token alone (RFC 8725, section 3.1); shared secrets are not taken at all.
    let algorithms: &'static [Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
        _ => return None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(ProviderKey {
        kid: jwk.common.key_id,
        algorithms,
        key,
    })
}

/// Verifies an ID token: form, key, signature, issuer, audience, authorised party, times and nonce. Answers its claims.
///
/// # Errors
/// [`IdTokenError`].
pub fn verify(
    token: &str,
    keys: &ProviderKeys,
    parties: Parties<'_>,
    nonce: &str,
    now: Timestamp,
) -> Result<Map<String, Value>, IdTokenError> {
    let claims = verified(token, keys)?;
    check_parties(&claims, parties)?;
    let (now, second) = (now.as_second(), |name| claims.get(name).and_then(seconds));
    let expires = second("exp").ok_or(IdTokenError::Malformed)?;
    let issued = second("iat").ok_or(IdTokenError::Malformed)?;
    if expires.saturating_add(CLOCK_SKEW_SECONDS) <= now {
        return Err(IdTokenError::Expired);
    }
    if issued.max(second("nbf").unwrap_or(issued)) > now.saturating_add(CLOCK_SKEW_SECONDS) {
        return Err(IdTokenError::NotYetValid);
    }
    let found = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
    if !bool::from(found.as_bytes().ct_eq(nonce.as_bytes())) {
        return Err(IdTokenError::WrongNonce);
    }
    Ok(claims)
}

/// Verifies a logout token.
///
/// # Errors
/// [`IdTokenError`].
pub fn verify_logout(
    token: &str,
    keys: &ProviderKeys,
    parties: Parties<'_>,
    now: Timestamp,
) -> Result<LoggedOut, IdTokenError> {
    let claims = verified(token, keys)?;
    check_parties(&claims, parties)?;
    let issued = claims.get("iat").and_then(seconds).ok_or(IdTokenError::Malformed)?;
    let now = now.as_second();
    if issued > now.saturating_add(CLOCK_SKEW_SECONDS) {
        return Err(IdTokenError::NotYetValid);
    }
    let end = claims.get("exp").and_then(seconds).unwrap_or(i64::MAX);
    if end.saturating_add(CLOCK_SKEW_SECONDS) <= now || issued.saturating_add(LOGOUT_TOKEN_SECONDS) <= now {
        return Err(IdTokenError::Expired);
    }
    let event = claims.get("events").and_then(|events| events.get(LOGOUT_EVENT));
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let out = LoggedOut {
        subject: text("sub"),
        session: text("sid"),
    };
    // A nonce is forbidden, so that no ID token passes for one.
    let sound = event.is_some_and(Value::is_object)
        && !claims.contains_key("nonce")
        && (out.subject.is_some() || out.session.is_some());
    if sound { Ok(out) } else { Err(IdTokenError::Malformed) }
}

/// The claims of a token whose signature is one of the provider's.
fn verified(token: &str, keys: &ProviderKeys) -> Result<Map<String, Value>, IdTokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(IdTokenError::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| IdTokenError::WrongAlgorithm)?;
    if header.crit.is_some() {
        return Err(IdTokenError::Malformed);
    }
    let named: Vec<_> = keys.0.iter().filter(|key| names(&header, key)).collect();
    if named.is_empty() {
        return Err(IdTokenError::UnknownKey);
    }
    let fitting: Vec<_> = named
        .into_iter()
        .filter(|key| key.algorithms.contains(&header.alg))
        .collect();
    if fitting.is_empty() {
        return Err(IdTokenError::WrongAlgorithm);
    }
    // What is not the signature is checked by us, against the clock and the parties that we were given.
    let mut signature_only = Validation::new(header.alg);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_nbf = false;
    signature_only.validate_aud = false;
    fitting
        .into_iter()
        .find_map(|key| jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &signature_only).ok())
        .map(|token| token.claims)
        .ok_or(IdTokenError::BadSignature)
}

/// A token that names no key may be of any.
fn names(header: &Header, key: &ProviderKey) -> bool {
    header.kid.is_none() || header.kid == key.kid
}

fn check_parties(claims: &Map<String, Value>, parties: Parties<'_>) -> Result<(), IdTokenError> {
    if claims.get("iss").and_then(Value::as_str) != Some(parties.issuer) {
        return Err(IdTokenError::WrongIssuer);
    }
    let ours = Some(parties.client_id);
    let (found, others) = match claims.get("aud") {
        Some(Value::String(one)) => (Some(one.as_str()) == ours, false),
        Some(Value::Array(many)) => (many.iter().any(|one| one.as_str() == ours), many.len() > 1),
        _ => (false, false),
    };
    let azp = claims.get("azp").and_then(Value::as_str);
    // With several audiences it has to say that it was issued to us.
    if !found || (others && azp.is_none()) || (claims.contains_key("azp") && azp != ours) {
        return Err(IdTokenError::WrongAudience);
    }
    Ok(())
}

/// A NumericDate (RFC 7519, section 2), which may have a fraction.
fn seconds(value: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "times out of range saturate, and are refused as such"
    )]
    value.as_i64().or_else(|| value.as_f64().map(|time| time as i64))
}

#[cfg(test)]
mod tests;
