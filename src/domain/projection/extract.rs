//! Taking a part of a value: a property of a JSON value, what base64 holds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::domain::limits::{MAX_JSON_DEPTH, MAX_KEY_NAME_BYTES};
use crate::domain::record::Value;

/// Which part of a value is taken. Both may be given: the property is looked up first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// A property inside JSON.
    pub property: Option<Property>,
    /// How the text that is found is decoded.
    pub decode: Option<Decode>,
}

/// How text is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// Standard base64 (RFC 4648, section 4); white space is ignored, as in files wrapped at 76 characters.
    Base64,
}

/// A way into a JSON value, such as `db.hosts.0`: names of properties and numbers of list items from 0, joined by dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property(String);

/// A text that is no way into a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a property is names joined by dots, such as 'db.hosts.0': at most {MAX_KEY_NAME_BYTES} bytes, {MAX_JSON_DEPTH} names, none empty"
)]
pub struct BadProperty;

impl Property {
    /// Parses a way.
    ///
    /// # Errors
    /// [`BadProperty`].
    pub fn parse(text: &str) -> Result<Self, BadProperty> {
        let fits = text.len() <= MAX_KEY_NAME_BYTES && text.split('.').count() <= MAX_JSON_DEPTH;
        if !fits || text.split('.').any(str::is_empty) || text.chars().any(char::is_control) {
            return Err(BadProperty);
        }
        Ok(Self(text.to_owned()))
    }

    /// The way as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn find<'a>(&self, json: &'a Json) -> Option<&'a Json> {
        self.0.split('.').try_fold(json, |json, name| match json {
            Json::Object(map) => map.get(name),
            // Only the plain form: `+1` and `01` are names, not numbers.
            Json::Array(items) => {
                let index: usize = name.parse().ok()?;
                items.get(index).filter(|_| index.to_string() == name)
            }
            _ => None,
        })
    }
}

/// Why a part cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPart {
    NotJson,
    NoProperty,
    NotBase64,
}

impl Part {
    /// Takes the part: text as it is, other JSON in its compact form.
    pub(super) fn of(&self, value: &Value) -> Result<Zeroizing<Vec<u8>>, NoPart> {
        let found = match &self.property {
            Some(property) => property_of(property, value)?,
            None => Zeroizing::new(value.as_bytes().to_vec()),
        };
        match self.decode {
            Some(Decode::Base64) => {
                let clean: Zeroizing<Vec<u8>> = Zeroizing::new(
                    found
                        .iter()
                        .copied()
                        .filter(|byte| !byte.is_ascii_whitespace())
                        .collect(),
                );
                STANDARD
                    .decode(&clean)
                    .map(Zeroizing::new)
                    .map_err(|_| NoPart::NotBase64)
            }
            None => Ok(found),
        }
    }
}

/// JSON may also stand in a text, as programs that know no other kind write it.
fn property_of(property: &Property, value: &Value) -> Result<Zeroizing<Vec<u8>>, NoPart> {
    let json: Json = serde_json::from_slice(value.as_bytes()).map_err(|_| NoPart::NotJson)?;
    match property.find(&json) {
        None | Some(Json::Null) => Err(NoPart::NoProperty),
        Some(Json::String(text)) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        Some(other) => Ok(Zeroizing::new(other.to_string().into_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(property: Option<&str>, decode: bool, value: &Value) -> Result<Vec<u8>, NoPart> {
        let property = property.map(|property| Property::parse(property).unwrap());
        Part {
            property,
            decode: decode.then_some(Decode::Base64),
        }
        .of(value)
        .map(|bytes| bytes.to_vec())
    }

    #[test]
    fn properties_are_found_by_names_and_numbers() {
        let text = r#"{"db": {"hosts": ["a", {"name": "b"}], "port": 5432, "none": null, "0": "zero"}, "b": "aGk="}"#;
        for value in [
            Value::Json(Zeroizing::new(text.into())),
            Value::text(text),
            Value::Bytes(Zeroizing::new(text.into())),
        ] {
            for (property, expected) in [
                ("db.hosts.0", Ok("a")),
                ("db.hosts.1.name", Ok("b")),
                ("db.hosts", Ok(r#"["a",{"name":"b"}]"#)),
                ("db.port", Ok("5432")),
                ("db.0", Ok("zero")),
                ("db.none", Err(NoPart::NoProperty)),
                ("db.hosts.2", Err(NoPart::NoProperty)),
                ("db.hosts.+1", Err(NoPart::NoProperty)),
                ("db.hosts.01", Err(NoPart::NoProperty)),
                ("db.hosts.0.x", Err(NoPart::NoProperty)),
                ("nope", Err(NoPart::NoProperty)),
            ] {
                assert_eq!(
                    take(Some(property), false, &value),
                    expected.map(|text| text.as_bytes().to_vec()),
                    "{property}"
                );
            }
            assert_eq!(take(Some("b"), true, &value), Ok(b"hi".to_vec()));
        }
        assert_eq!(take(Some("a"), false, &Value::text("plain")), Err(NoPart::NotJson));
    }

    #[test]
    fn base64_is_decoded_to_bytes() {
        assert_eq!(take(None, true, &Value::text("AP\n8=\n")), Ok(vec![0, 255]));
        assert_eq!(take(None, true, &Value::text("AP8")), Err(NoPart::NotBase64));
        assert_eq!(take(None, true, &Value::text("not base64!")), Err(NoPart::NotBase64));
    }

    #[test]
    fn ways_that_lead_nowhere_are_refused() {
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a\n",
            &"a".repeat(254),
            &["a"; 33].join("."),
        ] {
            assert_eq!(Property::parse(text), Err(BadProperty), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn r31_no_value_panics(way in ".{0,16}", text in "[\\[\\]{}\":,a0.]{0,24}") {
            if let Ok(property) = Property::parse(&way) {
                let _ = Part { property: Some(property), decode: Some(Decode::Base64) }.of(&Value::text(text));
            }
        }
    }
}
