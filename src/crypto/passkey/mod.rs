//! Passkeys (Web Authentication level 3): challenges for browsers, and the verification of what comes back. Called by `service`, which
//! keeps the state of a ceremony in the database; that state never leaves this side. Why this is written here: `docs/adr/0012`.
//!
//! User verification is always required: a passkey stands for two factors, what one has and what one knows or is. Attestation is neither
//! asked for nor looked at: which make an authenticator is of decides nothing here.

mod cbor;
mod data;
mod key;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::data::{AuthenticatorData, ClientData, attested};
use self::key::PublicKey;
use super::random;

/// Bytes of a challenge; the standard asks for 16 at least.
const CHALLENGE_BYTES: usize = 32;
/// Bytes of a credential's id at most (section 7.1, step 25).
const MAX_CREDENTIAL_ID: usize = 1023;
/// Milliseconds that a browser gives its user.
const TIMEOUT: u32 = 300_000;

/// Whom passkeys are for: a domain, and the origins of the pages that may use them.
#[derive(Debug, Clone)]
pub struct PasskeySettings {
    /// The domain, such as `vault.example.org`. A passkey is bound to it for its life.
    pub rp_id: String,
    /// Origins of pages at that domain or below it, as browsers send them.
    pub origins: Vec<String>,
    /// What browsers call this vault.
    pub name: String,
}

/// Why a ceremony failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// What the browser sent is not of the form that browsers send.
    #[error("this is no credential as browsers send it")]
    Form,
    /// It is of another ceremony, another page or another domain.
    #[error("the credential is of another challenge, origin or domain")]
    Elsewhere,
    /// The authenticator did not see or did not verify its user.
    #[error("the authenticator did not verify its user")]
    Unverified,
    /// The key is of a kind that is not taken, or its signature does not fit.
    #[error("the key is of a kind that is not taken, or the signature does not fit")]
    Signature,
    /// What was stored cannot be read.
    #[error("stored state of passkeys cannot be read")]
    Stored,
}

/// A challenge: what the browser gets, and what is kept to verify its answer.
pub struct Ceremony {
    /// For `navigator.credentials.create` or `get`, as JSON.
    pub options: Value,
    /// To be kept on this side.
    pub state: Value,
}

/// A credential as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPasskey {
    /// Its id, of the authenticator's choice.
    pub credential_id: Vec<u8>,
    /// Its public key.
    pub credential: Value,
    /// How often it was used, as it says itself; always 0 for passkeys that are synchronised.
    pub counter: u32,
}

/// The state of a ceremony under way.
#[derive(Serialize, Deserialize)]
struct State {
    challenge: String,
}

/// An answer of `navigator.credentials.create` as `toJSON` gives it; what is not looked at is not here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    raw_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: Attestation,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attestation {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: String,
}

/// An answer of `navigator.credentials.get`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assertion {
    raw_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: Signed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
    user_handle: Option<String>,
}

/// Makes challenges and verifies answers, for one domain.
pub struct RelyingParty(PasskeySettings);

impl RelyingParty {
    /// A party of these settings, which `settings` has checked.
    #[must_use]
    pub fn new(settings: PasskeySettings) -> Self {
        Self(settings)
    }

    /// Begins a registration for a user that has these credentials already.
    #[must_use]
    pub fn start_registration(&self, user: Uuid, name: &str, display_name: &str, existing: &[Vec<u8>]) -> Ceremony {
        let settings = &self.0;
        let challenge = challenge();
        let kinds: Vec<_> = key::ALGORITHMS
            .iter()
            .map(|algorithm| json!({"type": "public-key", "alg": algorithm}))
            .collect();
        let options = json!({"publicKey": {
            "rp": {"id": settings.rp_id, "name": settings.name},
            "user": {"id": URL_SAFE_NO_PAD.encode(user.as_bytes()), "name": name, "displayName": display_name},
            "challenge": challenge,
            "pubKeyCredParams": kinds,
            "timeout": TIMEOUT,
            "excludeCredentials": descriptors(existing),
            // So that it can be found without a name: who logs in by it alone types none.
            "authenticatorSelection": {"residentKey": "required", "requireResidentKey": true, "userVerification": "required"},
            "attestation": "none",
        }});
        Ceremony {
            options,
            state: json!({"challenge": challenge}),
        }
    }

    /// Ends a registration: the answer verifies, and this is the credential (section 7.1).
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub fn finish_registration(&self, state: &Value, answer: &Value) -> Result<StoredPasskey, PasskeyError> {
        let answer = Registration::deserialize(answer).map_err(|_| PasskeyError::Form)?;
        let client = decode(&answer.response.client_data)?;
        self.check_client(&client, "webauthn.create", state)?;
        let object = decode(&answer.response.attestation_object)?;
        let bytes = attested(&object).ok_or(PasskeyError::Form)?;
        let data = AuthenticatorData::parse(bytes).ok_or(PasskeyError::Form)?;
        self.check_authenticator(&data)?;
        let new = data.credential.ok_or(PasskeyError::Form)?;
        let named = answer.kind == "public-key" && decode(&answer.raw_id)? == new.id;
        if !named || new.id.is_empty() || new.id.len() > MAX_CREDENTIAL_ID {
            return Err(PasskeyError::Form);
        }
        let key = PublicKey::from_cose(&new.key).ok_or(PasskeyError::Signature)?;
        Ok(StoredPasskey {
            credential_id: new.id.to_vec(),
            credential: key.stored(),
            counter: data.counter,
        })
    }

    /// Begins an assertion by one of these credentials; by whoever has one for this domain if there are none.
    #[must_use]
    pub fn start_assertion(&self, credentials: &[Vec<u8>]) -> Ceremony {
        let challenge = challenge();
        let options = json!({"publicKey": {
            "challenge": challenge,
            "timeout": TIMEOUT,
            "rpId": self.0.rp_id,
            "allowCredentials": descriptors(credentials),
            "userVerification": "required",
        }});
        Ceremony {
            options,
            state: json!({"challenge": challenge}),
        }
    }

    /// The credential that an answer is of, and the user that it says it is of.
    ///
    /// # Errors
    /// [`PasskeyError::Form`].
    pub fn claim(answer: &Value) -> Result<(Vec<u8>, Option<Uuid>), PasskeyError> {
        let answer = Assertion::deserialize(answer).map_err(|_| PasskeyError::Form)?;
        let handle = match &answer.response.user_handle {
            Some(handle) => Some(Uuid::from_slice(&decode(handle)?).map_err(|_| PasskeyError::Form)?),
            None => None,
        };
        Ok((decode(&answer.raw_id)?, handle))
    }

    /// Ends an assertion: the answer verifies against the stored credential of its id, and this is its counter (section 7.2). Whether that
    /// went up is for the caller to compare with what is stored then.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub fn finish_assertion(&self, state: &Value, answer: &Value, credential: &Value) -> Result<u32, PasskeyError> {
        let answer = Assertion::deserialize(answer).map_err(|_| PasskeyError::Form)?;
        if answer.kind != "public-key" {
            return Err(PasskeyError::Form);
        }
        let client = decode(&answer.response.client_data)?;
        self.check_client(&client, "webauthn.get", state)?;
        let bytes = decode(&answer.response.authenticator_data)?;
        let data = AuthenticatorData::parse(&bytes).ok_or(PasskeyError::Form)?;
        self.check_authenticator(&data)?;
        let key = PublicKey::from_stored(credential).ok_or(PasskeyError::Stored)?;
        let signature = decode(&answer.response.signature)?;
        let hash = super::token::sha256(&client);
        if !key.verify(&[bytes.as_slice(), hash.as_slice()].concat(), &signature) {
            return Err(PasskeyError::Signature);
        }
        Ok(data.counter)
    }

    /// The browser answered this challenge, on a page of ours that no other page framed.
    fn check_client(&self, bytes: &[u8], kind: &str, state: &Value) -> Result<(), PasskeyError> {
        let state = State::deserialize(state).map_err(|_| PasskeyError::Stored)?;
        let client: ClientData = serde_json::from_slice(bytes).map_err(|_| PasskeyError::Form)?;
        let here = client.kind == kind
            && client.challenge == state.challenge
            && self.0.origins.contains(&client.origin)
            && client.cross_origin != Some(true)
            && client.top_origin.is_none();
        if here { Ok(()) } else { Err(PasskeyError::Elsewhere) }
    }

    /// The authenticator answered for this domain, and verified its user.
    fn check_authenticator(&self, data: &AuthenticatorData<'_>) -> Result<(), PasskeyError> {
        if data.rp_id_hash != super::token::sha256(self.0.rp_id.as_bytes()) {
            return Err(PasskeyError::Elsewhere);
        }
        if !data.user_present() || !data.user_verified() {
            return Err(PasskeyError::Unverified);
        }
        // What cannot be backed up is not backed up (section 7.1, step 18).
        if data.backed_up() && !data.backup_eligible() {
            return Err(PasskeyError::Form);
        }
        Ok(())
    }
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<CHALLENGE_BYTES>())
}

fn descriptors(credentials: &[Vec<u8>]) -> Vec<Value> {
    credentials
        .iter()
        .map(|id| json!({"type": "public-key", "id": URL_SAFE_NO_PAD.encode(id)}))
        .collect()
}

fn decode(text: &str) -> Result<Vec<u8>, PasskeyError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| PasskeyError::Form)
}
