//! The reference of all settings, made from their types, so that it cannot say anything else than what is read.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Settings;
use super::layers::{Flag, variable_of};

const BEGINNING: &str = "# Settings\n
Made from the settings' types by `aether-vault generate settings`; do not edit it. [Configuration](configuration.md) says where settings come
from, how durations, sizes and lists are written, and which files are read again.\n
Each can be set in the settings file by its name, in the environment by its variable, and by `--set NAME=VALUE`; some have a flag of their own
besides. What has no variable is set in the settings file alone.\n";

/// A setting, or a section of them.
struct Entry<'a> {
    path: String,
    name: &'a str,
    schema: &'a Value,
    /// In a list, where no variable reaches.
    listed: bool,
}

/// All settings as Markdown: name, type, default, variable, flag, meaning.
#[must_use]
pub fn reference() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Settings>();
    // Settings hold nothing that JSON cannot: no non-text keys, no failing Serialize.
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let mut out = BEGINNING.to_owned();
    for entry in children(schema.as_value(), "", false) {
        section(&entry, &defaults, 2, &mut out);
    }
    out
}

fn section(entry: &Entry<'_>, defaults: &Value, depth: usize, out: &mut String) {
    let fields = fields_of(entry.schema).unwrap_or(entry.schema);
    let (leaves, sections): (Vec<_>, Vec<_>) =
        children(fields, &entry.path, entry.listed).partition(|child| child.schema.get("properties").is_none());
    let _ = write!(
        out,
        "\n{} {}\n\n{}\n",
        "#".repeat(depth),
        entry.path,
        description(entry.schema)
    );
    if !leaves.is_empty() {
        out.push_str("\n| setting | type | default | variable | flag | meaning |\n|---|---|---|---|---|---|\n");
    }
    for leaf in &leaves {
        let variable = if leaf.listed || fields_of(leaf.schema).is_some() {
            String::new()
        } else {
            format!("`{}`", variable_of(&leaf.path))
        };
        let flag = Flag::ALL.iter().find(|flag| flag.setting == leaf.path);
        let flag = flag.map(|flag| format!("{} {}", flag.of, flag.name));
        let flag = flag.map_or(String::new(), |words| format!("`{}`", words.trim_start()));
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {variable} | {flag} | {} |",
            leaf.path,
            kind(leaf.schema, leaf.name),
            default(leaf, defaults),
            description(leaf.schema).replace('|', "\\|"),
        );
    }
    // Lists of sections, after the row that names them.
    for child in leaves.iter().filter(|leaf| fields_of(leaf.schema).is_some()) {
        let items = Entry {
            path: format!("{}[]", child.path),
            listed: true,
            ..*child
        };
        section(&items, defaults, depth + 1, out);
    }
    for child in &sections {
        section(child, defaults, depth + 1, out);
    }
}

fn children<'a>(schema: &'a Value, path: &str, listed: bool) -> impl Iterator<Item = Entry<'a>> {
    let fields = schema.get("properties").and_then(Value::as_object);
    fields.into_iter().flatten().map(move |(name, schema)| Entry {
        path: if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        },
        name,
        schema,
        listed,
    })
}

/// What each item of a list of sections holds.
fn fields_of(schema: &Value) -> Option<&Value> {
    schema.get("items").filter(|items| items.get("properties").is_some())
}

fn description(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind(schema: &Value, name: &str) -> String {
    // What may be absent is what it is when it is there.
    if let Some(variants) = schema.get("anyOf").and_then(Value::as_array) {
        return variants
            .iter()
            .find(|variant| variant["type"] != "null")
            .map_or_else(String::new, |variant| kind(variant, name));
    }
    if let Some(variants) = schema.get("oneOf").and_then(Value::as_array) {
        let values = variants.iter().filter_map(|variant| variant["const"].as_str());
        return one_of(values);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return one_of(values.iter().filter_map(Value::as_str));
    }
    if let Some(format @ ("address" | "duration" | "size" | "URL")) = schema["format"].as_str() {
        return format.to_owned();
    }
    let types = &schema["type"];
    let is = |wanted: &str| {
        types == wanted
            || types
                .as_array()
                .is_some_and(|types| types.iter().any(|kind| kind == wanted))
    };
    if is("boolean") {
        "boolean".to_owned()
    } else if is("integer") {
        "integer".to_owned()
    } else if is("array") && fields_of(schema).is_some() {
        "list of sections".to_owned()
    } else if is("array") {
        format!("list of {}", kind(&schema["items"], ""))
    } else if is("object") {
        format!("map to {}", kind(&schema["additionalProperties"], ""))
    } else if name.ends_with("file") {
        "file".to_owned()
    } else {
        "text".to_owned()
    }
}

fn one_of<'a>(values: impl Iterator<Item = &'a str>) -> String {
    values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
}

/// What a setting is when nothing sets it: a section may have other defaults where it stands than by itself. Of items of a list, by itself.
fn default(leaf: &Entry<'_>, defaults: &Value) -> String {
    let place = format!("/{}", leaf.path.replace('.', "/"));
    let value = if leaf.listed {
        leaf.schema.get("default")
    } else {
        defaults.pointer(&place)
    };
    match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(Value::Array(items)) if items.is_empty() => "empty".to_owned(),
        Some(Value::Array(items)) => one_of(items.iter().filter_map(Value::as_str)),
        Some(Value::Object(fields)) if fields.is_empty() => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Overrides};

    /// Cells of the rows: name, type, default, variable, flag, meaning.
    fn rows(text: &str) -> Vec<Vec<&str>> {
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            row.trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().trim_matches('`'))
                .collect()
        })
        .collect()
    }

    #[test]
    fn the_committed_reference_is_current() {
        let committed = include_str!("../../docs/settings.md");
        assert!(
            committed == reference(),
            "run 'make generate' and commit docs/settings.md"
        );
    }

    #[test]
    fn every_setting_stands_in_it_with_its_meaning() {
        let text = reference();
        let rows = rows(&text);
        for row in &rows {
            assert_eq!(row.len(), 6, "{row:?}");
            assert!(!row[1].is_empty() && !row[5].is_empty(), "{row:?}");
        }
        let mut leaves = Vec::new();
        leaves_of("", &serde_json::to_value(Settings::default()).unwrap(), &mut leaves);
        assert!(leaves.len() > 60, "{}", leaves.len());
        let missing: Vec<_> = leaves
            .iter()
            .filter(|leaf| !rows.iter().any(|row| row[0] == **leaf))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// Set to what the reference says is the default, by the variable that it names.
    #[test]
    fn variables_and_defaults_are_what_is_read() {
        let text = reference();
        let defaults = serde_json::to_value(Settings::default()).unwrap();
        // Whatever settings the machine may have of its own.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, "").unwrap();
        let mut tried = 0;
        for row in rows(&text) {
            let (name, default, variable) = (row[0], row[2], row[3]);
            if variable.is_empty() || ["none", "empty"].contains(&default) {
                continue;
            }
            let environment = std::iter::once((variable.into(), default.into()));
            let loaded = Settings::load_from(Some(&file), environment, Overrides::default()).unwrap();
            assert_eq!(loaded.origin(name), Origin::Environment(variable.to_owned()));
            assert_eq!(serde_json::to_value(&loaded.settings).unwrap(), defaults, "{name}");
            tried += 1;
        }
        assert!(tried > 40, "{tried}");
    }

    #[test]
    fn each_flag_is_of_a_setting() {
        let text = reference();
        for flag in Flag::ALL {
            let row = rows(&text).into_iter().find(|row| row[0] == flag.setting);
            assert!(row.unwrap()[4].contains(flag.name), "{flag:?}");
        }
    }

    fn leaves_of(path: &str, value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                leaves_of(&path, value, out);
            }),
            _ => out.push(path.to_owned()),
        }
    }
}
