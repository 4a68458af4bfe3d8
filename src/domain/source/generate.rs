//! Generated values: a generator for each key, and when they are made anew.

use std::collections::{BTreeMap, BTreeSet};

use super::schedule::{Cadence, ScheduleError};
use crate::domain::generate::{GenerateError, GenerateSpec};
use crate::domain::record::{DataError, KeyName, Value};
use crate::domain::span::Span;

/// What follows a key's name in the name of its previous value.
const PREVIOUS: &str = "_previous";

/// Generators, and when their values are made anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GenerateSource {
    /// A generator for each key.
    pub keys: BTreeMap<KeyName, GenerateSpec>,
    /// When values are made anew; never, unless somebody asks for it.
    pub rotation: Option<Rotation>,
}

/// When values are made anew, and what becomes of the old ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// How often.
    pub cadence: Cadence,
    /// Which generators; all of them if absent.
    pub keys: Option<BTreeSet<KeyName>>,
    /// Whether the value before stays, as `<key>_previous`.
    pub keep_previous: bool,
    /// How long it stays; until the next rotation if absent.
    pub overlap: Option<Span>,
}

/// What cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A generator's options.
    #[error("generated key '{0}': {1}")]
    Generator(KeyName, GenerateError),
    /// Two generators, or a generator and a previous value, make the same key.
    #[error(
        "generated key '{0}' is made twice: by a generator of that name, and by another or by keepPrevious; rename one"
    )]
    MadeTwice(String),
    /// A name that a generator makes is too long.
    #[error("generated key '{0}' makes a longer name that no key can have; shorten it")]
    LongName(KeyName),
    /// A rotation names what is not generated.
    #[error("rotation.keys names '{0}', which is not generated")]
    UnknownKey(KeyName),
    /// An overlap without a previous value.
    #[error("rotation.overlap says how long the previous value stays; set keepPrevious to 1, or leave overlap out")]
    OverlapAlone,
    /// Too short or too long.
    #[error("rotation.overlap is a length of time from 1s to 3650d, such as '24h'")]
    Overlap,
    /// When.
    #[error("rotation.{0}")]
    Schedule(#[from] ScheduleError),
    /// Part of what a generator makes is there, and the part that is secret is not.
    #[error(
        "the record has '{there}' but not '{missing}', which generator '{generator}' would make together; remove '{there}' from the \
         record, or give the generator another key"
    )]
    HalfThere {
        /// The generator's key.
        generator: KeyName,
        /// What is there.
        there: String,
        /// What is not.
        missing: String,
    },
}

/// The name of a key's previous value.
///
/// # Errors
/// [`DataError::BadKey`] if that is too long.
pub fn previous_name(key: &KeyName) -> Result<KeyName, DataError> {
    KeyName::parse(format!("{key}{PREVIOUS}"))
}

impl GenerateSource {
    /// Checks bounds, and that no key is made twice.
    ///
    /// # Errors
    /// [`SourceError`] with what to change.
    pub fn validate(&self) -> Result<(), SourceError> {
        let mut made = BTreeSet::new();
        for (key, spec) in &self.keys {
            spec.validate()
                .map_err(|error| SourceError::Generator(key.clone(), error))?;
            for output in outputs(key, spec)? {
                if let Some(twice) = made.replace(output) {
                    return Err(SourceError::MadeTwice(twice.into()));
                }
            }
        }
        let Some(rotation) = &self.rotation else { return Ok(()) };
        if let Some(unknown) = rotation.keys.iter().flatten().find(|key| !self.keys.contains_key(*key)) {
            return Err(SourceError::UnknownKey(unknown.clone()));
        }
        match (rotation.keep_previous, rotation.overlap) {
            (false, Some(_)) => return Err(SourceError::OverlapAlone),
            (_, Some(overlap)) if overlap.seconds() == 0 => return Err(SourceError::Overlap),
            _ => {}
        }
        if rotation.keep_previous {
            for (key, spec) in self.rotated() {
                for output in outputs(key, spec)? {
                    let previous = previous_name(&output).map_err(|_| SourceError::LongName(key.clone()))?;
                    if made.contains(&previous) {
                        return Err(SourceError::MadeTwice(previous.into()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether values are made anew without anybody asking: then nobody else may write the record.
    #[must_use]
    pub fn manages(&self) -> bool {
        let renewed = |spec: &GenerateSpec| matches!(spec, GenerateSpec::Certificate(_));
        self.rotation.is_some() || self.keys.values().any(renewed)
    }

    /// The generators that a rotation makes anew.
    pub fn rotated(&self) -> impl Iterator<Item = (&KeyName, &GenerateSpec)> {
        let chosen = self.rotation.as_ref().and_then(|rotation| rotation.keys.as_ref());
        self.keys
            .iter()
            .filter(move |(key, _)| chosen.is_none_or(|chosen| chosen.contains(*key)))
    }

    /// The generators of which the record has nothing yet. What is there is never touched.
    ///
    /// # Errors
    /// [`SourceError::HalfThere`] if a secret part is missing where another part is there.
    pub fn missing(&self, present: &BTreeMap<KeyName, Value>) -> Result<Vec<&KeyName>, SourceError> {
        let mut missing = Vec::new();
        for (key, spec) in &self.keys {
            let outputs = outputs(key, spec)?;
            let there = outputs.iter().find(|output| present.contains_key(*output));
            match (outputs.first(), there) {
                (_, None) => missing.push(key),
                (Some(secret), Some(there)) if !present.contains_key(secret) => {
                    return Err(SourceError::HalfThere {
                        generator: key.clone(),
                        there: there.to_string(),
                        missing: secret.to_string(),
                    });
                }
                _ => {}
            }
        }
        Ok(missing)
    }
}

/// The names of the keys that a generator makes, the secret one first.
///
/// # Errors
/// [`SourceError::LongName`].
pub fn outputs(key: &KeyName, spec: &GenerateSpec) -> Result<Vec<KeyName>, SourceError> {
    let named = spec
        .suffixes()
        .iter()
        .map(|suffix| KeyName::parse(format!("{key}{suffix}")));
    named
        .collect::<Result<_, _>>()
        .map_err(|_| SourceError::LongName(key.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> KeyName {
        KeyName::parse(text).unwrap()
    }

    fn source(keys: &str, rotation: Option<Rotation>) -> GenerateSource {
        GenerateSource {
            keys: serde_json::from_str(keys).unwrap(),
            rotation,
        }
    }

    fn rotation() -> Rotation {
        Rotation {
            cadence: Cadence::every("1h").unwrap(),
            keys: None,
            keep_previous: true,
            overlap: None,
        }
    }

    #[test]
    fn a_key_is_made_once_only() {
        for (keys, rotated, twice) in [
            (r#"{"a": {"sshKey": {}}, "a.pub": {"uuid": {}}}"#, false, "a.pub"),
            (
                r#"{"a": {"certificate": {"commonName": "a"}}, "a.crt": {"uuid": {}}}"#,
                false,
                "a.crt",
            ),
            (r#"{"a": {"uuid": {}}, "a_previous": {"uuid": {}}}"#, true, "a_previous"),
        ] {
            let source = source(keys, rotated.then(rotation));
            assert_eq!(
                source.validate(),
                Err(SourceError::MadeTwice(twice.to_owned())),
                "{keys}"
            );
        }
        assert_eq!(
            source(r#"{"a": {"uuid": {}}, "a_previous": {"uuid": {}}}"#, None).validate(),
            Ok(())
        );
        assert_eq!(
            source(r#"{"a": {"sshKey": {}}, "a.crt": {"uuid": {}}}"#, Some(rotation())).validate(),
            Ok(())
        );
    }

    #[test]
    fn r23_a_rotation_that_contradicts_itself_is_refused() {
        let keys = r#"{"a": {"uuid": {}}}"#;
        let alone = Rotation {
            keep_previous: false,
            overlap: Some(Span::from_days(1)),
            ..rotation()
        };
        assert_eq!(source(keys, Some(alone)).validate(), Err(SourceError::OverlapAlone));
        let unknown = Rotation {
            keys: Some(BTreeSet::from([key("b")])),
            ..rotation()
        };
        assert_eq!(
            source(keys, Some(unknown)).validate(),
            Err(SourceError::UnknownKey(key("b")))
        );
        let long = format!(r#"{{"{}": {{"uuid": {{}}}}}}"#, "k".repeat(250));
        assert!(matches!(
            source(&long, Some(rotation())).validate(),
            Err(SourceError::LongName(_))
        ));
    }

    #[test]
    fn what_is_there_is_not_missing_and_a_lonely_public_half_is_told() {
        let source = source(r#"{"a": {"sshKey": {}}, "b": {"uuid": {}}}"#, None);
        let present = |keys: &[&str]| keys.iter().map(|name| (key(name), Value::text("x"))).collect();
        assert_eq!(source.missing(&present(&[])), Ok(vec![&key("a"), &key("b")]));
        assert_eq!(source.missing(&present(&["a", "a.pub"])), Ok(vec![&key("b")]));
        assert_eq!(source.missing(&present(&["a", "b"])), Ok(vec![]));
        assert!(matches!(
            source.missing(&present(&["a.pub"])),
            Err(SourceError::HalfThere { .. })
        ));
    }
}
