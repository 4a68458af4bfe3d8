//! The filters and tests that templates have. All are pure; the list is pinned by a test (R33).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value, filters, tests};

use super::values::{Bytes, from_json, plain};

/// Every filter.
pub(super) const FILTERS: [&str; 20] = [
    "b64decode",
    "b64encode",
    "default",
    "first",
    "fromjson",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lower",
    "quote",
    "replace",
    "sort",
    "split",
    "tojson",
    "trim",
    "upper",
    "urlencode",
];

/// Every test.
pub(super) const TESTS: [&str; 10] = [
    "boolean",
    "defined",
    "endingwith",
    "mapping",
    "none",
    "number",
    "sequence",
    "startingwith",
    "string",
    "undefined",
];

/// A refusal in words that hold no value; travels as the source of the engine's error.
#[derive(Debug)]
pub(super) struct FilterError(pub(super) &'static str);

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for FilterError {}

/// Registers the filters and tests.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("b64decode", b64decode);
    environment.add_filter("b64encode", b64encode);
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("fromjson", fromjson);
    environment.add_filter("indent", filters::indent);
    environment.add_filter("int", filters::int);
    environment.add_filter("items", filters::items);
    environment.add_filter("join", filters::join);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("quote", quote);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("sort", filters::sort);
    environment.add_filter("split", filters::split);
    environment.add_filter("tojson", tojson);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("urlencode", urlencode);

    environment.add_test("boolean", tests::is_boolean);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("endingwith", tests::is_endingwith);
    environment.add_test("mapping", tests::is_mapping);
    environment.add_test("none", tests::is_none);
    environment.add_test("number", tests::is_number);
    environment.add_test("sequence", tests::is_sequence);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("string", tests::is_string);
    environment.add_test("undefined", tests::is_undefined);
}

fn refused(message: &'static str) -> Error {
    Error::from(ErrorKind::InvalidOperation).with_source(FilterError(message))
}

/// Text of a value, for filters that work on text: numbers and booleans have one, structures and bytes do not.
fn text(value: &Value, refusal: &'static str) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        ValueKind::String | ValueKind::Number | ValueKind::Bool => Ok(plain(value)),
        _ => Err(refused(refusal)),
    }
}

/// Standard base64 of text or bytes.
fn b64encode(value: &Value) -> Result<String, Error> {
    if let Some(bytes) = value.downcast_object_ref::<Bytes>() {
        return Ok(STANDARD.encode(bytes.as_slice()));
    }
    text(
        value,
        "b64encode takes text or bytes; make text of a structure with tojson first",
    )
    .map(|text| STANDARD.encode(text))
}

/// Text from standard base64; white space is ignored, as in files wrapped at 76 characters.
fn b64decode(value: &Value) -> Result<String, Error> {
    let text = text(value, "b64decode takes text in base64")?;
    let clean: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD
        .decode(clean)
        .map_err(|_| refused("b64decode: the value is not standard base64"))?;
    String::from_utf8(bytes).map_err(|_| {
        refused("b64decode: the decoded bytes are not text; use `from` with `decode: base64` instead of a template")
    })
}

/// Percent-encodes all but letters, digits, `-`, `.`, `_` and `~` (RFC 3986, section 2.3): safe in every part of a URL, also as user name and
/// password, where an encoder that leaves `/` alone breaks the URL.
fn urlencode(value: &Value) -> Result<String, Error> {
    let text = text(
        value,
        "urlencode takes text; make text of a structure with tojson first",
    )?;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(digit.into(), 16).map_or('0', |digit| digit.to_ascii_uppercase()));
            }
        }
    }
    Ok(out)
}

/// Quotes for a POSIX shell: in single quotes, nothing has a meaning but the single quote itself.
fn quote(value: &Value) -> Result<String, Error> {
    let text = text(value, "quote takes text; make text of a structure with tojson first")?;
    if text.contains('\0') {
        return Err(refused("quote: the value holds a NUL, which no shell can carry"));
    }
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Compact JSON.
fn tojson(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    serde_json::to_string(value).map_err(|_| refused("tojson: the value has no form in JSON"))
}

/// A structure from text in JSON.
fn fromjson(value: &Value) -> Result<Value, Error> {
    let text = text(value, "fromjson takes text in JSON")?;
    serde_json::from_str(&text)
        .map(from_json)
        .map_err(|_| refused("fromjson: the value is not JSON"))
}
