//! The effective settings as YAML, secrets masked, each with where it was set.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Loaded, Origin};

impl Loaded {
    /// The effective settings as YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        // Settings hold nothing that JSON cannot: no non-text keys, no failing Serialize.
        let values = serde_json::to_value(&self.settings).unwrap_or_default();
        self.section(&values, "", 0, &mut out);
        out
    }

    fn section(&self, value: &Value, path: &str, depth: usize, out: &mut String) {
        let Value::Object(map) = value else { return };
        for (key, value) in map {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let indent = "  ".repeat(depth);
            if value.is_object() {
                let _ = writeln!(out, "{indent}{key}:");
                self.section(value, &path, depth + 1, out);
            } else {
                // JSON scalars and lists are YAML.
                let _ = match self.origin(&path) {
                    Origin::Default => writeln!(out, "{indent}{key}: {value}"),
                    origin => writeln!(out, "{indent}{key}: {value}  # {origin}"),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::{Overrides, Settings};

    fn example(extra: &[&str]) -> Loaded {
        let mut overrides = Overrides::default();
        extra.iter().for_each(|set| overrides.set(set).unwrap());
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/settings.example.yaml");
        Settings::load(Some(&file), overrides).unwrap()
    }

    #[test]
    fn r24_secrets_are_masked_and_the_origin_is_told() {
        let shown = example(&["database.url=postgres://av:hunter2@localhost/av"]).to_yaml();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("  url: \"postgres://av:********@localhost/av\"  # --set database.url\n"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_shown_can_be_loaded_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        let shown = example(&[]).to_yaml();
        std::fs::write(&file, &shown).unwrap();
        let again = Settings::load(Some(&file), Overrides::default()).unwrap();
        assert_eq!(
            serde_json::to_value(&again.settings).unwrap(),
            serde_json::to_value(example(&[]).settings).unwrap()
        );
    }

    #[test]
    fn the_example_holds_every_setting_with_its_default() {
        let example = example(&[]);
        let defaults = serde_json::to_value(Settings::default()).unwrap();
        assert_eq!(serde_json::to_value(&example.settings).unwrap(), defaults);
        let text = include_str!("../../config/settings.example.yaml");
        let mut missing = Vec::new();
        leaves("", &defaults, &mut missing);
        missing.retain(|key| {
            let name = key.rsplit('.').next().unwrap_or(key);
            !text.lines().any(|line| {
                line.trim_start()
                    .trim_start_matches("# ")
                    .starts_with(&format!("{name}:"))
            })
        });
        assert_eq!(missing, Vec::<String>::new(), "not in config/settings.example.yaml");
    }

    fn leaves(path: &str, value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => map
                .iter()
                .for_each(|(key, value)| leaves(&format!("{path}.{key}"), value, out)),
            _ => out.push(path.to_owned()),
        }
    }
}
