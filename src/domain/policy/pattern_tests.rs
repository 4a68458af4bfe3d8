//! Tests of patterns: a table, hostile input, and the definition of matching tried in full.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::actor::{NamespaceName, Role, UserIdentity};

fn namespace(name: &str) -> Actor {
    let namespace = NamespaceName {
        name: name.into(),
        uid: "u".into(),
        labels: BTreeMap::new(),
    };
    Actor::Namespace {
        cluster: "k8s".into(),
        namespace,
    }
}

fn user(name: &str) -> Actor {
    Actor::User(UserIdentity {
        id: Uuid::nil(),
        name: name.into(),
        name_since: None,
        role: Role::User,
        groups: vec![],
    })
}

fn matches(pattern: &str, path: &str, actor: &Actor) -> bool {
    let path = RecordPath::parse(path).unwrap();
    Pattern::parse(pattern).unwrap().matches(&path, &Variables::of(actor))
}

#[test]
fn wildcards_match_within_and_across_segments() {
    let shop = namespace("shop");
    for (pattern, path, expected) in [
        ("**", "a/b", true),
        ("**/**", "a/b/c", true),
        ("a/**", "a/b", true),
        ("a/**", "ab/c", false),
        ("a/b/**", "a/b", true),
        ("**/b", "a/b", true),
        ("**/b", "a/b/c", false),
        ("a/**/c", "a/c", true),
        ("a/**/c", "a/x/y/c", true),
        ("a/**/c/**/d", "a/c/c/x/d/d", true),
        ("a/**/c/**/d", "a/d/c", false),
        ("*/b", "a/b", true),
        ("a/*", "a/b", true),
        ("a/*", "a/b/c", false),
        ("a/*-db", "a/x-db", true),
        ("a/*-db", "a/x-dbs", false),
        ("a/db-*", "a/db-", true),
        ("a/x*y*z", "a/xyz", true),
        ("a/x*y*z", "a/x-z-y", false),
        ("a/x*x", "a/x", false),
        ("a/x*yy*y", "a/xyy", false),
        ("a/b", "a/B", false),
        ("k8s/{namespace}/**", "k8s/shop/db", true),
        ("k8s/{namespace}/**", "k8s/shop-eu/db", false),
        ("teams/{namespace}-*/ca", "teams/shop-eu/ca", true),
        (
            "users/{user.id}/**",
            "users/00000000-0000-0000-0000-000000000000/x",
            false,
        ),
        ("a/x{serviceaccount}", "a/x", false),
    ] {
        assert_eq!(matches(pattern, path, &shop), expected, "{pattern} over {path}");
    }
    assert!(matches(
        "users/{user.id}/**",
        "users/00000000-0000-0000-0000-000000000000/x",
        &user("ann")
    ));
    assert!(matches("home/{user.name}", "home/ann", &user(" Ann ")));
}

#[test]
fn faults_are_told_apart() {
    for (pattern, error) in [
        ("", PatternError::Empty),
        ("/a", PatternError::EmptySegment),
        ("a//b", PatternError::EmptySegment),
        ("a/", PatternError::EmptySegment),
        ("a/b**", PatternError::DepthInsideSegment),
        ("a/***", PatternError::DepthInsideSegment),
        ("a/..", PatternError::BadStart),
        ("~/a", PatternError::BadStart),
        ("a/b c", PatternError::BadCharacter),
        ("a/?", PatternError::BadCharacter),
        ("a/\0", PatternError::BadCharacter),
        ("a/{namespace", PatternError::UnclosedVariable),
        ("a/namespace}", PatternError::UnclosedVariable),
        ("a/{na*me}", PatternError::UnclosedVariable),
        ("a/{Namespace}", PatternError::UnknownVariable),
        ("a/{}", PatternError::UnknownVariable),
        ("shared", PatternError::RootOnly),
        ("*", PatternError::RootOnly),
    ] {
        assert_eq!(Pattern::parse(pattern), Err(error), "{pattern:?}");
    }
    assert_eq!(
        Pattern::parse(&vec!["a"; 17].join("/")),
        Err(PatternError::TooManySegments)
    );
    assert_eq!(
        Pattern::parse(&format!("a/{}", "b".repeat(511))),
        Err(PatternError::TooLong)
    );
    assert!(PatternError::UnknownVariable.to_string().contains("{user.id}"));
}

#[test]
fn r17_values_are_literals_whatever_they_hold() {
    for name in ["*", "**", "a/b", "..", "{namespace}", "", " "] {
        assert!(!matches("home/{user.name}/**", "home/ann/x", &user(name)), "{name:?}");
        assert!(!matches("home/x{user.name}", "home/x", &user(name)), "{name:?}");
    }
    assert!(!matches("home/{user.name}", "home/a/b", &user("a/b")));
}

#[test]
fn hostile_patterns_take_no_time() {
    let stars = format!("a/{}b", "a*".repeat(250));
    let depths = format!("{}b", "**/a/".repeat(15));
    let path = RecordPath::parse(&format!("a/{}", "a".repeat(128))).unwrap();
    let deep = RecordPath::parse(&vec!["a"; 16].join("/")).unwrap();
    let actor = namespace("shop");
    for _ in 0..1000 {
        assert!(!Pattern::parse(&stars).unwrap().matches(&path, &Variables::of(&actor)));
        assert!(!Pattern::parse(&depths).unwrap().matches(&deep, &Variables::of(&actor)));
    }
}

#[test]
fn a_pattern_stays_below_what_its_literal_head_says() {
    assert_eq!(
        Pattern::parse("a/**/b")
            .unwrap()
            .literal_head()
            .take(3)
            .collect::<Vec<_>>(),
        ["a"]
    );
    let below = |pattern: &str, prefix: &str| {
        Pattern::parse(pattern)
            .unwrap()
            .stays_below(&PathPrefix::parse(prefix).unwrap())
    };
    assert!(below("k8s/shop/**", "k8s/shop"));
    assert!(below("k8s/shop/a/*", "k8s/shop"));
    assert!(below("**", ""));
    assert!(!below("k8s/{namespace}/**", "k8s/shop"));
    assert!(!below("k8s/shop-eu/**", "k8s/shop"));
    assert!(!below("k8s/**", "k8s/shop"));
    assert!(!below("k8s/**/shop/x", "k8s/a/shop"));
}

/// The definition of matching, by trying everything: exponential, and obviously right.
fn naive(pattern: &[&str], path: &[&str], value: &str) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => naive(rest, path, value) || !path.is_empty() && naive(pattern, &path[1..], value),
        ([first, rest @ ..], [segment, others @ ..]) => {
            naive_segment(first.as_bytes(), segment.as_bytes(), value.as_bytes()) && naive(rest, others, value)
        }
        _ => false,
    }
}

fn naive_segment(pattern: &[u8], text: &[u8], value: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|n| naive_segment(rest, &text[n..], value)),
        [b'{', rest @ ..] => {
            let rest = &rest["namespace}".len()..];
            !value.is_empty()
                && text
                    .strip_prefix(value)
                    .is_some_and(|text| naive_segment(rest, text, value))
        }
        [byte, rest @ ..] => text
            .strip_prefix(&[*byte])
            .is_some_and(|text| naive_segment(rest, text, value)),
    }
}

proptest! {
    #[test]
    fn matching_is_what_the_definition_says(
        pattern in "(\\*\\*|[ab*]{1,4}|[ab]?\\{namespace\\}\\*?[ab]?)(/(\\*\\*|[ab*]{1,4}|[ab]?\\{namespace\\}\\*?[ab]?)){0,4}",
        path in "[ab]{1,4}(/[ab]{1,4}){1,5}",
        name in "[ab]{0,2}",
    ) {
        if let Ok(parsed) = Pattern::parse(&pattern) {
            let segments: Vec<&str> = path.split('/').collect();
            let expected = naive(&pattern.split('/').collect::<Vec<_>>(), &segments, &name);
            let actor = namespace(&name);
            prop_assert_eq!(parsed.matches(&RecordPath::parse(&path).unwrap(), &Variables::of(&actor)), expected);
        }
    }

    #[test]
    fn r17_a_value_matches_only_itself(value in "[ab*/.{}]{1,6}|[ -~]{1,8}", path in "t/[ab]{1,4}(/[ab]{1,3}){0,2}") {
        let whole = matches("t/{namespace}", &path, &namespace(&value));
        prop_assert_eq!(whole, path == format!("t/{value}"));
        let part = matches("t/a{namespace}b", &path, &namespace(&value));
        prop_assert_eq!(part, path == format!("t/a{value}b") && !value.contains('/'));
    }

    #[test]
    fn r31_no_text_panics(text in any::<String>(), like in "[a*/{}.]{0,24}") {
        let _ = Pattern::parse(&text);
        let _ = Pattern::parse(&like);
    }
}
