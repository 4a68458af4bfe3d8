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
    use super::*;

    #[test]
    fn two_values_differ() {
        let spec = GenerateSpec::Uuid {};
        assert!(value(&spec).unwrap() != value(&spec).unwrap());
    }
}
