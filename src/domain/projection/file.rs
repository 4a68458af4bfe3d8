//! A record written as one file.

use serde_json::{Map, Value as Json};
use zeroize::Zeroizing;

use super::Source;
use crate::domain::record::{KeyName, RecordData, Value};

/// A record as one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRule {
    /// The record.
    pub source: Source,
    /// How it is written.
    pub format: FileFormat,
    /// The keys that go in; all of them if absent.
    pub keys: Option<Vec<KeyName>>,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Lines `KEY='value'`: shells, Docker Compose and dotenv libraries read them alike.
    Dotenv,
    /// A JSON object.
    Json,
    /// A YAML mapping.
    Yaml,
    /// Lines `key=value` as `java.util.Properties` reads them.
    Properties,
    /// Docker's credentials (`config.json`) of the keys `registry`, `username`, `password`, `email`.
    DockerConfigJson,
}

/// Why a file cannot be written. Names keys, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoFile {
    /// The record lacks a key that is named.
    Missing(String),
    /// A value is bytes that are no text, or text that the format cannot hold.
    NotText(String),
    /// A key is no name of a variable.
    NotAName(String),
}

impl FileRule {
    pub(super) fn write(&self, data: &RecordData) -> Result<Zeroizing<Vec<u8>>, NoFile> {
        let entries = match (&self.keys, self.format) {
            (_, FileFormat::DockerConfigJson) => return docker_config(data),
            (None, _) => data.iter().collect(),
            (Some(keys), _) => {
                let entry = |key| match data.get(KeyName::as_str(key)) {
                    Some(value) => Ok((key, value)),
                    None => Err(NoFile::Missing(key.to_string())),
                };
                keys.iter().map(entry).collect::<Result<Vec<_>, _>>()?
            }
        };
        match self.format {
            FileFormat::Dotenv => lines(&entries, |out, key, text| {
                if !is_variable(key.as_str()) {
                    return Err(NoFile::NotAName(key.to_string()));
                }
                if text.contains('\0') {
                    return Err(NoFile::NotText(key.to_string()));
                }
                out.push_str(key.as_str());
                out.push('=');
                shell_quoted(out, text);
                Ok(())
            }),
            FileFormat::Properties => lines(&entries, |out, key, text| {
                out.push_str(key.as_str());
                out.push('=');
                property(out, text);
                Ok(())
            }),
            FileFormat::Yaml => yaml(&entries),
            FileFormat::Json | FileFormat::DockerConfigJson => json(&entries),
        }
    }
}

fn text<'a>(key: &KeyName, value: &'a Value) -> Result<&'a str, NoFile> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| NoFile::NotText(key.to_string()))
}

/// The value as JSON: what is JSON in the record stays so, everything else is a string.
fn as_json(key: &KeyName, value: &Value) -> Result<Json, NoFile> {
    let text = text(key, value)?;
    match value {
        Value::Json(_) => serde_json::from_str(text).map_err(|_| NoFile::NotText(key.to_string())),
        Value::Text(_) | Value::Bytes(_) => Ok(Json::String(text.to_owned())),
    }
}

fn lines(
    entries: &[(&KeyName, &Value)],
    line: impl Fn(&mut String, &KeyName, &str) -> Result<(), NoFile>,
) -> Result<Zeroizing<Vec<u8>>, NoFile> {
    let mut out = Zeroizing::new(String::with_capacity(room(entries)));
    for (key, value) in entries {
        line(&mut out, key, text(key, value)?)?;
        out.push('\n');
    }
    Ok(Zeroizing::new(std::mem::take(&mut *out).into_bytes()))
}

/// More than the longest form of each value takes, so that no unwiped copy is left by growing.
fn room(entries: &[(&KeyName, &Value)]) -> usize {
    entries
        .iter()
        .map(|(key, value)| key.as_str().len() + 6 * value.as_bytes().len() + 16)
        .sum()
}

/// Whether it is the name of an environment variable (POSIX, XBD 8.1).
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Quoted so that a shell reads exactly the text. Single quotes where they can be: within them nothing has a meaning, and every reader of
/// such files agrees.
fn shell_quoted(out: &mut String, text: &str) {
    if !text.contains('\'') {
        out.push('\'');
        out.push_str(text);
        out.push('\'');
        return;
    }
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// Escaped as `java.util.Properties.store` does.
fn property(out: &mut String, text: &str) {
    for (at, character) in text.chars().enumerate() {
        match character {
            ' ' if at == 0 => out.push_str("\\ "),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            '#' | '!' | '=' | ':' => {
                out.push('\\');
                out.push(character);
            }
            ' '..='~' => out.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    unicode_escape(out, *unit);
                }
            }
        }
    }
}

fn unicode_escape(out: &mut String, unit: u16) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        let digit = u32::from(unit >> shift & 0xf);
        out.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

/// A line for each key. A JSON string in double quotes is one in YAML too, but for characters that older readers take for line breaks.
fn yaml(entries: &[(&KeyName, &Value)]) -> Result<Zeroizing<Vec<u8>>, NoFile> {
    let mut out = Zeroizing::new(String::with_capacity(room(entries)));
    for (key, value) in entries {
        let json = Zeroizing::new(as_json(key, value)?.to_string());
        // Keys hold nothing that needs an escape; in quotes, none is a number, a date or `no`.
        for part in ["\"", key.as_str(), "\": "] {
            out.push_str(part);
        }
        for character in json.chars() {
            match u16::try_from(u32::from(character)) {
                Ok(unit @ (0x7f..=0x9f | 0x2028 | 0x2029 | 0xfeff)) => unicode_escape(&mut out, unit),
                _ => out.push(character),
            }
        }
        out.push('\n');
    }
    if entries.is_empty() {
        out.push_str("{}\n");
    }
    Ok(Zeroizing::new(std::mem::take(&mut *out).into_bytes()))
}

fn json(entries: &[(&KeyName, &Value)]) -> Result<Zeroizing<Vec<u8>>, NoFile> {
    let mut map = Map::new();
    for (key, value) in entries {
        map.insert(key.to_string(), as_json(key, value)?);
    }
    Ok(Zeroizing::new(Json::Object(map).to_string().into_bytes()))
}

/// `{"auths": {registry: {"username", "password", "email", "auth"}}}`, as kubelets read it.
fn docker_config(data: &RecordData) -> Result<Zeroizing<Vec<u8>>, NoFile> {
    use base64::Engine as _;
    let field = |name: &str| -> Result<String, NoFile> {
        let value = data.get(name).ok_or_else(|| NoFile::Missing(name.to_owned()))?;
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| NoFile::NotText(name.to_owned()))?;
        Ok(text.to_owned())
    };
    let (registry, username, password) = (
        field("registry")?,
        field("username")?,
        Zeroizing::new(field("password")?),
    );
    let both = Zeroizing::new(format!("{username}:{}", *password));
    let mut entry = Map::new();
    entry.insert("username".to_owned(), username.into());
    entry.insert("password".to_owned(), password.as_str().into());
    if data.get("email").is_some() {
        entry.insert("email".to_owned(), field("email")?.into());
    }
    let auth = base64::engine::general_purpose::STANDARD.encode(both.as_bytes());
    entry.insert("auth".to_owned(), auth.into());
    let mut auths = Map::new();
    auths.insert(registry, Json::Object(entry));
    let mut config = Map::new();
    config.insert("auths".to_owned(), Json::Object(auths));
    Ok(Zeroizing::new(Json::Object(config).to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::path::RecordPath;

    fn record(entries: &[(&str, &str)]) -> RecordData {
        let map = entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), serde_json::json!(value)));
        RecordData::from_json(map.collect(), BTreeMap::new()).unwrap()
    }

    fn rule(format: FileFormat) -> FileRule {
        FileRule {
            source: Source::current(RecordPath::parse("a/b").unwrap()),
            format,
            keys: None,
        }
    }

    fn written(format: FileFormat, data: &RecordData) -> Result<String, NoFile> {
        let bytes = rule(format).write(data)?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn each_format_has_its_quotes() {
        let data = record(&[("A", "x=1 #y"), ("B", "it's \"$HOME\"\n\\"), ("C", " ü\t")]);
        assert_eq!(
            written(FileFormat::Dotenv, &data).unwrap(),
            "A='x=1 #y'\nB=\"it's \\\"\\$HOME\\\"\n\\\\\"\nC=' ü\t'\n"
        );
        assert_eq!(
            written(FileFormat::Properties, &data).unwrap(),
            "A=x\\=1 \\#y\nB=it's \"$HOME\"\\n\\\\\nC=\\ \\u00fc\\t\n"
        );
        assert_eq!(
            written(FileFormat::Json, &data).unwrap(),
            r#"{"A":"x=1 #y","B":"it's \"$HOME\"\n\\","C":" ü\t"}"#
        );
        assert_eq!(
            written(FileFormat::Yaml, &data).unwrap(),
            "\"A\": \"x=1 #y\"\n\"B\": \"it's \\\"$HOME\\\"\\n\\\\\"\n\"C\": \" ü\\t\"\n"
        );
    }

    #[test]
    fn json_stays_json_where_the_format_has_it() {
        let map = serde_json::from_str(r#"{"n": 7, "o": {"a": [true]}, "no": "yes"}"#).unwrap();
        let data = RecordData::from_json(map, BTreeMap::new()).unwrap();
        assert_eq!(
            written(FileFormat::Json, &data).unwrap(),
            r#"{"n":7,"no":"yes","o":{"a":[true]}}"#
        );
        assert_eq!(
            written(FileFormat::Yaml, &data).unwrap(),
            "\"n\": 7\n\"no\": \"yes\"\n\"o\": {\"a\":[true]}\n"
        );
        assert_eq!(
            written(FileFormat::Dotenv, &data).unwrap(),
            "n='7'\nno='yes'\no='{\"a\":[true]}'\n"
        );
    }

    #[test]
    fn registry_credentials_have_docker_s_form() {
        let data = record(&[("registry", "ghcr.io"), ("username", "u"), ("password", "p\"w")]);
        assert_eq!(
            written(FileFormat::DockerConfigJson, &data).unwrap(),
            r#"{"auths":{"ghcr.io":{"auth":"dTpwInc=","password":"p\"w","username":"u"}}}"#
        );
        let lacking = record(&[("registry", "ghcr.io"), ("username", "u")]);
        assert_eq!(
            written(FileFormat::DockerConfigJson, &lacking),
            Err(NoFile::Missing("password".to_owned()))
        );
    }

    #[test]
    fn what_a_format_cannot_hold_is_told_by_key() {
        let data = record(&[("a-b", "x")]);
        assert_eq!(
            written(FileFormat::Dotenv, &data),
            Err(NoFile::NotAName("a-b".to_owned()))
        );
        let nul = record(&[("A", "x\0")]);
        assert_eq!(written(FileFormat::Dotenv, &nul), Err(NoFile::NotText("A".to_owned())));
        let bytes =
            RecordData::from_json(serde_json::Map::new(), BTreeMap::from([("A".into(), "//8=".into())])).unwrap();
        for format in [
            FileFormat::Dotenv,
            FileFormat::Json,
            FileFormat::Yaml,
            FileFormat::Properties,
        ] {
            assert_eq!(
                written(format, &bytes),
                Err(NoFile::NotText("A".to_owned())),
                "{format:?}"
            );
        }
        let keys = Some(vec![KeyName::parse("B").unwrap()]);
        let chosen = FileRule {
            keys,
            ..rule(FileFormat::Json)
        };
        assert_eq!(chosen.write(&data).err(), Some(NoFile::Missing("B".to_owned())));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_shell_reads_exactly_what_was_written(value in "[^\0]*") {
            let text = written(FileFormat::Dotenv, &record(&[("VALUE", &value)])).unwrap();
            let script = format!("{text}printf %s \"$VALUE\"");
            let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }

    proptest! {
        #[test]
        fn json_and_yaml_come_back(value in ".*", key in "[-._a-zA-Z0-9]{1,8}") {
            prop_assume!(KeyName::parse(key.clone()).is_ok());
            let data = record(&[(&key, &value)]);
            let expected = BTreeMap::from([(key, value)]);
            let json: BTreeMap<String, String> = serde_json::from_str(&written(FileFormat::Json, &data).unwrap()).unwrap();
            prop_assert_eq!(&json, &expected);
            let yaml = written(FileFormat::Yaml, &data).unwrap();
            let read: BTreeMap<String, String> = serde_yaml::from_str(&yaml).unwrap();
            prop_assert_eq!(&read, &expected);
            prop_assert_eq!(yaml.lines().count(), 1);
        }
    }
}
