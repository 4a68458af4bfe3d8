//! Making the data of a Secret of the values of records.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use zeroize::Zeroizing;

use super::{Projection, SecretData, Source, ValueRule};
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
    /// A key is made twice.
    #[error("the key is made twice, by {0} and by {1}; rename one, or give dataFrom a prefix")]
    KeyConflict(String, String),
    /// A prefix makes a name that no Secret can hold.
    #[error("the prefix and key '{0}' make a name that a Secret cannot hold; shorten the prefix")]
    BadName(KeyName),
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
            making.take_all(&Source::current(self.own.clone()), "", "the record");
        }
        for rule in &self.data_from {
            making.take_all(&rule.source, &rule.prefix, &format!("dataFrom '{}'", rule.source.path));
        }
        let context = self.context(fetched, meta);
        for rule in &self.data {
            let value = match &rule.value {
                ValueRule::Copy { source, key } => making.copy(source, key),
                ValueRule::Template(template) => template.render(&context).map_err(FaultKind::Template),
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
            ValueRule::Copy { .. } => None,
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
    fn copy(&self, source: &Source, key: &KeyName) -> Result<Zeroizing<Vec<u8>>, FaultKind> {
        let value = self
            .fetched
            .get(source)
            .and_then(|record| record.data.get(key.as_str()));
        let missing = || FaultKind::KeyMissing {
            path: source.path.clone(),
            key: key.to_string(),
        };
        value
            .map(|value| Zeroizing::new(value.as_bytes().to_vec()))
            .ok_or_else(missing)
    }

    fn take_all(&mut self, source: &Source, prefix: &str, by: &str) {
        let Some(record) = self.fetched.get(source) else { return };
        for (key, value) in record.data.iter() {
            match KeyName::parse(format!("{prefix}{key}")) {
                Ok(name) => self.add(name, Zeroizing::new(value.as_bytes().to_vec()), by.to_owned()),
                Err(_) => self.faults.push(Fault {
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
mod tests {
    use std::sync::Arc;

    use super::super::{FromRule, KeyRule};
    use super::*;
    use crate::domain::record::{RecordData, Value, Version};
    use crate::domain::template::Template;

    fn path(text: &str) -> RecordPath {
        RecordPath::parse(text).unwrap()
    }

    fn key(text: &str) -> KeyName {
        KeyName::parse(text).unwrap()
    }

    fn fetched(records: &[(&str, &[(&str, &str)])]) -> Fetched {
        let record = |entries: &[(&str, &str)]| {
            let map = entries.iter().map(|(k, v)| (key(k), Value::text(*v))).collect();
            FetchedRecord {
                version: Version::FIRST,
                data: Arc::new(RecordData::new(map).unwrap()),
            }
        };
        records
            .iter()
            .map(|(name, entries)| (Source::current(path(name)), record(entries)))
            .collect()
    }

    fn projection(data: Vec<KeyRule>, data_from: Vec<FromRule>) -> Projection {
        Projection {
            own: path("k8s/shop/db"),
            data,
            data_from,
        }
    }

    fn copy(name: &str, from: &str, its: &str) -> KeyRule {
        KeyRule {
            key: key(name),
            value: ValueRule::Copy {
                source: Source::current(path(from)),
                key: key(its),
            },
        }
    }

    fn template(name: &str, text: &str) -> KeyRule {
        KeyRule {
            key: key(name),
            value: ValueRule::Template(Template::parse(text, None).unwrap()),
        }
    }

    fn all_of(from: &str, prefix: &str) -> FromRule {
        FromRule {
            source: Source::current(path(from)),
            prefix: prefix.to_owned(),
        }
    }

    fn project(projection: &Projection, records: &Fetched) -> Result<Vec<(String, String)>, Vec<Fault>> {
        let meta = Meta {
            namespace: "shop".into(),
            name: "db".into(),
            path: path("k8s/shop/db"),
        };
        let data = projection.project(records, &meta)?;
        Ok(data
            .iter()
            .map(|(k, v)| (k.to_string(), String::from_utf8(v.to_vec()).unwrap()))
            .collect())
    }

    fn reasons(projection: &Projection, records: &Fetched) -> Vec<(Option<String>, &'static str)> {
        project(projection, records)
            .unwrap_err()
            .into_iter()
            .map(|fault| (fault.key, fault.kind.reason()))
            .collect()
    }

    #[test]
    fn without_rules_every_key_of_the_own_record_appears() {
        let projection = projection(vec![], vec![]);
        assert_eq!(projection.references(), [Source::current(path("k8s/shop/db"))]);
        let made = project(&projection, &fetched(&[("k8s/shop/db", &[("a", "1"), ("b", "2")])])).unwrap();
        assert_eq!(made, [("a".into(), "1".into()), ("b".into(), "2".into())]);
    }

    #[test]
    fn keys_are_copied_renamed_prefixed_and_rendered() {
        let rules = vec![
            copy("CA", "shared/pki", "crt"),
            template("URL", "pg://{{ data.user }}@{{ records['shared/db'].data.host }}"),
        ];
        let projection = projection(rules, vec![all_of("shared/smtp", "SMTP_")]);
        let records = fetched(&[
            ("k8s/shop/db", &[("user", "u")]),
            ("shared/pki", &[("crt", "CERT"), ("other", "x")]),
            ("shared/db", &[("host", "db")]),
            ("shared/smtp", &[("PORT", "25")]),
        ]);
        let references: Vec<_> = projection
            .references()
            .into_iter()
            .map(|source| source.path.to_string())
            .collect();
        assert_eq!(references, ["k8s/shop/db", "shared/db", "shared/pki", "shared/smtp"]);
        let made = project(&projection, &records).unwrap();
        let expected = [("CA", "CERT"), ("SMTP_PORT", "25"), ("URL", "pg://u@db")];
        assert_eq!(made, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn every_fault_is_told_with_its_key_and_without_values() {
        let rules = vec![
            copy("A", "k8s/shop/db", "nope"),
            template("B", "{{ data.nope }}"),
            copy("C", "k8s/shop/db", "user"),
        ];
        let projection = projection(rules, vec![all_of("k8s/shop/db", ""), all_of("k8s/shop/db", "")]);
        let records = fetched(&[("k8s/shop/db", &[("C", "hidden"), ("user", "hidden")])]);
        let expected = [
            ("C", "KeyConflict"),
            ("user", "KeyConflict"),
            ("A", "KeyMissing"),
            ("B", "KeyMissing"),
            ("C", "KeyConflict"),
        ];
        assert_eq!(
            reasons(&projection, &records),
            expected.map(|(k, r)| (Some(k.to_owned()), r))
        );
        for fault in project(&projection, &records).unwrap_err() {
            assert!(!fault.to_string().contains("hidden"), "{fault}");
        }
    }

    #[test]
    fn a_secret_that_kubernetes_cannot_hold_is_refused() {
        let large = "x".repeat(600 << 10);
        let records = fetched(&[("shared/a", &[("a", &large)]), ("shared/b", &[("b", &large)])]);
        let projection = projection(vec![], vec![all_of("shared/a", ""), all_of("shared/b", "")]);
        assert_eq!(reasons(&projection, &records), [(None, "TargetTooLarge")]);
    }

    #[test]
    fn a_prefix_that_makes_no_key_is_told() {
        let records = fetched(&[("shared/a", &[("a", "1")])]);
        let projection = projection(vec![], vec![all_of("shared/a", &"p".repeat(253))]);
        assert_eq!(reasons(&projection, &records), [(None, "InvalidSpec")]);
    }
}
