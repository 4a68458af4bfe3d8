//! A passkey in software, as a browser and its authenticator together: it answers the options of the API as `navigator.credentials` would.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// User present, user verified.
const VERIFIED: u8 = 0x01 | 0x04;
/// Attested credential data follows.
const ATTESTED: u8 = 0x40;

/// The kind of a passkey's key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    EdDsa,
    Es256,
    Rs256,
}

/// A key pair of one of the kinds.
enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(rsa::KeyPair),
}

/// One passkey.
#[derive(Clone)]
pub struct Authenticator {
    pair: Arc<Pair>,
    credential_id: Vec<u8>,
    user_handle: Option<String>,
    origin: String,
    rp_id: String,
    /// How often it was used; 0 for one that never counts.
    pub counter: u32,
    /// Whether the counter goes up.
    pub counts: bool,
    /// What it says of its user: present and verified, unless a test takes that away.
    pub flags: u8,
}

impl Authenticator {
    /// An authenticator in a browser that shows a page of this origin.
    pub fn new(origin: &str, rp_id: &str) -> Self {
        Self::of_kind(Kind::Es256, origin, rp_id)
    }

    /// The same with a key of this kind.
    pub fn of_kind(kind: Kind, origin: &str, rp_id: &str) -> Self {
        let pair = match kind {
            Kind::EdDsa => Pair::EdDsa(Ed25519KeyPair::generate().unwrap()),
            Kind::Es256 => Pair::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
            Kind::Rs256 => Pair::Rs256(rsa::KeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        Self {
            pair: Arc::new(pair),
            credential_id: aether_vault::crypto::random::bytes::<32>().to_vec(),
            user_handle: None,
            origin: origin.to_owned(),
            rp_id: rp_id.to_owned(),
            counter: 0,
            counts: true,
            flags: VERIFIED,
        }
    }

    /// The same in a browser that shows a page of another origin.
    pub fn at(mut self, origin: &str) -> Self {
        self.origin = origin.to_owned();
        self
    }

    /// Another authenticator with the same key, as a thief would have it.
    pub fn copy(&self) -> Self {
        self.clone()
    }

    /// `navigator.credentials.create`.
    pub fn create(&mut self, options: &Value) -> Value {
        let options = &options["publicKey"];
        self.user_handle = Some(options["user"]["id"].as_str().unwrap().to_owned());
        let client = self.client_data("webauthn.create", options);
        let mut data = self.authenticator_data(self.flags | ATTESTED);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
        data.extend(&self.credential_id);
        data.extend(self.pair.cose());
        // CBOR: {"fmt": "none", "attStmt": {}, "authData": data}.
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData".to_vec();
        match u8::try_from(data.len()) {
            Ok(length) => object.extend([0x58, length]),
            Err(_) => {
                object.push(0x59);
                object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            }
        }
        object.extend(data);
        self.credential(&json!({"clientDataJSON": encode(&client), "attestationObject": encode(&object)}))
    }

    /// `navigator.credentials.get`.
    pub fn get(&mut self, options: &Value) -> Value {
        if self.counts {
            self.counter += 1;
        }
        let client = self.client_data("webauthn.get", &options["publicKey"]);
        let data = self.authenticator_data(self.flags);
        let signed = [data.as_slice(), digest(&SHA256, &client).as_ref()].concat();
        let signature = self.pair.sign(&signed);
        self.credential(&json!({
            "clientDataJSON": encode(&client), "authenticatorData": encode(&data),
            "signature": encode(&signature), "userHandle": self.user_handle,
        }))
    }

    fn credential(&self, response: &Value) -> Value {
        let id = encode(&self.credential_id);
        json!({"id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {}})
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = options["challenge"].as_str().unwrap();
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let mut data = digest(&SHA256, self.rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }
}

impl Pair {
    /// The public key (RFC 9053).
    fn cose(&self) -> Vec<u8> {
        match self {
            Self::EdDsa(pair) => {
                // OKP, EdDSA, Ed25519, x.
                let head = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
                [&head[..], pair.public_key().as_ref()].concat()
            }
            Self::Es256(pair) => {
                // EC2, ES256, P-256, x, y.
                let head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
                let point = pair.public_key().as_ref();
                [&head[..], &point[1..33], &[0x22, 0x58, 0x20], &point[33..]].concat()
            }
            Self::Rs256(pair) => {
                // RSA, RS256, n, e; n and e out of the DER of an RSAPublicKey (RFC 8017) of 2048 bits.
                let head = [0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x59, 0x01, 0x00];
                let der = pair.public_key().as_ref();
                assert_eq!((der.len(), &der[4..9]), (270, &[0x02, 0x82, 0x01, 0x01, 0x00][..]));
                [&head[..], &der[9..265], &[0x21, 0x43], &der[267..]].concat()
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
