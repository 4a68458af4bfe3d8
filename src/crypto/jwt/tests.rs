use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;

/// The private key and its public half of RFC 8037, appendix A, and the thumbprint of its appendix A.3.
const RFC_SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const RFC_PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const RFC_THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

const NOW: i64 = 1_735_787_045;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key() -> SigningKey {
    SigningKey::generate().unwrap_or_else(|error| panic!("{error}"))
}

fn keys(of: &[&SigningKey]) -> VerifyingKeys {
    let publics = of.iter().map(|key| (key.kid().to_owned(), key.public_key().to_vec()));
    VerifyingKeys::new(publics).unwrap_or_else(|error| panic!("{error}"))
}

fn claims() -> Claims {
    Claims {
        iss: "vault".into(),
        aud: "api".into(),
        sub: Uuid::from_u128(1),
        sid: Uuid::from_u128(2),
        iat: NOW,
        nbf: NOW,
        exp: NOW + 900,
    }
}

fn issued(key: &SigningKey, claims: &Claims) -> String {
    issue(key, claims).unwrap().expose_secret().to_owned()
}

fn check(token: &str, keys: &VerifyingKeys, now: i64) -> Result<Claims, VerifyError> {
    verify(token, keys, "vault", "api", at(now))
}

/// A token with any header and body, signed with `key`.
fn forged(key: &SigningKey, header: &str, body: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(body));
    let signature = Ed25519KeyPair::from_pkcs8(key.pkcs8())
        .unwrap()
        .sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_comes_back_with_its_claims() {
    let key = key();
    let token = issued(&key, &claims());
    assert_eq!(check(&token, &keys(&[&key]), NOW), Ok(claims()));
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.kid.as_deref(), Some(key.kid()));
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    assert!(token.len() < MAX_TOKEN_BYTES / 4, "{}", token.len());
}

#[test]
fn a_token_verifies_with_any_published_key_and_with_no_other() {
    let (old, new, foreign) = (key(), key(), key());
    let published = keys(&[&new, &old]);
    assert!(check(&issued(&old, &claims()), &published, NOW).is_ok());
    assert!(check(&issued(&new, &claims()), &published, NOW).is_ok());
    assert_eq!(
        check(&issued(&foreign, &claims()), &published, NOW),
        Err(VerifyError::UnknownKey)
    );
    assert_eq!(
        check(&issued(&new, &claims()), &keys(&[]), NOW),
        Err(VerifyError::UnknownKey)
    );
}

#[test]
fn times_are_checked_against_the_time_that_is_passed_in() {
    let key = key();
    let token = issued(&key, &claims());
    let keys = keys(&[&key]);
    assert!(check(&token, &keys, NOW + 899).is_ok());
    assert_eq!(check(&token, &keys, NOW + 900), Err(VerifyError::Expired));
    assert!(check(&token, &keys, NOW - CLOCK_SKEW_SECONDS).is_ok());
    assert_eq!(
        check(&token, &keys, NOW - CLOCK_SKEW_SECONDS - 1),
        Err(VerifyError::NotYetValid)
    );
    let late = Claims {
        nbf: NOW + 100,
        ..claims()
    };
    assert_eq!(check(&issued(&key, &late), &keys, NOW), Err(VerifyError::NotYetValid));
    let endless = Claims {
        exp: i64::MAX,
        nbf: i64::MIN,
        ..claims()
    };
    assert!(check(&issued(&key, &endless), &keys, NOW).is_ok());
}

#[test]
fn issuer_and_audience_are_checked() {
    let key = key();
    let (token, keys) = (issued(&key, &claims()), keys(&[&key]));
    assert_eq!(
        verify(&token, &keys, "vault2", "api", at(NOW)),
        Err(VerifyError::WrongIssuer)
    );
    assert_eq!(
        verify(&token, &keys, "vault", "api2", at(NOW)),
        Err(VerifyError::WrongAudience)
    );
}

#[test]
fn a_changed_body_or_signature_is_refused() {
    let (key, other) = (key(), key());
    let keys = keys(&[&key, &other]);
    let token = issued(&key, &claims());
    let [header, body, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}")
    };
    let admin = Claims {
        sub: Uuid::from_u128(7),
        ..claims()
    };
    let admin_body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&admin).unwrap());
    assert_eq!(
        check(&format!("{header}.{admin_body}.{signature}"), &keys, NOW),
        Err(VerifyError::BadSignature)
    );
    let other_token = issued(&other, &claims());
    let other_signature = other_token.rsplit('.').next().unwrap();
    assert_eq!(
        check(&format!("{header}.{body}.{other_signature}"), &keys, NOW),
        Err(VerifyError::BadSignature)
    );
    assert_eq!(
        check(&format!("{header}.{body}."), &keys, NOW),
        Err(VerifyError::BadSignature)
    );
}

#[test]
fn no_other_algorithm_type_or_extension_is_taken() {
    let key = key();
    let keys = keys(&[&key]);
    let body = serde_json::to_string(&claims()).unwrap();
    let kid = key.kid();
    let header = |fields: &str| format!(r#"{{"kid":"{kid}",{fields}}}"#);
    assert!(
        check(
            &forged(&key, &header(r#""alg":"EdDSA","typ":"at+jwt""#), &body),
            &keys,
            NOW
        )
        .is_ok()
    );
    for (fields, why) in [
        (r#""alg":"none","typ":"at+jwt""#, VerifyError::Malformed),
        (r#""alg":"HS256","typ":"at+jwt""#, VerifyError::WrongAlgorithm),
        (r#""alg":"ES256","typ":"at+jwt""#, VerifyError::WrongAlgorithm),
        (r#""alg":"EdDSA","typ":"JWT""#, VerifyError::Malformed),
        (r#""alg":"EdDSA""#, VerifyError::Malformed),
        (r#""alg":"EdDSA","typ":"at+jwt","crit":["exp"]"#, VerifyError::Malformed),
    ] {
        assert_eq!(
            check(&forged(&key, &header(fields), &body), &keys, NOW),
            Err(why),
            "{fields}"
        );
    }
    let no_kid = forged(&key, r#"{"alg":"EdDSA","typ":"at+jwt"}"#, &body);
    assert_eq!(check(&no_kid, &keys, NOW), Err(VerifyError::UnknownKey));
}

#[test]
fn a_public_key_is_never_taken_as_a_shared_secret() {
    // The classic confusion: an HMAC keyed with the published key.
    let key = key();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(key.kid().to_owned());
    header.typ = Some(TYPE.to_owned());
    let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(key.public_key())).unwrap();
    assert_eq!(check(&token, &keys(&[&key]), NOW), Err(VerifyError::WrongAlgorithm));
}

#[test]
fn a_body_without_a_claim_is_malformed() {
    let key = key();
    let keys = keys(&[&key]);
    let header = format!(r#"{{"kid":"{}","alg":"EdDSA","typ":"at+jwt"}}"#, key.kid());
    for claim in ["iss", "aud", "sub", "sid", "iat", "nbf", "exp"] {
        let mut body = serde_json::to_value(claims()).unwrap();
        body.as_object_mut().unwrap().remove(claim);
        assert_eq!(
            check(&forged(&key, &header, &body.to_string()), &keys, NOW),
            Err(VerifyError::Malformed),
            "{claim}"
        );
    }
    assert_eq!(
        check(&forged(&key, &header, "null"), &keys, NOW),
        Err(VerifyError::Malformed)
    );
}

#[test]
fn r27_a_token_that_is_too_long_is_refused_unread() {
    let key = key();
    let long = Claims {
        iss: "v".repeat(MAX_TOKEN_BYTES),
        ..claims()
    };
    assert_eq!(
        check(&issued(&key, &long), &keys(&[&key]), NOW),
        Err(VerifyError::Malformed)
    );
}

#[test]
fn a_key_comes_back_from_its_document_and_has_the_id_of_rfc_7638() {
    let mut document = PKCS8_PREFIX.to_vec();
    document.extend(hex::decode(RFC_SEED).unwrap());
    let key = SigningKey::from_pkcs8(&document).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(hex::encode(key.public_key()), RFC_PUBLIC);
    assert_eq!(key.kid(), RFC_THUMBPRINT);
    assert_eq!(key.pkcs8(), document);
    assert_eq!(
        SigningKey::from_pkcs8(&document[..47]).err(),
        Some(SigningKeyError::Private)
    );
    assert_eq!(SigningKey::from_pkcs8(b"").err(), Some(SigningKeyError::Private));
}

#[test]
fn the_published_set_holds_public_halves_only() {
    let key = key();
    let jwks = keys(&[&key]).jwks();
    let x = URL_SAFE_NO_PAD.encode(key.public_key());
    assert_eq!(
        jwks,
        serde_json::json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid(), "x": x }
        ]})
    );
    let private = URL_SAFE_NO_PAD.encode(&key.pkcs8()[16..]);
    assert!(!jwks.to_string().contains(&private));
}

#[test]
fn a_public_half_under_a_foreign_id_is_refused() {
    let (a, b) = (key(), key());
    let mixed = VerifyingKeys::new([(a.kid().to_owned(), b.public_key().to_vec())]);
    assert_eq!(mixed.err(), Some(SigningKeyError::Public));
    let short = VerifyingKeys::new([(a.kid().to_owned(), a.public_key()[..31].to_vec())]);
    assert_eq!(short.err(), Some(SigningKeyError::Public));
}

proptest! {
    #[test]
    fn r31_no_token_panics(text in any::<String>(), parts in "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}") {
        let keys = keys(&[]);
        prop_assert!(check(&text, &keys, NOW).is_err());
        prop_assert!(check(&parts, &keys, NOW).is_err());
    }
}
