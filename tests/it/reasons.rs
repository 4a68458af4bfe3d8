//! Every condition and reason that the controller writes is explained in docs/operations/conditions.md.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::servers::project;

/// Words in the controller's sources that look like reasons and are none: kinds, values of fields, what other controllers write, and words
/// that only metrics use.
const NO_REASONS: &[&str] = &[
    "Backup",
    "DaemonSet",
    "Degraded",
    "Deployment",
    "Everyone",
    "ExternalSecret",
    "False",
    "Follow",
    "Gone",
    "Healthy",
    "Leaving",
    "Lease",
    "Merge",
    "Namespace",
    "Off",
    "OnDelete",
    "Opaque",
    "Paused",
    "ProgressDeadlineExceeded",
    "Progressing",
    "Reconcile",
    "Rollout",
    "Sat",
    "StatefulSet",
    "StatusConflict",
    "VaultPolicy",
    "VaultSecret",
];

/// The texts in quotes that are one word beginning with a capital.
fn words(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            words(&path, found);
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let quoted = source.split('"');
        found.extend(
            quoted
                .filter(|text| {
                    text.len() > 2
                        && text.starts_with(|c: char| c.is_ascii_uppercase())
                        && text.chars().all(|c| c.is_ascii_alphabetic())
                        && text.chars().skip(1).any(|c| c.is_ascii_lowercase())
                })
                .map(str::to_owned),
        );
    }
}

#[test]
fn every_condition_and_reason_is_explained() {
    let mut found = BTreeSet::new();
    words(&project("src/k8s/controller"), &mut found);
    assert!(found.contains("PolicyDenied") && found.contains("RestartHeld") && found.contains("BeyondScope"));
    let page = std::fs::read_to_string(project("docs/operations/conditions.md")).unwrap();
    let unexplained: Vec<_> = found
        .iter()
        .filter(|word| !NO_REASONS.contains(&word.as_str()) && !page.contains(&format!("`{word}`")))
        .collect();
    assert!(
        unexplained.is_empty(),
        "explain these in docs/operations/conditions.md, or name them in this test as no reasons: {unexplained:?}"
    );
}

#[test]
fn what_is_explained_exists() {
    let mut found = BTreeSet::new();
    words(&project("src/k8s/controller"), &mut found);
    let page = std::fs::read_to_string(project("docs/operations/conditions.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let reasons: Vec<&str> = rows.filter_map(|line| line.split('`').nth(1)).collect();
    assert!(reasons.len() > 20);
    for reason in reasons {
        assert!(found.contains(reason), "nothing in the controller says {reason}");
    }
}
