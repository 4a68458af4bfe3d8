//! The plaintext inside the envelope.
//!
//! Layout, integers big-endian: `01`, then for each key in ascending order: `u16` length and bytes of the key,
//! kind (`t` text, `j` JSON, `b` bytes), `u32` length and bytes of the value. A golden test pins it: stored records outlive releases.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::data::{KeyName, RecordData, Value};

const FORMAT: u8 = 1;

/// Decrypted bytes are not a record: a defect of the writer, since the envelope vouches for the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("decrypted bytes are not a record of a known format")]
pub struct CodecError;

/// Encodes a record for encryption.
#[must_use]
pub fn encode(data: &RecordData) -> Zeroizing<Vec<u8>> {
    let size = 1 + data
        .iter()
        .map(|(k, v)| 7 + k.as_str().len() + v.as_bytes().len())
        .sum::<usize>();
    // Sized once: growing would leave unwiped copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    out.push(FORMAT);
    for (key, value) in data.iter() {
        let kind = match value {
            Value::Text(_) => b't',
            Value::Json(_) => b'j',
            Value::Bytes(_) => b'b',
        };
        let bytes = value.as_bytes();
        // Both lengths are bounded by `RecordData`, far below their types.
        out.extend_from_slice(&u16::try_from(key.as_str().len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(key.as_str().as_bytes());
        out.push(kind);
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(bytes);
    }
    out
}

/// Decodes what [`encode`] made.
///
/// # Errors
/// [`CodecError`] for anything else.
pub fn decode(bytes: &[u8]) -> Result<RecordData, CodecError> {
    let (&FORMAT, mut rest) = bytes.split_first().ok_or(CodecError)? else {
        return Err(CodecError);
    };
    let mut map = BTreeMap::new();
    while !rest.is_empty() {
        let key = take_u16(&mut rest)?;
        let key = KeyName::parse(utf8(take(&mut rest, key)?)?).map_err(|_| CodecError)?;
        let kind = take(&mut rest, 1)?;
        let size = usize::try_from(take_u32(&mut rest)?).map_err(|_| CodecError)?;
        let value = take(&mut rest, size)?;
        let value = match kind {
            b"t" => Value::Text(Zeroizing::new(utf8(value)?.to_owned())),
            b"j" => Value::Json(Zeroizing::new(utf8(value)?.to_owned())),
            b"b" => Value::Bytes(Zeroizing::new(value.to_vec())),
            _ => return Err(CodecError),
        };
        if map.insert(key, value).is_some() {
            return Err(CodecError);
        }
    }
    RecordData::new(map).map_err(|_| CodecError)
}

fn take<'a>(rest: &mut &'a [u8], size: usize) -> Result<&'a [u8], CodecError> {
    let (head, tail) = rest.split_at_checked(size).ok_or(CodecError)?;
    *rest = tail;
    Ok(head)
}

fn take_u16(rest: &mut &[u8]) -> Result<usize, CodecError> {
    let (head, tail) = rest.split_first_chunk().ok_or(CodecError)?;
    *rest = tail;
    Ok(usize::from(u16::from_be_bytes(*head)))
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, CodecError> {
    let (head, tail) = rest.split_first_chunk().ok_or(CodecError)?;
    *rest = tail;
    Ok(u32::from_be_bytes(*head))
}

fn utf8(bytes: &[u8]) -> Result<&str, CodecError> {
    std::str::from_utf8(bytes).map_err(|_| CodecError)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(entries: Vec<(&str, Value)>) -> RecordData {
        let map = entries
            .into_iter()
            .map(|(k, v)| (KeyName::parse(k).unwrap(), v))
            .collect();
        RecordData::new(map).unwrap()
    }

    #[test]
    fn the_layout_is_pinned() {
        let data = record(vec![
            ("b", Value::Bytes(Zeroizing::new(vec![0, 255]))),
            ("j", Value::Json(Zeroizing::new("7".into()))),
            ("t", Value::text("x")),
        ]);
        assert_eq!(
            hex::encode(encode(&data)),
            "010001626200000002 00ff 00016a6a00000001 37 0001747400000001 78".replace(' ', "")
        );
    }

    #[test]
    fn broken_bytes_are_refused() {
        for bytes in [
            "",
            "02",
            "01ff",
            "010001",
            "0100016b7400000005aa",
            "0100016b7a0000000161",
            "010001007400000000",
        ] {
            assert!(decode(&hex::decode(bytes).unwrap()).is_err(), "{bytes}");
        }
        let twice = "0100016b7400000001610001 6b740000000161".replace(' ', "");
        assert!(decode(&hex::decode(twice).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(entries in proptest::collection::btree_map("[a-zA-Z0-9_-]{1,12}", (0_u8..3, ".{0,32}"), 0..8)) {
            let data = record(entries.iter().map(|(k, (kind, text))| (k.as_str(), match kind {
                0 => Value::text(text.clone()),
                1 => Value::Json(Zeroizing::new(format!("{}", text.len()))),
                _ => Value::Bytes(Zeroizing::new(text.clone().into_bytes())),
            })).collect());
            prop_assert!(decode(&encode(&data)) == Ok(data));
        }

        #[test]
        fn r31_no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = decode(&bytes);
        }
    }
}
