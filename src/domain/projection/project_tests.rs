//! Tests of projections: what is made, what is at fault, and that no fault holds a value.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Decode, FromRule, KeyRule, Property};
use super::*;
use crate::domain::record::{RecordData, Value, Version};
use crate::domain::template::Template;

fn path(text: &str) -> RecordPath {
    RecordPath::parse(text).unwrap()
}

fn key(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

fn fetched(records: &[(&str, &[(&str, &str)])]) -> Fetched {
    let record = |entries: &[(&str, &str)]| {
        let map = entries.iter().map(|(k, v)| (key(k), Value::text(*v))).collect();
        FetchedRecord {
            version: Version::FIRST,
            data: Arc::new(RecordData::new(map).unwrap()),
        }
    };
    records
        .iter()
        .map(|(name, entries)| (Source::current(path(name)), record(entries)))
        .collect()
}

fn projection(data: Vec<KeyRule>, data_from: Vec<FromRule>) -> Projection {
    Projection {
        own: path("k8s/shop/db"),
        data,
        data_from,
    }
}

fn copy(name: &str, from: &str, its: &str) -> KeyRule {
    KeyRule {
        key: key(name),
        value: ValueRule::Copy {
            source: Source::current(path(from)),
            key: key(its),
        },
    }
}

fn template(name: &str, text: &str) -> KeyRule {
    KeyRule {
        key: key(name),
        value: ValueRule::Template(Template::parse(text, None).unwrap()),
    }
}

fn all_of(from: &str, prefix: &str) -> FromRule {
    FromRule {
        source: Source::current(path(from)),
        rename: Vec::new(),
        prefix: prefix.to_owned(),
    }
}

fn project(projection: &Projection, records: &Fetched) -> Result<Vec<(String, String)>, Vec<Fault>> {
    let meta = Meta {
        namespace: "shop".into(),
        name: "db".into(),
        path: path("k8s/shop/db"),
    };
    let data = projection.project(records, &meta)?;
    Ok(data
        .iter()
        .map(|(k, v)| (k.to_string(), String::from_utf8(v.to_vec()).unwrap()))
        .collect())
}

fn reasons(projection: &Projection, records: &Fetched) -> Vec<(Option<String>, &'static str)> {
    project(projection, records)
        .unwrap_err()
        .into_iter()
        .map(|fault| (fault.key, fault.kind.reason()))
        .collect()
}

#[test]
fn without_rules_every_key_of_the_own_record_appears() {
    let projection = projection(vec![], vec![]);
    assert_eq!(projection.references(), [Source::current(path("k8s/shop/db"))]);
    let made = project(&projection, &fetched(&[("k8s/shop/db", &[("a", "1"), ("b", "2")])])).unwrap();
    assert_eq!(made, [("a".into(), "1".into()), ("b".into(), "2".into())]);
}

#[test]
fn keys_are_copied_renamed_prefixed_and_rendered() {
    let rules = vec![
        copy("CA", "shared/pki", "crt"),
        template("URL", "pg://{{ data.user }}@{{ records['shared/db'].data.host }}"),
    ];
    let projection = projection(rules, vec![all_of("shared/smtp", "SMTP_")]);
    let records = fetched(&[
        ("k8s/shop/db", &[("user", "u")]),
        ("shared/pki", &[("crt", "CERT"), ("other", "x")]),
        ("shared/db", &[("host", "db")]),
        ("shared/smtp", &[("PORT", "25")]),
    ]);
    let references: Vec<_> = projection
        .references()
        .into_iter()
        .map(|source| source.path.to_string())
        .collect();
    assert_eq!(references, ["k8s/shop/db", "shared/db", "shared/pki", "shared/smtp"]);
    let made = project(&projection, &records).unwrap();
    let expected = [("CA", "CERT"), ("SMTP_PORT", "25"), ("URL", "pg://u@db")];
    assert_eq!(made, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn every_fault_is_told_with_its_key_and_without_values() {
    let rules = vec![
        copy("A", "k8s/shop/db", "nope"),
        template("B", "{{ data.nope }}"),
        copy("C", "k8s/shop/db", "user"),
    ];
    let projection = projection(rules, vec![all_of("k8s/shop/db", ""), all_of("k8s/shop/db", "")]);
    let records = fetched(&[("k8s/shop/db", &[("C", "hidden"), ("user", "hidden")])]);
    let expected = [
        ("C", "KeyConflict"),
        ("user", "KeyConflict"),
        ("A", "KeyMissing"),
        ("B", "KeyMissing"),
        ("C", "KeyConflict"),
    ];
    assert_eq!(
        reasons(&projection, &records),
        expected.map(|(k, r)| (Some(k.to_owned()), r))
    );
    for fault in project(&projection, &records).unwrap_err() {
        assert!(!fault.to_string().contains("hidden"), "{fault}");
    }
}

#[test]
fn a_part_of_a_value_is_taken_and_what_is_wrong_with_it_told() {
    let extract = |name: &str, its: &str, property: Option<&str>, decode: Option<Decode>| {
        let property = property.map(|property| Property::parse(property).unwrap());
        let source = Source::current(path("shared/json"));
        let value = ValueRule::Extract {
            source,
            key: key(its),
            part: Part { property, decode },
        };
        KeyRule { key: key(name), value }
    };
    let rules = vec![
        extract("HOST", "config", Some("db.host"), None),
        extract("CERT", "config", Some("cert"), Some(Decode::Base64)),
        extract("RAW", "cert", None, Some(Decode::Base64)),
    ];
    let projection_of = |rules| projection(rules, vec![]);
    let records = fetched(&[(
        "shared/json",
        &[
            ("config", r#"{"db":{"host":"h"},"cert":"aGk="}"#),
            ("cert", "aGk="),
            ("text", "hidden"),
        ],
    )]);
    let sound = projection_of(rules);
    assert_eq!(sound.references(), [Source::current(path("shared/json"))]);
    let expected = [("CERT", "hi"), ("HOST", "h"), ("RAW", "hi")];
    assert_eq!(
        project(&sound, &records).unwrap(),
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );

    let broken = projection_of(vec![
        extract("A", "config", Some("db.port"), None),
        extract("B", "text", Some("db"), None),
        extract("C", "text", None, Some(Decode::Base64)),
        extract("D", "nope", Some("db"), None),
    ]);
    let faults = project(&broken, &records).unwrap_err();
    let messages: Vec<_> = faults
        .iter()
        .map(|fault| format!("{}: {fault}", fault.kind.reason()))
        .collect();
    insta::assert_snapshot!(messages.join("\n"), @r"
    InvalidValue: key 'A': key 'config' of 'shared/json' has no property 'db.port'; add it to the value, or name another
    InvalidValue: key 'B': key 'text' of 'shared/json' is not JSON, so it has no properties; leave `property` out
    InvalidValue: key 'C': key 'text' of 'shared/json' is not standard base64; leave `decode` out, or encode the value
    KeyMissing: key 'D': 'shared/json' has no key 'nope'; add it to the record, or name another
    ");
}

#[test]
fn a_record_that_was_not_read_makes_no_partial_secret() {
    let rules = vec![copy("A", "shared/a", "a"), copy("B", "shared/b", "b")];
    let projection = projection(rules, vec![all_of("shared/c", "")]);
    let records = fetched(&[("shared/a", &[("a", "1")])]);
    let expected = [(None, "PathNotFound"), (Some("B".to_owned()), "PathNotFound")];
    assert_eq!(reasons(&projection, &records), expected);
}

#[test]
fn a_pinned_version_and_the_current_one_are_two_references() {
    let pinned = Source {
        path: path("shared/a"),
        version: Some(Version::FIRST),
    };
    let value = ValueRule::Copy {
        source: pinned.clone(),
        key: key("a"),
    };
    let projection = projection(
        vec![KeyRule { key: key("OLD"), value }, copy("NEW", "shared/a", "a")],
        vec![],
    );
    assert_eq!(
        projection.references(),
        [Source::current(path("shared/a")), pinned.clone()]
    );
    let mut records = fetched(&[("shared/a", &[("a", "new")])]);
    records.extend(
        fetched(&[("shared/a", &[("a", "old")])])
            .into_values()
            .map(|record| (pinned.clone(), record)),
    );
    let expected = [("NEW", "new"), ("OLD", "old")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(project(&projection, &records).unwrap(), expected);
}

proptest! {
    #[test]
    fn what_is_referenced_is_enough_and_no_fault_holds_a_value(
        keys in proptest::collection::btree_set("[a-c]{1,2}", 0..4),
        rules in proptest::collection::vec(("[a-d]{1,2}", 0_u8..3, "[a-c]{1,2}", "shared/[ab]"), 0..4),
        all in proptest::collection::vec(("shared/[ab]", "(P_)?"), 0..3),
    ) {
        const VALUE: &str = "c4n4ry-Zq";
        let rules = rules.into_iter().map(|(name, kind, its, from)| match kind {
            0 => copy(&name, &from, &its),
            1 => template(&name, &format!("{{{{ data.{its} }}}}{{{{ records['{from}'].data.{its} | b64decode }}}}")),
            _ => template(&name, &format!("{{{{ records['{from}'].data[data.{its}] }}}}")),
        });
        let projection = projection(rules.collect(), all.iter().map(|(from, prefix)| all_of(from, prefix)).collect());
        let entries: Vec<_> = keys.iter().map(|key| (key.as_str(), VALUE)).collect();
        let needed: Vec<String> = projection.references().iter().map(|source| source.path.to_string()).collect();
        let records = fetched(&needed.iter().map(|path| (path.as_str(), entries.as_slice())).collect::<Vec<_>>());
        for fault in project(&projection, &records).err().unwrap_or_default() {
            prop_assert!(!fault.to_string().contains(VALUE), "{}", fault);
            prop_assert!(fault.kind.reason() != "PathNotFound", "{}", fault);
            // A template that lacks a record says `in records`.
            prop_assert!(!fault.to_string().contains("in records;"), "{}", fault);
        }
    }
}

#[test]
fn a_secret_that_kubernetes_cannot_hold_is_refused() {
    let large = "x".repeat(600 << 10);
    let records = fetched(&[("shared/a", &[("a", &large)]), ("shared/b", &[("b", &large)])]);
    let projection = projection(vec![], vec![all_of("shared/a", ""), all_of("shared/b", "")]);
    assert_eq!(reasons(&projection, &records), [(None, "TargetTooLarge")]);
}

#[test]
fn a_prefix_that_makes_no_key_is_told() {
    let records = fetched(&[("shared/a", &[("a", "1")])]);
    let projection = projection(vec![], vec![all_of("shared/a", &"p".repeat(253))]);
    assert_eq!(reasons(&projection, &records), [(None, "InvalidSpec")]);
}
