//! Makes the values that a resource asks for: the rules are `domain`'s, the randomness is the system's. Called by `service`.

use zeroize::Zeroizing;

use super::random;
use crate::domain::generate::{GenerateError, GenerateSpec, value_from};
use crate::domain::record::Value;

/// Random bytes fetched at a time: one system call for most values.
const BLOCK: usize = 256;

/// Makes a value.
///
/// # Errors
/// [`GenerateError`] for a specification out of bounds.
pub fn value(spec: &GenerateSpec) -> Result<Value, GenerateError> {
    let mut block = Zeroizing::new([0_u8; BLOCK]);
    let mut used = BLOCK;
    value_from(spec, &mut || {
        if used == BLOCK {
            random::fill(block.as_mut_slice());
            used = 0;
        }
        let byte = block[used];
        used += 1;
        byte
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn made(spec: &str) -> Vec<u8> {
        let spec: GenerateSpec = serde_json::from_str(spec).unwrap();
        value(&spec)
            .map(|value| value.as_bytes().to_vec())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn r14_generated_values_differ_each_time() {
        for spec in [r#"{"password": {}}"#, r#"{"bytes": {"length": 16}}"#, r#"{"uuid": {}}"#] {
            let values: BTreeSet<Vec<u8>> = (0..100).map(|_| made(spec)).collect();
            assert_eq!(values.len(), 100, "{spec}");
        }
    }

    #[test]
    fn r14_a_value_of_many_blocks_repeats_none() {
        let bytes = made(r#"{"bytes": {"length": 4096, "encoding": "raw"}}"#);
        let parts: BTreeSet<&[u8]> = bytes.chunks(16).collect();
        assert_eq!((bytes.len(), parts.len()), (4096, 4096 / 16));
    }

    #[test]
    fn r23_a_specification_out_of_bounds_makes_nothing() {
        let spec: GenerateSpec = serde_json::from_str(r#"{"bytes": {"length": 0}}"#).unwrap();
        assert_eq!(value(&spec).err(), Some(GenerateError::BytesLength));
    }
}
