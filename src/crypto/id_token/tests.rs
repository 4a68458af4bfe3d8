//! Tokens as a provider signs them, and as somebody else would like to.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const ISSUER: &str = "https://id.example.org";
const CLIENT: &str = "vault";
const NONCE: &str = "n-0S6_WzA2Mj";
const NOW: i64 = 1_790_000_000;
const PARTIES: Parties<'static> = Parties {
    issuer: ISSUER,
    client_id: CLIENT,
};

struct Signer {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { pair, kid }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (&point[1..33], &point[33..]);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
    }

    fn keys(&self) -> ProviderKeys {
        ProviderKeys::parse(&json!({"keys": [{"kty": "other"}, self.jwk()]})).unwrap()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": self.kid}), claims)
    }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": CLIENT, "sub": "ann", "iat": NOW - 5, "exp": NOW + 60, "nonce": NONCE})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn check(token: &str, keys: &ProviderKeys) -> Result<Map<String, Value>, IdTokenError> {
    verify(token, keys, PARTIES, NONCE, Timestamp::from_second(NOW).unwrap())
}

#[test]
fn a_token_of_the_provider_is_accepted() {
    let signer = Signer::new("a");
    let accepted = check(&signer.token(&claims()), &signer.keys()).unwrap();
    assert_eq!(accepted["sub"], "ann");
    let unnamed = signer.sign(&json!({"alg": "ES256"}), &claims());
    assert!(check(&unnamed, &signer.keys()).is_ok());
    for audience in [json!([CLIENT]), json!(CLIENT)] {
        assert!(check(&signer.token(&with("aud", audience)), &signer.keys()).is_ok());
    }
}

#[test]
fn r12_a_token_for_another_login_client_or_time_is_refused() {
    let signer = Signer::new("a");
    let both = |azp: Value| {
        let mut claims = with("aud", json!([CLIENT, "other"]));
        claims["azp"] = azp;
        claims
    };
    assert!(check(&signer.token(&both(json!(CLIENT))), &signer.keys()).is_ok());
    for (claims, error) in [
        (with("nonce", json!("another")), IdTokenError::WrongNonce),
        (with("nonce", json!("")), IdTokenError::WrongNonce),
        (without("nonce"), IdTokenError::WrongNonce),
        (with("iss", json!("https://evil.example")), IdTokenError::WrongIssuer),
        (with("iss", json!(format!("{ISSUER}/"))), IdTokenError::WrongIssuer),
        (without("iss"), IdTokenError::WrongIssuer),
        (with("aud", json!("other")), IdTokenError::WrongAudience),
        (with("aud", json!(["other"])), IdTokenError::WrongAudience),
        (with("aud", json!([CLIENT, "other"])), IdTokenError::WrongAudience),
        (both(json!("other")), IdTokenError::WrongAudience),
        (both(json!(7)), IdTokenError::WrongAudience),
        (with("azp", json!("other")), IdTokenError::WrongAudience),
        (without("aud"), IdTokenError::WrongAudience),
        (with("exp", json!(NOW - 30)), IdTokenError::Expired),
        (without("exp"), IdTokenError::Malformed),
        (with("iat", json!(NOW + 31)), IdTokenError::NotYetValid),
        (with("nbf", json!(NOW + 31)), IdTokenError::NotYetValid),
        (without("iat"), IdTokenError::Malformed),
    ] {
        assert_eq!(check(&signer.token(&claims), &signer.keys()), Err(error), "{claims}");
    }
}

#[test]
fn r12_a_token_that_the_provider_did_not_sign_is_refused() {
    let (signer, other) = (Signer::new("a"), Signer::new("b"));
    assert_eq!(
        check(&other.token(&claims()), &signer.keys()),
        Err(IdTokenError::UnknownKey)
    );
    let borrowed = other.sign(&json!({"alg": "ES256", "kid": "a"}), &claims());
    assert_eq!(check(&borrowed, &signer.keys()), Err(IdTokenError::BadSignature));
    for alg in ["RS256", "HS256", "EdDSA", "ES384"] {
        let token = signer.sign(&json!({"alg": alg, "kid": "a"}), &claims());
        assert_eq!(
            check(&token, &signer.keys()),
            Err(IdTokenError::WrongAlgorithm),
            "{alg}"
        );
    }
    for alg in ["none", "None", ""] {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.", encode(&json!({"alg": alg, "kid": "a"})), encode(&claims()));
        assert_eq!(
            check(&token, &signer.keys()),
            Err(IdTokenError::WrongAlgorithm),
            "{alg}"
        );
    }
    let token = signer.token(&claims());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let forged = URL_SAFE_NO_PAD.encode(with("sub", json!("admin")).to_string());
    let forged = format!("{header}.{forged}.{signature}");
    assert_eq!(check(&forged, &signer.keys()), Err(IdTokenError::BadSignature));
    let critical = signer.sign(&json!({"alg": "ES256", "kid": "a", "crit": ["exp"]}), &claims());
    assert!(check(&critical, &signer.keys()).is_err());
}

#[test]
fn keys_for_something_else_verify_nothing() {
    let signer = Signer::new("a");
    let mut encryption = signer.jwk();
    encryption["use"] = json!("enc");
    for keys in [
        json!({}),
        json!({"keys": []}),
        json!({"keys": [encryption]}),
        json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}),
    ] {
        assert!(ProviderKeys::parse(&keys).is_err(), "{keys}");
    }
}

#[test]
fn only_a_logout_token_logs_out() {
    let signer = Signer::new("a");
    let logout = |change: fn(&mut Value)| {
        let mut claims = json!({"iss": ISSUER, "aud": CLIENT, "sub": "ann", "sid": "s1", "iat": NOW, "jti": "j",
            "events": {LOGOUT_EVENT: {}}});
        change(&mut claims);
        signer.token(&claims)
    };
    let now = Timestamp::from_second(NOW).unwrap();
    let check = |token: &str| verify_logout(token, &signer.keys(), PARTIES, now);
    let out = check(&logout(|_| {})).unwrap();
    assert_eq!(
        (out.subject.as_deref(), out.session.as_deref()),
        (Some("ann"), Some("s1"))
    );
    assert_eq!(
        check(&signer.token(&claims())),
        Err(IdTokenError::Malformed),
        "an ID token"
    );
    for (change, error) in [
        (
            (|claims: &mut Value| claims["nonce"] = json!("n")) as fn(&mut Value),
            IdTokenError::Malformed,
        ),
        (|claims| claims["events"] = json!({}), IdTokenError::Malformed),
        (|claims| claims["aud"] = json!("other"), IdTokenError::WrongAudience),
        (|claims| claims["iat"] = json!(NOW - 150), IdTokenError::Expired),
        (
            |claims| {
                let claims = claims.as_object_mut().unwrap();
                claims.remove("sub");
                claims.remove("sid");
            },
            IdTokenError::Malformed,
        ),
    ] {
        assert_eq!(check(&logout(change)), Err(error));
    }
}

proptest! {
    #[test]
    fn r31_no_text_panics(text in any::<String>(), keys in "[\\PC]{0,60}") {
        let signer = Signer::new("a");
        prop_assert!(check(&text, &signer.keys()).is_err());
        if let Ok(value) = serde_json::from_str::<Value>(&keys) {
            prop_assert!(ProviderKeys::parse(&value).is_err());
        }
    }
}
