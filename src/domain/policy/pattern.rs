//! Path patterns of policy rules.
//!
//! | in a pattern | stands for |
//! |---|---|
//! | `*` | one segment, or any part of one (also an empty part) |
//! | `**` | zero or more whole segments |
//! | `{user.id}` `{user.name}` `{namespace}` `{serviceaccount}` | what the actor has of it, compared as a literal |
//!
//! A variable is put in after the pattern was taken apart, so its value can never add a wildcard or a separator (R17). An actor
//! without the variable, or with an empty one, matches no pattern that names it. Matching takes time in proportion to the length of
//! the path times that of the pattern, never more.

use std::borrow::Cow;

use crate::domain::actor::Actor;
use crate::domain::limits::{MAX_PATH_BYTES, MAX_SEGMENTS};
use crate::domain::path::{PathPrefix, RecordPath};

/// Why a text is not a pattern. The message is safe to show: it never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing was given.
    #[error("the pattern is empty; write '**' for everything, or a path such as 'shared/pki/*'")]
    Empty,
    /// A leading, trailing or doubled `/`.
    #[error(
        "the pattern has an empty segment; remove the leading, trailing or doubled '/' (all below a folder is 'folder/**')"
    )]
    EmptySegment,
    /// `**` beside something else in one segment.
    #[error("'**' stands for whole segments and must be alone between two '/'; use '*' for a part of a segment")]
    DepthInsideSegment,
    /// A segment that starts with a character no path segment starts with.
    #[error("each segment must start with a letter, a digit, '*' or a variable, so '.' and '..' are refused")]
    BadStart,
    /// A character that no path holds.
    #[error("a pattern may hold only letters, digits, the characters . _ @ + = ~ -, '*', '**' and variables in braces")]
    BadCharacter,
    /// `{` without `}`, or the other way round.
    #[error("a brace is not closed; variables are written as {{namespace}}")]
    UnclosedVariable,
    /// A name that is no variable.
    #[error("unknown variable; there are {{user.id}}, {{user.name}}, {{namespace}} and {{serviceaccount}}")]
    UnknownVariable,
    /// A single segment: it would name a root, and a root is no record.
    #[error("the pattern names a root and can match no record; to mean everything below, add '/**'")]
    RootOnly,
    /// More segments than any path has.
    #[error("the pattern has more than {MAX_SEGMENTS} segments, more than any path")]
    TooManySegments,
    /// Longer than any path.
    #[error("the pattern is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<[Segment]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`.
    AnyDepth,
    /// Neither wildcard nor variable.
    Literal(Box<str>),
    /// What stands between the `*` of a segment; one chunk is a segment without `*`.
    Chunks(Box<[Chunk]>),
}

type Chunk = Box<[Part]>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    UserId,
    UserName,
    Namespace,
    ServiceAccount,
}

/// What the variables stand for, for one actor.
#[derive(Debug, Default, Clone)]
pub struct Variables<'a> {
    user_id: Option<String>,
    user_name: Option<Cow<'a, str>>,
    namespace: Option<&'a str>,
    service_account: Option<&'a str>,
}

impl<'a> Variables<'a> {
    /// The variables that an actor has.
    #[must_use]
    pub fn of(actor: &'a Actor) -> Self {
        match actor {
            Actor::User { id, name, .. } => Self {
                user_id: Some(id.to_string()),
                user_name: Some(super::name::canonical_name(name)),
                ..Self::default()
            },
            Actor::ServiceAccount { namespace, name, .. } => Self {
                namespace: Some(&namespace.name),
                service_account: Some(name),
                ..Self::default()
            },
            Actor::Namespace { namespace, .. } => Self {
                namespace: Some(&namespace.name),
                ..Self::default()
            },
            Actor::System => Self::default(),
        }
    }

    fn value(&self, variable: Variable) -> Option<&str> {
        let value = match variable {
            Variable::UserId => self.user_id.as_deref(),
            Variable::UserName => self.user_name.as_deref(),
            Variable::Namespace => self.namespace,
            Variable::ServiceAccount => self.service_account,
        };
        // An empty value would turn `team-{namespace}` into `team-`.
        value.filter(|value| !value.is_empty())
    }
}

impl Pattern {
    /// `**`: every path.
    #[must_use]
    pub fn everything() -> Self {
        Self(Box::new([Segment::AnyDepth]))
    }

    /// Parses a pattern as written in a policy.
    ///
    /// # Errors
    /// [`PatternError`] with what to change.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_PATH_BYTES {
            return Err(PatternError::TooLong);
        }
        let mut segments = Vec::new();
        for segment in text.split('/').map(parse_segment) {
            let segment = segment?;
            // `**/**` says no more than `**`.
            if segment != Segment::AnyDepth || segments.last() != Some(&Segment::AnyDepth) {
                segments.push(segment);
            }
        }
        let whole = segments.iter().filter(|segment| **segment != Segment::AnyDepth).count();
        if whole > MAX_SEGMENTS {
            return Err(PatternError::TooManySegments);
        }
        if whole == 1 && segments.len() == 1 {
            return Err(PatternError::RootOnly);
        }
        Ok(Self(segments.into()))
    }

    /// Whether `path` matches, with the actor's variables put in.
    #[must_use]
    pub fn matches(&self, path: &RecordPath, variables: &Variables<'_>) -> bool {
        let path: Vec<&str> = path.segments().collect();
        self.matches_segments(&path, variables)
    }

    /// The leading segments without wildcard or variable: what a path must begin with to match.
    pub(super) fn literal_head(&self) -> impl Iterator<Item = &str> {
        let literal = self.0.iter().map_while(|segment| match segment {
            Segment::Literal(text) => Some(text.as_ref()),
            Segment::AnyDepth | Segment::Chunks(_) => None,
        });
        // `map_while` would go on after its first `None`.
        literal.fuse()
    }

    /// Whether everything that could match, whoever asks, lies below `prefix`.
    #[must_use]
    pub fn stays_below(&self, prefix: &PathPrefix) -> bool {
        let mut head = self.literal_head();
        prefix
            .as_str()
            .split_terminator('/')
            .all(|segment| head.next() == Some(segment))
    }

    /// Glob matching by the last wildcard: when a segment does not fit, the latest `**` takes one segment more. Earlier ones need no
    /// second try, because whatever they could give up the latest can take.
    pub(super) fn matches_segments(&self, path: &[&str], variables: &Variables<'_>) -> bool {
        let pattern = &self.0;
        let (mut at, mut in_path) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while in_path < path.len() {
            match pattern.get(at) {
                Some(Segment::AnyDepth) => {
                    at += 1;
                    retry = Some((at, in_path));
                    continue;
                }
                Some(segment) if segment.matches(path[in_path], variables) => {
                    at += 1;
                    in_path += 1;
                    continue;
                }
                _ => {}
            }
            let Some((after_depth, taken)) = retry else {
                return false;
            };
            retry = Some((after_depth, taken + 1));
            (at, in_path) = (after_depth, taken + 1);
        }
        pattern[at..].iter().all(|segment| *segment == Segment::AnyDepth)
    }
}

impl Segment {
    fn matches(&self, text: &str, variables: &Variables<'_>) -> bool {
        match self {
            Self::AnyDepth => false,
            Self::Literal(literal) => **literal == *text,
            Self::Chunks(chunks) => matches_chunks(chunks, text.as_bytes(), variables).unwrap_or(false),
        }
    }
}

/// The first chunk must begin the text, the last must end it, and those between must follow one another; the leftmost place for each
/// leaves the most room for the rest. `None` if a variable has no value.
fn matches_chunks(chunks: &[Chunk], text: &[u8], variables: &Variables<'_>) -> Option<bool> {
    let lengths = chunks
        .iter()
        .map(|chunk| length(chunk, variables))
        .collect::<Option<Vec<_>>>()?;
    let [first, between @ .., last] = chunks else {
        return Some(chunks.iter().all(|only| begins(text, only, variables)) && lengths[0] == text.len());
    };
    let mut at = lengths[0];
    let Some(end) = text.len().checked_sub(lengths[chunks.len() - 1]) else {
        return Some(false);
    };
    if at > end || !begins(text, first, variables) || !begins(&text[end..], last, variables) {
        return Some(false);
    }
    for (chunk, length) in between.iter().zip(&lengths[1..]) {
        let Some(found) = (at..=end.saturating_sub(*length)).find(|at| begins(&text[*at..end], chunk, variables))
        else {
            return Some(false);
        };
        at = found + length;
    }
    Some(at <= end)
}

fn length(chunk: &Chunk, variables: &Variables<'_>) -> Option<usize> {
    chunk.iter().map(|part| part.text(variables).map(str::len)).sum()
}

fn begins(mut text: &[u8], chunk: &Chunk, variables: &Variables<'_>) -> bool {
    chunk.iter().all(
        |part| match part.text(variables).and_then(|part| text.strip_prefix(part.as_bytes())) {
            Some(rest) => {
                text = rest;
                true
            }
            None => false,
        },
    )
}

impl Part {
    fn text<'a>(&'a self, variables: &'a Variables<'_>) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Variable(variable) => variables.value(*variable),
        }
    }
}

fn parse_segment(text: &str) -> Result<Segment, PatternError> {
    if text == "**" {
        return Ok(Segment::AnyDepth);
    }
    if text.contains("**") {
        return Err(PatternError::DepthInsideSegment);
    }
    let Some(first) = text.bytes().next() else {
        return Err(PatternError::EmptySegment);
    };
    let chunks = text.split('*').map(parse_chunk).collect::<Result<Box<[_]>, _>>()?;
    if !first.is_ascii_alphanumeric() && first != b'*' && first != b'{' {
        return Err(PatternError::BadStart);
    }
    Ok(match &*chunks {
        [only] if matches!(&**only, [Part::Text(_)]) => Segment::Literal(text.into()),
        _ => Segment::Chunks(chunks),
    })
}

fn parse_chunk(mut text: &str) -> Result<Chunk, PatternError> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let (literal, rest) = text.split_at(text.find('{').unwrap_or(text.len()));
        if literal.contains('}') {
            return Err(PatternError::UnclosedVariable);
        }
        if !literal
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._@+=~-".contains(&b))
        {
            return Err(PatternError::BadCharacter);
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        text = rest;
        if let Some(rest) = rest.strip_prefix('{') {
            let (name, rest) = rest.split_once('}').ok_or(PatternError::UnclosedVariable)?;
            parts.push(Part::Variable(match name {
                "user.id" => Variable::UserId,
                "user.name" => Variable::UserName,
                "namespace" => Variable::Namespace,
                "serviceaccount" => Variable::ServiceAccount,
                _ => return Err(PatternError::UnknownVariable),
            }));
            text = rest;
        }
    }
    Ok(parts.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::actor::{NamespaceName, Role};

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
        Actor::User {
            id: Uuid::nil(),
            name: name.into(),
            role: Role::User,
            groups: vec![],
        }
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
}
