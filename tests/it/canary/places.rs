//! Where a secret could end up: logs, metrics, the database's dump, files and log, the cluster's events and status, answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::needle::{Finder, Needle};
use crate::support::servers::OwnPostgres;

/// Named contents.
#[derive(Default)]
pub struct Places(BTreeMap<String, Vec<u8>>);

impl Places {
    pub fn add(&mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.0.insert(name.into(), content.into());
    }

    /// All files below a folder that can be read.
    pub fn add_folder(&mut self, name: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            if path.is_dir() {
                self.add_folder(&name, &path);
            } else if let Ok(content) = std::fs::read(&path) {
                self.add(name, content);
            }
        }
    }

    /// The database as SQL, a place for each table.
    pub fn add_dump(&mut self, postgres: &OwnPostgres) {
        let output = Command::new(pg_dump())
            .arg("--dbname")
            .arg(postgres.dsn("superuser"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "pg_dump failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let dump = String::from_utf8(output.stdout).unwrap();
        let mut table = "schema";
        let mut tables: BTreeMap<&str, String> = BTreeMap::new();
        for line in dump.lines() {
            if let Some(copied) = line.strip_prefix("COPY public.") {
                table = copied.split(' ').next().unwrap();
            } else if line == "\\." {
                table = "schema";
            } else {
                let text = tables.entry(table).or_default();
                text.push_str(line);
                text.push('\n');
            }
        }
        for (table, text) in tables {
            self.add(format!("table {table}"), text);
        }
    }

    /// Every needle that stands somewhere: which, where, and how.
    pub fn search<'a>(&self, needles: impl IntoIterator<Item = &'a Needle>) -> Vec<(&'a Needle, &str, String)> {
        let finder = Finder::new(needles);
        let mut all = Vec::new();
        for (name, content) in &self.0 {
            all.extend(
                finder
                    .find(content)
                    .into_iter()
                    .map(|(needle, how)| (needle, name.as_str(), how)),
            );
        }
        all
    }

    /// Panics if a place is empty: what was not collected proves nothing.
    pub fn assert_filled(&self, names: &[&str]) {
        for name in names {
            assert!(
                self.0
                    .iter()
                    .any(|(place, content)| place.starts_with(name) && !content.is_empty()),
                "nothing in {name}"
            );
        }
    }
}

/// The dump program of the server's own version.
fn pg_dump() -> PathBuf {
    let mut found: Vec<_> = ["/usr/lib/postgresql", "/usr"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path().join("bin/pg_dump"))
        .filter(|program| program.is_file())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| "pg_dump".into())
}
