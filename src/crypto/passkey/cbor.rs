//! As much of CBOR (RFC 8949) as authenticators speak (CTAP 2, section 8): items of definite length, in their shortest form, not nested
//! deeply. Nothing is allocated by what a length claims.

/// Maps and arrays within each other.
const MAX_DEPTH: usize = 4;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// An integer.
    Int(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A text.
    Text(&'a str),
    /// Items in a row.
    Array(Vec<Self>),
    /// Pairs, in their order.
    Map(Vec<(Self, Self)>),
    /// A boolean, null or the like.
    Simple(u8),
}

impl<'a> Item<'a> {
    /// The value under a key of a map.
    pub(super) fn get(&self, key: &Self) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The bytes under a number of a map.
    pub(super) fn bytes_at(&self, key: i64) -> Option<&'a [u8]> {
        match self.get(&Self::Int(key)) {
            Some(Self::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The integer under a number of a map.
    pub(super) fn int_at(&self, key: i64) -> Option<i64> {
        match self.get(&Self::Int(key)) {
            Some(Self::Int(value)) => Some(*value),
            _ => None,
        }
    }
}

/// Reads one item; answers it and what is left. `None` for what is none.
pub(super) fn read(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    item(bytes, MAX_DEPTH)
}

fn item(bytes: &[u8], depth: usize) -> Option<(Item<'_>, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (major, short) = (first >> 5, first & 0x1f);
    if major == 7 {
        // False, true, null, undefined; floats are nobody's here.
        return (20..=23).contains(&short).then_some((Item::Simple(short), rest));
    }
    let (number, rest) = number(short, rest)?;
    match major {
        0 => Some((Item::Int(i64::try_from(number).ok()?), rest)),
        1 => Some((Item::Int(-1 - i64::try_from(number).ok()?), rest)),
        2 => take(number, rest).map(|(bytes, rest)| (Item::Bytes(bytes), rest)),
        3 => take(number, rest).and_then(|(bytes, rest)| Some((Item::Text(std::str::from_utf8(bytes).ok()?), rest))),
        4 => items(number, rest, depth.checked_sub(1)?).map(|(items, rest)| (Item::Array(items), rest)),
        5 => {
            let (items, rest) = items(number.checked_mul(2)?, rest, depth.checked_sub(1)?)?;
            let mut items = items.into_iter();
            let mut pairs: Vec<(Item<'_>, Item<'_>)> = Vec::new();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                // A key twice would mean one thing to one reader and another to the next.
                if pairs.iter().any(|(known, _)| *known == key) {
                    return None;
                }
                pairs.push((key, value));
            }
            Some((Item::Map(pairs), rest))
        }
        _ => None,
    }
}

fn items(count: u64, mut bytes: &[u8], depth: usize) -> Option<(Vec<Item<'_>>, &[u8])> {
    // Each has a byte at least.
    if count > bytes.len() as u64 {
        return None;
    }
    let mut out = Vec::new();
    for _ in 0..count {
        let (next, rest) = item(bytes, depth)?;
        out.push(next);
        bytes = rest;
    }
    Some((out, bytes))
}

/// The argument of an item, in its shortest form.
fn number(short: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    let (width, least) = match short {
        0..=23 => return Some((short.into(), rest)),
        24 => (1, 24),
        25 => (2, 1 << 8),
        26 => (4, 1 << 16),
        27 => (8, 1 << 32),
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(width)?;
    let value = digits
        .iter()
        .fold(0, |value: u64, digit| value << 8 | u64::from(*digit));
    (value >= least).then_some((value, rest))
}

fn take(count: u64, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(usize::try_from(count).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of RFC 8949, appendix A.
    #[test]
    fn items_of_the_standard_are_read() {
        for (bytes, expected) in [
            (&b"\x00"[..], Item::Int(0)),
            (b"\x17", Item::Int(23)),
            (b"\x18\x18", Item::Int(24)),
            (b"\x19\x03\xe8", Item::Int(1000)),
            (b"\x1a\x00\x0f\x42\x40", Item::Int(1_000_000)),
            (b"\x20", Item::Int(-1)),
            (b"\x38\x63", Item::Int(-100)),
            (b"\x44\x01\x02\x03\x04", Item::Bytes(&[1, 2, 3, 4])),
            (b"\x64IETF", Item::Text("IETF")),
            (b"\xf5", Item::Simple(21)),
            (
                b"\x83\x01\x02\x03",
                Item::Array(vec![Item::Int(1), Item::Int(2), Item::Int(3)]),
            ),
            (
                b"\xa2\x61a\x01\x61b\x81\x02",
                Item::Map(vec![
                    (Item::Text("a"), Item::Int(1)),
                    (Item::Text("b"), Item::Array(vec![Item::Int(2)])),
                ]),
            ),
        ] {
            assert_eq!(read(bytes), Some((expected, &[][..])), "{bytes:?}");
        }
        assert_eq!(
            read(b"\x01\x02"),
            Some((Item::Int(1), &b"\x02"[..])),
            "what is left is told"
        );
    }

    #[test]
    fn what_authenticators_do_not_send_is_refused() {
        for bytes in [
            &b""[..],
            b"\x18\x17",
            b"\x19\x00\xff",
            b"\x44\x01",
            b"\x5f\x41\x01\xff",
            b"\x9f\x01\xff",
            b"\xc0\x01",
            b"\xf9\x00\x00",
            b"\x62\xff\xfe",
            b"\xa1\x01",
            b"\xa2\x01\x02\x01\x03",
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x9b\x00\x00\x00\x01\x00\x00\x00\x00",
            b"\x81\x81\x81\x81\x81\x81\x01",
        ] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn r31_no_bytes_panic(bytes: Vec<u8>) {
            if let Some((_, rest)) = read(&bytes) {
                prop_assert!(rest.len() < bytes.len());
            }
        }
    }
}
