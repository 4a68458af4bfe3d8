//! Records beside their values: ends of versions and records, metadata, search, batches, and who feeds them.

mod batches;
mod ends;
mod finding;

use aether_vault::domain::path::PathPrefix;
use aether_vault::domain::record::{Expect, Version};
use aether_vault::service::records::SearchOptions;
use serde_json::json;

use crate::support::vault::TestVault;

fn v(number: i64) -> Version {
    Version::new(number).unwrap()
}

fn everything() -> SearchOptions {
    SearchOptions {
        prefix: PathPrefix::all(),
        name: None,
        owner: None,
        tags: Vec::new(),
        custom: Vec::new(),
        expires_within: None,
        deleted: false,
        limit: 100,
        after: None,
    }
}

/// Puts a policy in force that denies everybody, administrators too.
async fn deny(process: &TestVault, admin: &aether_vault::service::context::OpContext, paths: &str, capability: &str) {
    let document = serde_json::from_value(json!({
        "subjects": [{"kind": "Everyone"}],
        "rules": [{"effect": "deny", "paths": [paths], "capabilities": [capability]}],
    }))
    .unwrap();
    process
        .vault
        .policies()
        .put(admin, "denied", &document, Expect::Any)
        .await
        .unwrap();
}
