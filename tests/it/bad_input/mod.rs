//! Bad input, from clients and from operators: each has its status, its reason and its message, and nothing is stored.

mod http;
mod start;
mod tokens;

use crate::support::database::TestDatabase;

/// Rows of everything that a refused request might have changed. Audit entries are not among them: a refusal may be one.
async fn rows(database: &TestDatabase) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in [
        "secrets",
        "secret_versions",
        "changes",
        "roots",
        "keks",
        "policies",
        "syncs",
        "sessions",
        "users",
    ] {
        counts.push((table, database.count(&format!("SELECT count(*) FROM {table}")).await));
    }
    counts
}
