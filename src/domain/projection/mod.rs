//! From records to the data of a Kubernetes Secret.
//!
//! [`Projection::references`] says which records it takes, [`Projection::project`] makes the data of their values. Every key at fault is
//! reported, with its own reason; nothing is made of a part.

mod data;
mod extract;
mod file;
mod project;
mod rename;
pub mod target;

use std::collections::BTreeSet;

pub use data::SecretData;
pub use extract::{BadProperty, Decode, Part, Property};
pub use file::{FileFormat, FileRule};
pub use project::{Fault, FaultKind, Fetched};
pub use rename::RenameRule;

use super::path::RecordPath;
use super::record::{KeyName, Version};
use super::template::Template;

/// Which keys a Secret has, and where each comes from. Without rules it is every key of the own record under its own name.
#[derive(Clone, PartialEq, Eq)]
pub struct Projection {
    /// The own record.
    pub own: RecordPath,
    /// Keys one by one.
    pub data: Vec<KeyRule>,
    /// Records whose keys all appear.
    pub data_from: Vec<FromRule>,
}

/// One key of the Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRule {
    /// Its name in the Secret.
    pub key: KeyName,
    /// Where its value comes from.
    pub value: ValueRule,
}

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum ValueRule {
    /// A key of a record, as it is.
    Copy {
        /// The record.
        source: Source,
        /// Its key.
        key: KeyName,
    },
    /// A part of a key of a record.
    Extract {
        /// The record.
        source: Source,
        /// Its key.
        key: KeyName,
        /// Which part.
        part: Part,
    },
    /// A text with values filled in.
    Template(Template),
    /// A whole record as one file.
    File(FileRule),
}

/// All keys of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromRule {
    /// The record.
    pub source: Source,
    /// How names change before they get the prefix.
    pub rename: Vec<RenameRule>,
    /// What each key gets in front.
    pub prefix: String,
}

/// A record, or a version of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Its path.
    pub path: RecordPath,
    /// A version to stay at; the current one if absent.
    pub version: Option<Version>,
}

impl Projection {
    /// The records that it takes, each once, the own one first.
    #[must_use]
    pub fn references(&self) -> Vec<Source> {
        let own = Source::current(self.own.clone());
        let mut all: BTreeSet<Source> = self.data_from.iter().map(|rule| rule.source.clone()).collect();
        for rule in &self.data {
            match &rule.value {
                ValueRule::Copy { source, .. }
                | ValueRule::Extract { source, .. }
                | ValueRule::File(FileRule { source, .. }) => {
                    all.insert(source.clone());
                }
                ValueRule::Template(template) => {
                    all.extend(template.records().into_iter().cloned().map(Source::current));
                    all.extend(template.uses_own().then(|| own.clone()));
                }
            }
        }
        let has_own = all.remove(&own) || self.takes_everything();
        has_own.then_some(own).into_iter().chain(all).collect()
    }

    fn takes_everything(&self) -> bool {
        self.data.is_empty() && self.data_from.is_empty()
    }
}

impl Source {
    /// The current version of a record.
    #[must_use]
    pub fn current(path: RecordPath) -> Self {
        Self { path, version: None }
    }
}
