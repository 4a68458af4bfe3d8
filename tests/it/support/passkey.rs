//! A passkey in software, as a browser and its authenticator together: it answers the options of the API as `navigator.credentials` would.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// User present, user verified.
const VERIFIED: u8 = 0x01 | 0x04;
/// Attested credential data follows.
const ATTESTED: u8 = 0x40;

/// One passkey.
pub struct Authenticator {
    pair: EcdsaKeyPair,
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
        Self {
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
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
        use aws_lc_rs::encoding::AsDer as _;
        let der: aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_> = self.pair.private_key().as_der().unwrap();
        Self {
            pair: EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der.as_ref()).unwrap(),
            credential_id: self.credential_id.clone(),
            user_handle: self.user_handle.clone(),
            origin: self.origin.clone(),
            rp_id: self.rp_id.clone(),
            counter: self.counter,
            counts: self.counts,
            flags: self.flags,
        }
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
        let point = self.pair.public_key().as_ref();
        // COSE: an EC2 key for ES256 on P-256.
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        // CBOR: {"fmt": "none", "attStmt": {}, "authData": data}.
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
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
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        self.credential(&json!({
            "clientDataJSON": encode(&client), "authenticatorData": encode(&data),
            "signature": encode(signature.as_ref()), "userHandle": self.user_handle,
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

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
