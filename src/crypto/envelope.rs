//! Envelope encryption, AES-256-GCM at each level (NIST SP 800-38D). Called by `service` and the keyring.
//!
//! | what | layout | associated data |
//! |---|---|---|
//! | value | `01 ‖ nonce ‖ GCM(DEK)` | `av/value/1`, table, record id, version |
//! | wrapped DEK | `01 ‖ KEK id ‖ nonce ‖ GCM(KEK)` | `av/dek/1`, KEK id, root id, table, record id, version, SHA-256(path) |
//! | wrapped KEK | `01 ‖ root key id ‖ nonce ‖ GCM(root key)` | `av/kek/1`, root key id, KEK id, root id, purpose, generation |
//! | sentinel | `01 ‖ root key id ‖ nonce ‖ GCM(root key)` | `av/sentinel/1`, root key id |
//!
//! Ids of KEKs are 16 bytes, those of root keys 8; nonces are 12 random bytes, tags 16 bytes at the end. A ciphertext that was moved to
//! another row, column, path or root does not open, and re-wrapping keys never touches values. A data key encrypts one value;
//! how often a KEK may wrap is counted by [`super::keyring::UseBudget`]. Golden vectors stand in `tests/golden/envelope.json`:
//! a change that breaks one breaks every existing vault.

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};
use uuid::Uuid;
use zeroize::{Zeroize as _, Zeroizing};

use super::keys::{Dek, Kek, KekContext, KeyBytes, Purpose, RootKey, RootKeyId};
use super::{aad, random};
use crate::domain::path::RecordPath;
use crate::domain::record::Version;

/// The first byte of every layout.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const KEK_ID_BYTES: usize = 16;

/// What a version of a record is bound to. The root is the root of the *requested* path, never one that was read from the row.
#[derive(Clone, Copy)]
pub struct RecordContext<'a> {
    /// The root of the requested path.
    pub root_id: Uuid,
    /// The table that the row stands in.
    pub table: &'static str,
    /// The record's id.
    pub record_id: Uuid,
    /// The version.
    pub version: Version,
    /// The requested path.
    pub path: &'a RecordPath,
}

/// A sealed value and the wrapped key that opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The wrapped data key.
    pub wrapped_dek: Vec<u8>,
    /// The sealed value.
    pub ciphertext: Vec<u8>,
}

/// A blob that does not open. The text says no more; the cause is for the log, through [`std::error::Error::source`].
#[derive(Debug, thiserror::Error)]
#[error("does not open")]
pub struct OpenError(#[source] OpenCause);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum OpenCause {
    #[error("the blob is too short, or its first byte is no known format")]
    Layout,
    #[error("the blob names another key")]
    OtherKey,
    #[error("the key belongs to another root than the requested path")]
    OtherRoot,
    #[error("the key is not for wrapping data keys")]
    Purpose,
    #[error("authentication failed: the key is another one, or the blob was changed or moved")]
    Authentication,
    #[error("the content is not a key")]
    NotAKey,
}

/// A value or key that was not sealed. Nothing was written, and nothing of it is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key belongs to another root than the context.
    #[error("the key belongs to another root than the path")]
    OtherRoot,
    /// The key is not for wrapping data keys.
    #[error("the key is not for wrapping data keys")]
    Purpose,
    /// More than AES-GCM can take (about 64 GiB).
    #[error("the value is too large to encrypt")]
    TooLarge,
}

/// Seals plaintext under a fresh data key, which `kek` wraps. Takes one use of `kek`.
///
/// # Errors
/// [`SealError`] if `kek` is not a wrapping key of the context's root.
pub fn seal_record(kek: &Kek, context: &RecordContext<'_>, plaintext: &[u8]) -> Result<Sealed, SealError> {
    let dek = Dek::generate();
    Ok(Sealed {
        wrapped_dek: wrap_dek(kek, context, &dek)?,
        ciphertext: seal_value(&dek, context, plaintext)?,
    })
}

/// Opens what [`seal_record`] sealed for exactly this context.
///
/// # Errors
/// [`OpenError`] if anything was changed or moved, or `kek` is not the key.
pub fn open_record(
    kek: &Kek,
    context: &RecordContext<'_>,
    wrapped_dek: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    open_value(&unwrap_dek(kek, context, wrapped_dek)?, context, ciphertext)
}

/// Seals a value: `01 ‖ nonce ‖ GCM(DEK)`.
///
/// # Errors
/// [`SealError::TooLarge`].
pub fn seal_value(dek: &Dek, context: &RecordContext<'_>, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    seal(dek.bytes(), &[], &aad::value(context), plaintext, random::bytes())
}

/// Opens a sealed value.
///
/// # Errors
/// [`OpenError`].
pub fn open_value(dek: &Dek, context: &RecordContext<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let Blob {
        key_id: [],
        nonce,
        body,
    } = split(sealed)?;
    open(dek.bytes(), nonce, &aad::value(context), body)
}

/// Wraps a data key: `01 ‖ KEK id ‖ nonce ‖ GCM(KEK)`. Takes one use of `kek`.
///
/// # Errors
/// [`SealError`] if `kek` is not a wrapping key of the context's root.
pub fn wrap_dek(kek: &Kek, context: &RecordContext<'_>, dek: &Dek) -> Result<Vec<u8>, SealError> {
    wrap_dek_with(kek, context, dek, random::bytes())
}

fn wrap_dek_with(
    kek: &Kek,
    context: &RecordContext<'_>,
    dek: &Dek,
    nonce: [u8; NONCE_BYTES],
) -> Result<Vec<u8>, SealError> {
    if kek.purpose() == Purpose::Mac {
        return Err(SealError::Purpose);
    }
    if kek.root_id() != context.root_id {
        return Err(SealError::OtherRoot);
    }
    seal(
        kek.bytes(),
        kek.id().as_bytes(),
        &aad::dek(kek.id(), context),
        dek.bytes().expose(),
        nonce,
    )
}

/// Unwraps a data key.
///
/// # Errors
/// [`OpenError`].
pub fn unwrap_dek(kek: &Kek, context: &RecordContext<'_>, wrapped: &[u8]) -> Result<Dek, OpenError> {
    let Blob { key_id, nonce, body } = split::<KEK_ID_BYTES>(wrapped)?;
    if key_id != *kek.id().as_bytes() {
        return Err(OpenError(OpenCause::OtherKey));
    }
    if kek.root_id() != context.root_id {
        return Err(OpenError(OpenCause::OtherRoot));
    }
    if kek.purpose() == Purpose::Mac {
        return Err(OpenError(OpenCause::Purpose));
    }
    let key = open(kek.bytes(), nonce, &aad::dek(kek.id(), context), body)?;
    KeyBytes::from_slice(&key)
        .map(Dek::new)
        .ok_or(OpenError(OpenCause::NotAKey))
}

/// The id of the KEK that wraps a data key; `None` if the blob has another layout.
#[must_use]
pub fn kek_id(wrapped_dek: &[u8]) -> Option<Uuid> {
    split::<KEK_ID_BYTES>(wrapped_dek)
        .ok()
        .map(|blob| Uuid::from_bytes(blob.key_id))
}

/// Wraps a key-encryption key: `01 ‖ root key id ‖ nonce ‖ GCM(root key)`.
///
/// # Errors
/// Never in practice: 32 bytes are not too large.
pub fn wrap_kek(root_key: &RootKey, kek: &Kek) -> Result<Vec<u8>, SealError> {
    wrap_kek_with(root_key, kek, random::bytes())
}

fn wrap_kek_with(root_key: &RootKey, kek: &Kek, nonce: [u8; NONCE_BYTES]) -> Result<Vec<u8>, SealError> {
    let aad = aad::kek(root_key.id(), kek.context());
    seal(
        root_key.bytes(),
        root_key.id().as_bytes(),
        &aad,
        kek.bytes().expose(),
        nonce,
    )
}

/// Unwraps a key-encryption key.
///
/// # Errors
/// [`OpenError`].
pub fn unwrap_kek(root_key: &RootKey, context: &KekContext, wrapped: &[u8]) -> Result<Kek, OpenError> {
    let Blob { key_id, nonce, body } = split::<{ RootKeyId::BYTES }>(wrapped)?;
    if key_id != *root_key.id().as_bytes() {
        return Err(OpenError(OpenCause::OtherKey));
    }
    let key = open(root_key.bytes(), nonce, &aad::kek(root_key.id(), context), body)?;
    let bytes = KeyBytes::from_slice(&key).ok_or(OpenError(OpenCause::NotAKey))?;
    Ok(Kek::new(*context, bytes))
}

/// The id of the root key that wraps a KEK or seals a sentinel; `None` if the blob has another layout.
#[must_use]
pub fn root_key_id(wrapped_kek: &[u8]) -> Option<RootKeyId> {
    split::<{ RootKeyId::BYTES }>(wrapped_kek)
        .ok()
        .map(|blob| RootKeyId::from_bytes(blob.key_id))
}

/// Seals the sentinel, in the layout of a wrapped KEK and under associated data of its own.
pub(super) fn seal_sentinel(root_key: &RootKey, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    let id = root_key.id();
    seal(
        root_key.bytes(),
        id.as_bytes(),
        &aad::sentinel(id),
        plaintext,
        random::bytes(),
    )
}

/// Opens the sentinel.
pub(super) fn open_sentinel(root_key: &RootKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let Blob { key_id, nonce, body } = split::<{ RootKeyId::BYTES }>(sealed)?;
    if key_id != *root_key.id().as_bytes() {
        return Err(OpenError(OpenCause::OtherKey));
    }
    open(root_key.bytes(), nonce, &aad::sentinel(root_key.id()), body)
}

/// A blob taken apart: the id of the key it names (`N` bytes), the nonce, and ciphertext with tag.
struct Blob<'a, const N: usize> {
    key_id: [u8; N],
    nonce: [u8; NONCE_BYTES],
    body: &'a [u8],
}

fn split<const N: usize>(blob: &[u8]) -> Result<Blob<'_, N>, OpenError> {
    let layout = OpenError(OpenCause::Layout);
    let Some((&FORMAT, rest)) = blob.split_first() else {
        return Err(layout);
    };
    let Some((&key_id, rest)) = rest.split_first_chunk::<N>() else {
        return Err(layout);
    };
    let Some((&nonce, body)) = rest.split_first_chunk::<NONCE_BYTES>() else {
        return Err(layout);
    };
    if body.len() < TAG_BYTES {
        return Err(layout);
    }
    Ok(Blob { key_id, nonce, body })
}

/// `01 ‖ key id ‖ nonce ‖ ciphertext ‖ tag`. A nonce is used once: callers outside tests pass a random one.
fn seal(
    key: &KeyBytes,
    key_id: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    nonce: [u8; NONCE_BYTES],
) -> Result<Vec<u8>, SealError> {
    let start = 1 + key_id.len() + NONCE_BYTES;
    // The exact capacity: growing would leave a copy of the plaintext behind.
    let mut blob = Vec::with_capacity(start + plaintext.len() + TAG_BYTES);
    blob.push(FORMAT);
    blob.extend_from_slice(key_id);
    blob.extend_from_slice(&nonce);
    blob.extend_from_slice(plaintext);
    let (_, body) = blob.split_at_mut(start);
    match cipher(key).encrypt_inout_detached(&Nonce::from(nonce), aad, body.into()) {
        Ok(tag) => {
            blob.extend_from_slice(&tag);
            Ok(blob)
        }
        Err(_) => {
            blob.zeroize();
            Err(SealError::TooLarge)
        }
    }
}

fn open(key: &KeyBytes, nonce: [u8; NONCE_BYTES], aad: &[u8], body: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (ciphertext, tag) = body
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(OpenError(OpenCause::Layout))?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    cipher(key)
        .decrypt_inout_detached(
            &Nonce::from(nonce),
            aad,
            plaintext.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .map_err(|_| OpenError(OpenCause::Authentication))?;
    Ok(plaintext)
}

fn cipher(key: &KeyBytes) -> Aes256Gcm {
    let key: &Key<Aes256Gcm> = key.expose().into();
    Aes256Gcm::new(key)
}

#[cfg(test)]
mod tests;
