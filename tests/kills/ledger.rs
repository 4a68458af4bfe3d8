//! The clients' ledger: what was about to be sent is on disk before it is sent, and what came of it after that.
//!
//! It is read back from the file, so that a check rests on nothing but what would have survived the client's own death.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a client asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// Write a version with this value, which no other write has.
    Write { path: String, value: String },
    /// Read the current version.
    Read { path: String },
    /// Soft-delete this version.
    Delete { path: String, version: i64 },
}

/// What came back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// 2xx: committed, in this version.
    Acknowledged { version: i64, request: String },
    /// 4xx: not done.
    Refused,
    /// 5xx, or no answer: done or not.
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Line {
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<Intent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// The ledger of one client.
pub struct Ledger {
    file: File,
    number: u64,
}

impl Ledger {
    /// Begins a ledger.
    pub fn create(path: &Path) -> Self {
        Self {
            file: OpenOptions::new().create_new(true).append(true).open(path).unwrap(),
            number: 0,
        }
    }

    /// Notes what is about to be sent.
    pub fn intend(&mut self, intent: Intent) {
        self.number += 1;
        self.append(&Line {
            number: self.number,
            intent: Some(intent),
            outcome: None,
        });
    }

    /// Notes what came of the last intent.
    pub fn note(&mut self, outcome: Outcome) {
        self.append(&Line {
            number: self.number,
            intent: None,
            outcome: Some(outcome),
        });
    }

    fn append(&mut self, line: &Line) {
        let mut text = serde_json::to_string(line).unwrap();
        text.push('\n');
        self.file.write_all(text.as_bytes()).unwrap();
        self.file.sync_data().unwrap();
    }
}

/// Reads ledgers back: each intent with its outcome, in the order of each client.
pub fn read(files: &[PathBuf]) -> Vec<(Intent, Outcome)> {
    let mut all = Vec::new();
    for file in files {
        let mut entries: BTreeMap<u64, (Intent, Outcome)> = BTreeMap::new();
        for line in BufReader::new(File::open(file).unwrap()).lines() {
            let line: Line = serde_json::from_str(&line.unwrap()).unwrap();
            if let Some(intent) = line.intent {
                // Until it has an outcome it has none that is known.
                entries.insert(line.number, (intent, Outcome::Unknown));
            }
            if let Some(outcome) = line.outcome {
                entries.get_mut(&line.number).unwrap().1 = outcome;
            }
        }
        all.extend(entries.into_values());
    }
    all
}
