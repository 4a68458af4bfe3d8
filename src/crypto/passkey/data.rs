//! What browsers and authenticators say: client data (section 5.8.1), attestation objects (6.5) and authenticator data (6.1).

use serde::Deserialize;

use super::cbor::{self, Item};

/// The user was there.
const USER_PRESENT: u8 = 0x01;
/// The user was verified.
const USER_VERIFIED: u8 = 0x04;
/// The credential may be backed up.
const BACKUP_ELIGIBLE: u8 = 0x08;
/// It is.
const BACKED_UP: u8 = 0x10;
/// A new credential follows.
const ATTESTED: u8 = 0x40;
/// Extensions follow.
const EXTENSIONS: u8 = 0x80;

/// What the browser says of the page and the challenge. Fields that come later are not looked at, as the standard has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientData {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) challenge: String,
    pub(super) origin: String,
    pub(super) cross_origin: Option<bool>,
    pub(super) top_origin: Option<String>,
}

/// What the authenticator says.
pub(super) struct AuthenticatorData<'a> {
    pub(super) rp_id_hash: [u8; 32],
    flags: u8,
    pub(super) counter: u32,
    /// Of a registration.
    pub(super) credential: Option<NewCredential<'a>>,
}

/// A credential that was just made.
pub(super) struct NewCredential<'a> {
    pub(super) id: &'a [u8],
    /// In COSE.
    pub(super) key: Item<'a>,
}

/// The authenticator data in an attestation object. Its statement is read over.
pub(super) fn attested(object: &[u8]) -> Option<&[u8]> {
    let (item, rest) = cbor::read(object)?;
    match item.get(&Item::Text("authData")) {
        Some(Item::Bytes(bytes)) if rest.is_empty() => Some(bytes),
        _ => None,
    }
}

impl<'a> AuthenticatorData<'a> {
    /// Reads it whole; `None` if anything is missing or left over.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>()?;
        let (&flags, rest) = rest.split_first()?;
        let (counter, mut rest) = rest.split_first_chunk::<4>()?;
        let mut credential = None;
        if flags & ATTESTED != 0 {
            let (_aaguid, after) = rest.split_first_chunk::<16>()?;
            let (length, after) = after.split_first_chunk::<2>()?;
            let (id, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
            let (key, after) = cbor::read(after)?;
            credential = Some(NewCredential { id, key });
            rest = after;
        }
        if flags & EXTENSIONS != 0 {
            let (extensions, after) = cbor::read(rest)?;
            matches!(extensions, Item::Map(_)).then_some(())?;
            rest = after;
        }
        rest.is_empty().then_some(Self {
            rp_id_hash: *rp_id_hash,
            flags,
            counter: u32::from_be_bytes(*counter),
            credential,
        })
    }

    pub(super) fn user_present(&self) -> bool {
        self.flags & USER_PRESENT != 0
    }

    pub(super) fn user_verified(&self) -> bool {
        self.flags & USER_VERIFIED != 0
    }

    pub(super) fn backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    pub(super) fn backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}
