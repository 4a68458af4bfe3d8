//! Associated data: what a ciphertext is bound to, so that one that was moved to another row, column, path or root does not open.
//!
//! Each row of the table in [`super::envelope`] is one function here, and so is what a sealed value is for. All of them go through
//! [`encode`]: every part is a type byte, a length (32 bits, big endian) and the bytes. No two lists of parts share an encoding,
//! whatever the parts hold.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::envelope::RecordContext;
use super::keys::{KekContext, RootKeyId};
use crate::domain::sealed::SealedFor;

/// A typed part.
enum Part<'a> {
    Text(&'a str),
    Uuid(Uuid),
    Number(i64),
    Bytes(&'a [u8]),
}

/// `av/value/1`, table, record id, version.
pub(super) fn value(context: &RecordContext<'_>) -> Vec<u8> {
    encode(&[
        Part::Text("av/value/1"),
        Part::Text(context.table),
        Part::Uuid(context.record_id),
        Part::Number(context.version.number()),
    ])
}

/// `av/dek/1`, KEK id, root id, table, record id, version, SHA-256 of the path.
pub(super) fn dek(kek_id: Uuid, context: &RecordContext<'_>) -> Vec<u8> {
    encode(&[
        Part::Text("av/dek/1"),
        Part::Uuid(kek_id),
        Part::Uuid(context.root_id),
        Part::Text(context.table),
        Part::Uuid(context.record_id),
        Part::Number(context.version.number()),
        Part::Bytes(&Sha256::digest(context.path.as_str())),
    ])
}

/// `av/kek/1`, root key id, KEK id, root id, purpose, generation.
pub(super) fn kek(root_key_id: RootKeyId, context: &KekContext) -> Vec<u8> {
    encode(&[
        Part::Text("av/kek/1"),
        Part::Bytes(root_key_id.as_bytes()),
        Part::Uuid(context.kek_id),
        Part::Uuid(context.root_id),
        Part::Text(context.purpose.as_str()),
        Part::Number(context.generation.into()),
    ])
}

/// `av/sentinel/1`, root key id.
pub(super) fn sentinel(root_key_id: RootKeyId) -> Vec<u8> {
    encode(&[Part::Text("av/sentinel/1"), Part::Bytes(root_key_id.as_bytes())])
}

/// `av/sealed/1`, cluster, namespace, name, key.
pub(super) fn sealed(target: &SealedFor<'_>) -> Vec<u8> {
    encode(&[
        Part::Text("av/sealed/1"),
        Part::Text(target.cluster),
        Part::Text(target.namespace),
        Part::Text(target.name),
        Part::Text(target.key),
    ])
}

fn encode(parts: &[Part<'_>]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(192);
    for part in parts {
        match part {
            Part::Text(text) => push(&mut encoded, 1, text.as_bytes()),
            Part::Uuid(id) => push(&mut encoded, 2, id.as_bytes()),
            Part::Number(number) => push(&mut encoded, 3, &number.to_be_bytes()),
            Part::Bytes(bytes) => push(&mut encoded, 4, bytes),
        }
    }
    encoded
}

fn push(encoded: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    encoded.push(kind);
    // No part is near 4 GiB: table names, ids and digests are short.
    encoded.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    encoded.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_run_into_each_other() {
        let ab_c = encode(&[Part::Text("ab"), Part::Text("c")]);
        let a_bc = encode(&[Part::Text("a"), Part::Text("bc")]);
        let abc = encode(&[Part::Text("abc")]);
        assert_ne!(ab_c, a_bc);
        assert_ne!(ab_c, abc);
    }

    #[test]
    fn the_type_of_a_part_counts() {
        let id = Uuid::from_u128(7);
        assert_ne!(encode(&[Part::Uuid(id)]), encode(&[Part::Bytes(id.as_bytes())]));
        assert_ne!(encode(&[Part::Number(1)]), encode(&[Part::Bytes(&1_i64.to_be_bytes())]));
    }

    #[test]
    fn an_encoding_is_type_length_bytes() {
        assert_eq!(
            encode(&[Part::Text("av"), Part::Number(258)]),
            hex::decode("0100000002617603000000080000000000000102").unwrap()
        );
    }
}
