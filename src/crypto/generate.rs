//! Makes the values that a resource asks for: the rules are `domain`'s, the randomness is the system's. Called by `service`.

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::certificate::{self, Authority, IssueError};
use super::key_pair::{MadePair, NoKey};
use super::{random, ssh};
use crate::domain::generate::{GenerateError, GenerateSpec, value_from};
use crate::domain::record::Value;

/// Random bytes fetched at a time: one system call for most values.
const BLOCK: usize = 256;

/// What a generator made.
pub struct Made {
    /// A value for each of the generator's suffixes, in their order.
    pub values: Vec<Value>,
    /// When it is to be made anew, for a certificate.
    pub renew_at: Option<Timestamp>,
}

/// Why nothing was made. Holds no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// The specification.
    #[error(transparent)]
    Specification(#[from] GenerateError),
    /// The library made no key.
    #[error(transparent)]
    Key(#[from] NoKey),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] IssueError),
}

/// Makes the values of a generator. `authority` issues a certificate that names one. RSA keys take a while.
///
/// # Errors
/// [`MakeError`].
pub fn make(spec: &GenerateSpec, authority: Option<&Authority>, now: Timestamp) -> Result<Made, MakeError> {
    spec.validate()?;
    let mut renew_at = None;
    let values = match spec {
        GenerateSpec::Password(_) | GenerateSpec::Bytes(_) | GenerateSpec::Uuid {} => vec![value(spec)?],
        GenerateSpec::SshKey(spec) => {
            let pair = ssh::generate(spec)?;
            vec![Value::Text(pair.private), Value::text(pair.public)]
        }
        GenerateSpec::KeyPair(spec) => {
            let pair = MadePair::generate(spec)?;
            vec![Value::Text(pair.private_pem()), Value::Text(pair.public_pem())]
        }
        GenerateSpec::Certificate(spec) => {
            let issued = certificate::issue(spec, authority, now)?;
            renew_at = Some(issued.renew_at);
            vec![
                Value::Text(issued.private_key),
                Value::text(issued.certificate),
                Value::text(issued.authority),
            ]
        }
    };
    Ok(Made { values, renew_at })
}

fn value(spec: &GenerateSpec) -> Result<Value, GenerateError> {
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

    #[test]
    fn every_generator_makes_a_value_for_each_of_its_keys() {
        let now = "2026-06-01T12:00:00Z".parse().unwrap();
        for text in [
            r#"{"password": {}}"#,
            r#"{"bytes": {}}"#,
            r#"{"uuid": {}}"#,
            r#"{"sshKey": {}}"#,
            r#"{"keyPair": {"type": "ecdsaP256"}}"#,
            r#"{"certificate": {"commonName": "a"}}"#,
        ] {
            let spec: GenerateSpec = serde_json::from_str(text).unwrap();
            let made = make(&spec, None, now).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(made.values.len(), spec.suffixes().len(), "{text}");
            assert_eq!(made.renew_at.is_some(), text.contains("certificate"), "{text}");
        }
    }
}
