//! Tokens as an API server signs them, and as somebody else would like to.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const NOW: i64 = 1_790_000_000;

struct Signer {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        Self {
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            kid,
        }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (
            URL_SAFE_NO_PAD.encode(&point[1..33]),
            URL_SAFE_NO_PAD.encode(&point[33..]),
        );
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": x, "y": y})
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
    json!({
        "iss": ISSUER, "aud": ["aether-vault"], "sub": "system:serviceaccount:shop:web",
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 3600, "jti": "j",
        "kubernetes.io": {"namespace": "shop", "node": {"name": "n", "uid": "nu"},
            "pod": {"name": "web-1", "uid": "pu"}, "serviceaccount": {"name": "web", "uid": "su"}}
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

fn verified(token: &str, signer: &Signer) -> Result<ServiceAccountClaims, ClusterTokenError> {
    let keys = ClusterKeys::parse(&json!({"keys": [signer.jwk()]})).unwrap();
    verify(
        token,
        &keys,
        ISSUER,
        "aether-vault",
        Timestamp::from_second(NOW).unwrap(),
    )
}

#[test]
fn a_token_of_the_cluster_tells_who_it_is() {
    let signer = Signer::new("k1");
    let found = verified(&signer.token(&claims()), &signer).unwrap();
    assert_eq!(
        (found.namespace.as_str(), found.service_account.name.as_str()),
        ("shop", "web")
    );
    assert_eq!(
        (found.service_account.uid.as_str(), found.pod.unwrap().uid.as_str()),
        ("su", "pu")
    );
    let single = with(|claims| claims["aud"] = json!("aether-vault"));
    assert!(verified(&signer.token(&single), &signer).is_ok());
}

#[test]
fn r10_whatever_differs_from_the_cluster_s_word_is_refused() {
    use ClusterTokenError as E;
    let signer = Signer::new("k1");
    for (changed, expected) in [
        (
            with(|c| c["aud"] = json!(["https://kubernetes.default.svc"])),
            E::WrongAudience,
        ),
        (with(|c| c["aud"] = json!([])), E::WrongAudience),
        (with(|c| c["iss"] = json!("https://elsewhere")), E::WrongIssuer),
        (with(|c| c["exp"] = json!(NOW)), E::Expired),
        (with(|c| c["iat"] = json!(NOW + 60)), E::NotYetValid),
        (with(|c| c["nbf"] = json!(NOW + 60)), E::NotYetValid),
        (with(|c| c["exp"] = json!(NOW + 31_536_000)), E::LivesTooLong),
        (
            with(|c| c["sub"] = json!("system:serviceaccount:shop:admin")),
            E::Malformed,
        ),
        (with(|c| c["kubernetes.io"]["namespace"] = json!("bank")), E::Malformed),
        (
            with(|c| c["kubernetes.io"]["serviceaccount"]["uid"] = json!("")),
            E::Malformed,
        ),
        (
            with(|c| c["kubernetes.io"]["serviceaccount"]["uid"] = json!("a\0b")),
            E::Malformed,
        ),
        (with(|c| c["kubernetes.io"] = json!({})), E::Malformed),
    ] {
        assert_eq!(verified(&signer.token(&changed), &signer), Err(expected), "{changed}");
    }
}

#[test]
fn r10_a_signature_of_anybody_else_is_refused() {
    use ClusterTokenError as E;
    let (signer, stranger) = (Signer::new("k1"), Signer::new("k1"));
    assert_eq!(verified(&stranger.token(&claims()), &signer), Err(E::BadSignature));
    assert_eq!(
        verified(&Signer::new("k2").token(&claims()), &signer),
        Err(E::UnknownKey)
    );
    let unsigned = signer.sign(&json!({"alg": "none", "kid": "k1"}), &claims());
    assert_eq!(verified(&unsigned, &signer), Err(E::Malformed));
    for algorithm in ["HS256", "EdDSA", "ES384"] {
        let other = signer.sign(&json!({"alg": algorithm, "kid": "k1"}), &claims());
        assert_eq!(verified(&other, &signer), Err(E::WrongAlgorithm), "{algorithm}");
    }
    // An algorithm that is fine, and not that of the key.
    let confused = signer.sign(&json!({"alg": "RS256", "kid": "k1"}), &claims());
    assert_eq!(verified(&confused, &signer), Err(E::WrongAlgorithm));
    let token = signer.token(&claims());
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(verified(&format!("{signed}."), &signer), Err(E::BadSignature));
}

#[test]
fn r23_a_key_set_is_bounded_and_whole() {
    let signer = Signer::new("k1");
    let set = |keys: Vec<Value>| ClusterKeys::parse(&json!({ "keys": keys })).is_ok();
    assert!(set(vec![signer.jwk()]) && set(vec![signer.jwk(); 32]));
    assert!(!set(vec![]) && !set(vec![signer.jwk(); 33]));
    assert!(!set(vec![json!({"kty": "oct", "kid": "k1", "k": "c2VjcmV0"})]));
    assert!(ClusterKeys::parse(&json!("keys")).is_err());
}

proptest! {
    #[test]
    fn r31_no_text_panics(text in any::<String>(), parts in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        let _ = read(&text);
        prop_assert!(read(&parts).is_err());
    }
}
