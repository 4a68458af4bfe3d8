//! Making the data of a Secret of the values of records.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use zeroize::Zeroizing;

use super::extract::NoPart;
use super::file::NoFile;
use super::rename::renamed;
use super::{FileRule, FromRule, Part, Projection, SecretData, Source, ValueRule};
use crate::domain::limits::MAX_SECRET_BYTES;
use crate::domain::path::RecordPath;
use crate::domain::record::KeyName;
use crate::domain::template::{Context, FetchedRecord, Meta, TemplateError, TemplateFault};

/// The records that were read, by what was asked for.
pub type Fetched = HashMap<Source, FetchedRecord>;

/// What is wrong with one key, or with the whole. Messages name keys and paths, never values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key of the Secret; absent if it concerns the whole.
    pub key: Option<String>,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// A record lacks a key that is named.
    #[error("'{path}' has no key '{key}'; add it to the record, or name another")]
    KeyMissing {
        /// The record.
        path: RecordPath,
        /// The key.
        key: String,
    },
    /// A part is to be taken of a value that is not JSON.
    #[error("key '{key}' of '{path}' is not JSON, so it has no properties; leave `property` out")]
    NotJson {
        /// The record.
        path: RecordPath,
        /// The key.
        key: String,
    },
    /// A JSON value lacks a property, or has null there.
    #[error("key '{key}' of '{path}' has no property '{property}'; add it to the value, or name another")]
    PropertyMissing {
        /// The record.
        path: RecordPath,
        /// The key.
        key: String,
        /// The property.
        property: String,
    },
    /// What is to be decoded is not base64.
    #[error("key '{key}' of '{path}' is not standard base64; leave `decode` out, or encode the value")]
    NotBase64 {
        /// The record.
        path: RecordPath,
        /// The key.
        key: String,
    },
    /// The record was not among those that were read, although [`Projection::references`] names it.
    #[error("'{0}' was not read")]
    NotRead(RecordPath),
    /// A key is made twice.
    #[error("the key is made twice, by {0} and by {1}; rename one, or give dataFrom a prefix")]
    KeyConflict(String, String),
    /// A prefix or a rename makes a name that no Secret can hold.
    #[error("prefix and rename make a name of key '{0}' that a Secret cannot hold; change them")]
    BadName(KeyName),
    /// A value that a file is to hold is not text, or not such as the format can hold.
    #[error(
        "key '{key}' of '{path}' is not text that this format can hold; name the keys that go in under `file.keys`"
    )]
    NotText {
        /// The record.
        path: RecordPath,
        /// The key.
        key: String,
    },
    /// A key that a file of variables is to hold is no name of one.
    #[error(
        "key '{key}' of '{path}' is no name of a variable (letters, digits and _, no digit first); name the keys that go in under `file.keys`"
    )]
    NotAVariable {
        /// The record.
        path: RecordPath,
        /// The key.
        key: String,
    },
    /// The Secret's type needs a key that is not there.
    #[error("a Secret of type {0} needs this key; add it under data, or choose another target.type")]
    TypeNeedsKey(String),
    /// Not Docker's credentials.
    #[error(
        "it is not Docker's credentials, JSON with an object `auths`; `file: {{format: dockerconfigjson}}` makes it of a record"
    )]
    NotDockerConfig,
    /// A template cannot be rendered.
    #[error("{0}")]
    Template(TemplateError),
    /// The whole is larger than a Secret holds.
    #[error("the Secret would have {0} bytes, and Kubernetes holds {MAX_SECRET_BYTES}; leave keys out")]
    TooLarge(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "key '{key}': {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl FaultKind {
    /// The condition's reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::KeyMissing { .. } => "KeyMissing",
            Self::Template(TemplateError {
                fault: TemplateFault::KeyMissing { .. },
                ..
            }) => "KeyMissing",
            Self::NotJson { .. }
            | Self::PropertyMissing { .. }
            | Self::NotBase64 { .. }
            | Self::NotText { .. }
            | Self::NotAVariable { .. }
            | Self::NotDockerConfig => "InvalidValue",
            Self::TypeNeedsKey(_) => "KeyMissing",
            Self::NotRead(_) => "PathNotFound",
            Self::KeyConflict(..) => "KeyConflict",
            Self::BadName(_) => "InvalidSpec",
            Self::Template(_) => "TemplateError",
            Self::TooLarge(_) => "TargetTooLarge",
        }
    }
}

impl Projection {
    /// Makes the Secret's data.
    ///
    /// # Errors
    /// Every fault, in the order of the rules.
    pub fn project(&self, fetched: &Fetched, meta: &Meta) -> Result<SecretData, Vec<Fault>> {
        let mut making = Making {
            fetched,
            made: BTreeMap::new(),
            faults: Vec::new(),
        };
        if self.takes_everything() {
            let all = FromRule {
                source: Source::current(self.own.clone()),
                rename: Vec::new(),
                prefix: String::new(),
            };
            making.take_all(&all, "the record");
        }
        for rule in &self.data_from {
            making.take_all(rule, &format!("dataFrom '{}'", rule.source.path));
        }
        let context = self.context(fetched, meta);
        for rule in &self.data {
            let value = match &rule.value {
                ValueRule::Copy { source, key } => making.copy(source, key, &Part::default()),
                ValueRule::Extract { source, key, part } => making.copy(source, key, part),
                ValueRule::Template(template) => template.render(&context).map_err(FaultKind::Template),
                ValueRule::File(file) => making.file(file),
            };
            match value {
                Ok(value) => making.add(rule.key.clone(), value, "data".to_owned()),
                Err(kind) => making.faults.push(Fault {
                    key: Some(rule.key.to_string()),
                    kind,
                }),
            }
        }
        making.finish()
    }

    fn context(&self, fetched: &Fetched, meta: &Meta) -> Context {
        let current = |path: &RecordPath| fetched.get(&Source::current(path.clone())).cloned();
        let named = self.data.iter().filter_map(|rule| match &rule.value {
            ValueRule::Template(template) => Some(template.records()),
            ValueRule::Copy { .. } | ValueRule::Extract { .. } | ValueRule::File(_) => None,
        });
        let records = named
            .flatten()
            .filter_map(|path| Some((path.clone(), current(path)?)))
            .collect();
        Context {
            own: current(&self.own),
            records,
            meta: meta.clone(),
        }
    }
}

struct Making<'a> {
    fetched: &'a Fetched,
    made: BTreeMap<KeyName, (Zeroizing<Vec<u8>>, String)>,
    faults: Vec<Fault>,
}

impl Making<'_> {
    fn copy(&self, source: &Source, key: &KeyName, part: &Part) -> Result<Zeroizing<Vec<u8>>, FaultKind> {
        let Some(record) = self.fetched.get(source) else {
            return Err(FaultKind::NotRead(source.path.clone()));
        };
        let (path, name) = (source.path.clone(), key.to_string());
        let Some(value) = record.data.get(key.as_str()) else {
            return Err(FaultKind::KeyMissing { path, key: name });
        };
        part.of(value).map_err(|fault| match fault {
            NoPart::NotJson => FaultKind::NotJson { path, key: name },
            NoPart::NotBase64 => FaultKind::NotBase64 { path, key: name },
            NoPart::NoProperty => FaultKind::PropertyMissing {
                path,
                key: name,
                property: part
                    .property
                    .as_ref()
                    .map(|property| property.as_str().to_owned())
                    .unwrap_or_default(),
            },
        })
    }

    fn file(&self, file: &FileRule) -> Result<Zeroizing<Vec<u8>>, FaultKind> {
        let Some(record) = self.fetched.get(&file.source) else {
            return Err(FaultKind::NotRead(file.source.path.clone()));
        };
        let path = file.source.path.clone();
        file.write(&record.data).map_err(|fault| match fault {
            NoFile::Missing(key) => FaultKind::KeyMissing { path, key },
            NoFile::NotText(key) => FaultKind::NotText { path, key },
            NoFile::NotAName(key) => FaultKind::NotAVariable { path, key },
        })
    }

    fn take_all(&mut self, rule: &FromRule, by: &str) {
        let Some(record) = self.fetched.get(&rule.source) else {
            // A Secret without these keys would pass for complete.
            let kind = FaultKind::NotRead(rule.source.path.clone());
            self.faults.push(Fault { key: None, kind });
            return;
        };
        for (key, value) in record.data.iter() {
            let name = renamed(&rule.rename, key.as_str())
                .and_then(|name| KeyName::parse(format!("{}{name}", rule.prefix)).ok());
            match name {
                Some(name) => self.add(name, Zeroizing::new(value.as_bytes().to_vec()), by.to_owned()),
                None => self.faults.push(Fault {
                    key: None,
                    kind: FaultKind::BadName(key.clone()),
                }),
            }
        }
    }

    fn add(&mut self, key: KeyName, value: Zeroizing<Vec<u8>>, by: String) {
        if let Some((_, earlier)) = self.made.get(&key) {
            let kind = FaultKind::KeyConflict(earlier.clone(), by);
            self.faults.push(Fault {
                key: Some(key.to_string()),
                kind,
            });
        } else {
            self.made.insert(key, (value, by));
        }
    }

    fn finish(mut self) -> Result<SecretData, Vec<Fault>> {
        let bytes: usize = self
            .made
            .iter()
            .map(|(key, (value, _))| key.as_str().len() + value.len())
            .sum();
        if bytes > MAX_SECRET_BYTES {
            self.faults.push(Fault {
                key: None,
                kind: FaultKind::TooLarge(bytes),
            });
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        Ok(SecretData::new(
            self.made.into_iter().map(|(key, (value, _))| (key, value)).collect(),
        ))
    }
}

#[cfg(test)]
#[path = "project_tests.rs"]
mod tests;
