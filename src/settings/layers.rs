//! Layers of settings, laid over one another, with a note of where each value came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::SettingsError;

/// Environment variables of settings begin with this; sections are parted by two underscores.
const PREFIX: &str = "AETHER_VAULT__";

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: built in.
    Default,
    /// The settings file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(String),
    /// A file that another setting names.
    Referenced(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) | Self::Referenced(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "${name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A flag of its own that sets a setting.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// As it is written.
    pub name: &'static str,
    /// The setting.
    pub setting: &'static str,
    /// The subcommand that takes it; of both servers if empty.
    pub of: &'static str,
}

impl Flag {
    /// Where the API listens.
    pub const LISTEN: Self = Self::new("--listen", "http.listen", "api");
    /// Where the API's metrics are.
    pub const METRICS_LISTEN: Self = Self::new("--metrics-listen", "metrics.listen", "api");
    /// Where the controller's metrics are.
    pub const CONTROLLER_METRICS_LISTEN: Self =
        Self::new("--metrics-listen", "controller.metrics_listen", "controller");
    /// The form of the log.
    pub const LOG_FORMAT: Self = Self::new("--log-format", "log.format", "");
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::LISTEN,
        Self::METRICS_LISTEN,
        Self::CONTROLLER_METRICS_LISTEN,
        Self::LOG_FORMAT,
    ];

    const fn new(name: &'static str, setting: &'static str, of: &'static str) -> Self {
        Self { name, setting, of }
    }
}

/// The environment variable of a setting.
pub(super) fn variable_of(setting: &str) -> String {
    format!("{PREFIX}{}", setting.to_ascii_uppercase().replace('.', "__"))
}

/// What the command line sets: flags of their own, and `--set section.key=value`.
#[derive(Debug, Clone, Default)]
pub struct Overrides(Vec<(String, String, String)>);

impl Overrides {
    /// Sets a setting by a flag of its own, if that was given.
    pub fn flag(&mut self, flag: Flag, value: Option<&str>) {
        if let Some(value) = value {
            self.0
                .push((flag.name.to_owned(), flag.setting.to_owned(), value.to_owned()));
        }
    }

    /// Takes the argument of `--set`.
    ///
    /// # Errors
    /// [`SettingsError`] if it is not of the form `section.key=value`.
    pub fn set(&mut self, argument: &str) -> Result<(), SettingsError> {
        let (key, value) = argument
            .split_once('=')
            .filter(|(key, _)| key.contains('.'))
            .ok_or_else(|| {
                SettingsError::new("--set takes section.key=value, such as --set http.listen=127.0.0.1:8200")
            })?;
        self.0.push((format!("--set {key}"), key.to_owned(), value.to_owned()));
        Ok(())
    }
}

/// Values by their dotted path, and where each came from. Starts from the defaults, which also say what type a text is read as.
pub(super) struct Layers {
    values: Value,
    defaults: Value,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// Whatever nothing else is laid over is the default, in sections of which only a part is set too.
    pub(super) fn new(defaults: Value) -> Self {
        Self {
            values: defaults.clone(),
            defaults,
            origins: BTreeMap::new(),
        }
    }

    /// Lays a whole document over what is there.
    pub(super) fn document(&mut self, document: Value, origin: &Origin) {
        let mut leaves = Vec::new();
        collect_leaves(String::new(), document, &mut leaves);
        for (key, value) in leaves {
            self.put(&key, value, origin.clone());
        }
    }

    /// Lays over what environment variables of the prefix say.
    ///
    /// # Errors
    /// [`SettingsError`] for a variable that is not UTF-8 or names no section.
    pub(super) fn environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), SettingsError> {
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let value = value
                .into_string()
                .map_err(|_| SettingsError::new(format!("environment variable {name} is not valid UTF-8")))?;
            let key = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
            if !key.contains('.') {
                return Err(SettingsError::new(format!(
                    "environment variable {name} names no setting; write {PREFIX}SECTION__KEY"
                )));
            }
            self.text(&key, value, Origin::Environment(name.to_owned()));
        }
        Ok(())
    }

    /// Lays over what flags say.
    pub(super) fn flags(&mut self, overrides: Overrides) {
        for (flag, key, value) in overrides.0 {
            self.text(&key, value, Origin::Flag(flag));
        }
    }

    /// The values, and where each was set.
    pub(super) fn finish(self) -> (Value, BTreeMap<String, Origin>) {
        (self.values, self.origins)
    }

    fn text(&mut self, key: &str, text: String, origin: Origin) {
        let default = key.split('.').try_fold(&self.defaults, |value, part| value.get(part));
        let value = match default {
            Some(Value::Bool(_)) => text.parse().map(Value::Bool).ok(),
            Some(Value::Number(_)) => text.parse::<u64>().map(Value::from).ok(),
            Some(Value::Array(_)) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(items.map(Value::from).collect()))
            }
            _ => None,
        };
        self.put(key, value.unwrap_or(Value::String(text)), origin);
    }

    fn put(&mut self, key: &str, value: Value, origin: Origin) {
        let mut at = &mut self.values;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            // A scalar where a section should be is replaced: the typed reading then names what does not fit.
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            let Value::Object(map) = at else { return };
            if parts.peek().is_none() {
                map.insert(part.to_owned(), value);
                break;
            }
            at = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
        }
        self.origins.insert(key.to_owned(), origin);
    }
}

fn collect_leaves(path: String, value: Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                collect_leaves(path, value, leaves);
            }
        }
        // A section with nothing in it, or a key with no value, is as if it were not there.
        Value::Null => {}
        value => leaves.push((path, value)),
    }
}
