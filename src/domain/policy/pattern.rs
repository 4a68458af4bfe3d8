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

use crate::domain::actor::{Actor, UserIdentity};
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
pub(super) enum Segment {
    /// `**`.
    AnyDepth,
    /// Neither wildcard nor variable.
    Literal(Box<str>),
    /// What stands between the `*` of a segment; one chunk is a segment without `*`.
    Chunks(Box<[Chunk]>),
}

type Chunk = Box<[Part]>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(Box<str>),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
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
            Actor::User(user) => Self::of_user(user),
            // A key stands in its owner's place.
            Actor::ApiKey(key) => Self::of_user(&key.owner),
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

    fn of_user(user: &'a UserIdentity) -> Self {
        Self {
            user_id: Some(user.id.to_string()),
            user_name: Some(super::name::canonical_name(&user.name)),
            ..Self::default()
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

    pub(super) fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether it means something else to each actor.
    pub(super) fn has_variables(&self) -> bool {
        let is_variable = |part: &Part| matches!(part, Part::Variable(_));
        self.0.iter().any(|segment| match segment {
            Segment::AnyDepth | Segment::Literal(_) => false,
            Segment::Chunks(chunks) => chunks.iter().any(|chunk| chunk.iter().any(is_variable)),
        })
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

    /// The range of texts, under byte order, that holds every path that could match, whoever asks: from the first up to but without the
    /// second.
    #[must_use]
    pub fn range(&self) -> (String, Option<String>) {
        let head: Vec<&str> = self.literal_head().collect();
        let head = head.join("/");
        // '0' follows '/', so the range ends behind everything below.
        let end = (!head.is_empty()).then(|| format!("{head}0"));
        (head, end)
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
    pub(super) fn text<'a>(&'a self, variables: &'a Variables<'_>) -> Option<&'a str> {
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
#[path = "pattern_tests.rs"]
mod tests;
