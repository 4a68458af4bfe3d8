//! The audit log as a whole: sealing, verification of a log that somebody had their hands in, retention, failures.

mod failures;
mod sealing;
mod sinks;
mod tampering;

use std::path::PathBuf;
use std::sync::Arc;

use aether_vault::domain::record::Expect;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::database::TestDatabase;
use crate::support::process::Installation;
use crate::support::vault::{TestVault, path, record};

/// A sealed log of a vault that does not run any more, and the command line to look at it with.
struct Sealed {
    database: TestDatabase,
    installation: Installation,
    checkpoint: PathBuf,
    _root_key: Arc<TempDir>,
}

impl Sealed {
    /// A log of several blocks.
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        let process = TestVault::open(&database).await;
        let admin = process.admin().await;
        for group in 0..4 {
            for n in 0..3 {
                let at = path(&format!("shared/{group}-{n}"));
                let records = process.vault.records();
                records
                    .write(&admin, &at, &record(&[("k", "v")]), Expect::Any)
                    .await
                    .unwrap();
                records.read(&admin, &at, None).await.unwrap();
            }
            process.vault.audit_log().seal().await.unwrap();
        }
        let folder = Arc::clone(&process.folder);
        drop(process);
        Self::of(database, folder)
    }

    fn of(database: TestDatabase, folder: Arc<TempDir>) -> Self {
        let mut installation = Installation::new(&database.runtime_dsn, &database.owner_dsn);
        installation.set("keys.file", &folder.path().join("root.key").display().to_string());
        let checkpoint = installation.folder().join("checkpoint");
        let sealed = Self {
            database,
            installation,
            checkpoint,
            _root_key: folder,
        };
        let (code, text) = sealed.run(&["audit", "checkpoint"]);
        assert_eq!(code, 0, "{text}");
        std::fs::write(&sealed.checkpoint, text).unwrap();
        sealed
    }

    /// Exit code and output of a command.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.installation.run(arguments);
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    }

    /// Exit code and report of a verification.
    fn verify(&self, arguments: &[&str]) -> (i32, Value) {
        let checkpoint = self.checkpoint.display().to_string();
        let mut line = vec!["audit", "verify", "--json", "--checkpoint", &checkpoint];
        line.extend(arguments);
        let output = self.installation.run(&line);
        let text = String::from_utf8(output.stdout).unwrap();
        let report = serde_json::from_str(&text)
            .unwrap_or_else(|_| Value::String(text + &String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), report)
    }

    /// The ids of entries of an action, with the heights of their blocks.
    async fn entries(&self, action: &str) -> Vec<(i64, i64)> {
        sqlx::query_as(
            "SELECT e.id, l.height FROM audit_entries e, audit_leaves l WHERE e.id = ANY (l.entry_ids) AND e.action = $1 ORDER BY e.id",
        )
        .bind(action)
        .fetch_all(&self.database.superuser)
        .await
        .unwrap()
    }
}

/// What a report found: damage, block, entry.
fn findings(report: &Value) -> Vec<(String, Option<i64>, Option<i64>)> {
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{report}"));
    findings
        .iter()
        .map(|finding| {
            let damage = finding["damage"].as_str().unwrap().to_owned();
            (damage, finding["block"].as_i64(), finding["entry"].as_i64())
        })
        .collect()
}
