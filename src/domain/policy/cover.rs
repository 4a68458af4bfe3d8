//! How patterns relate to each other: whether one covers all that another matches, whether two can match the same path.
//!
//! Both answers are safe where they are used, by the escalation check: *covers* says yes only if it is so, *meets* says no only if it
//! is so. A variable of the actor who is looked at is its value; a variable of anybody else may stand for any part of a segment.

use super::pattern::{Part, Pattern, Segment, Variables};

/// A character of a segment, or a `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glyph {
    Any,
    Byte(u8),
}

/// A segment with its variables put in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    AnyDepth,
    Glyphs(Vec<Glyph>),
}

/// A pattern made ready to be compared with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape(Vec<Piece>);

impl Shape {
    /// What the pattern matches for an actor with these variables; `None` if that is nothing.
    pub(super) fn own(pattern: &Pattern, own: &Variables<'_>) -> Option<Self> {
        Self::of(pattern, Some(own))
    }

    /// What the pattern can match, whoever asks.
    pub(super) fn for_anybody(pattern: &Pattern) -> Self {
        Self::of(pattern, None).unwrap_or(Self(vec![Piece::AnyDepth]))
    }

    /// Whether everything in `other` is in this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        covers(&self.0, &other.0, |piece| *piece == Piece::AnyDepth, piece_covers)
    }

    /// Whether the two can have a path in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        meets(&self.0, &other.0, |piece| *piece == Piece::AnyDepth, piece_meets)
    }

    fn of(pattern: &Pattern, own: Option<&Variables<'_>>) -> Option<Self> {
        let piece = |segment: &Segment| match segment {
            Segment::AnyDepth => Some(Piece::AnyDepth),
            Segment::Literal(text) => Some(Piece::Glyphs(text.bytes().map(Glyph::Byte).collect())),
            Segment::Chunks(chunks) => {
                let mut glyphs = Vec::new();
                for (index, chunk) in chunks.iter().enumerate() {
                    if index > 0 {
                        glyphs.push(Glyph::Any);
                    }
                    for part in chunk {
                        match (part, own) {
                            (Part::Text(text), _) => glyphs.extend(text.bytes().map(Glyph::Byte)),
                            (Part::Variable(_), Some(own)) => glyphs.extend(part.text(own)?.bytes().map(Glyph::Byte)),
                            (Part::Variable(_), None) => glyphs.push(Glyph::Any),
                        }
                    }
                }
                Some(Piece::Glyphs(glyphs))
            }
        };
        Some(Self(pattern.segments().iter().map(piece).collect::<Option<_>>()?))
    }
}

fn piece_covers(wide: &Piece, narrow: &Piece) -> bool {
    match (wide, narrow) {
        (Piece::Glyphs(wide), Piece::Glyphs(narrow)) => {
            covers(wide, narrow, |glyph| *glyph == Glyph::Any, |a, b| a == b)
        }
        _ => false,
    }
}

fn piece_meets(one: &Piece, other: &Piece) -> bool {
    match (one, other) {
        (Piece::Glyphs(one), Piece::Glyphs(other)) => meets(one, other, |glyph| *glyph == Glyph::Any, |a, b| a == b),
        _ => false,
    }
}

/// Glob matching of `narrow` taken as a text, in which a wildcard is a letter that only a wildcard of `wide` takes: whatever is put
/// in its place, that wildcard takes it too.
fn covers<T>(wide: &[T], narrow: &[T], is_any: impl Fn(&T) -> bool, fits: impl Fn(&T, &T) -> bool) -> bool {
    // reached[i]: wide[..i] can have taken all of narrow so far.
    let mut reached = vec![false; wide.len() + 1];
    reached[0] = true;
    pass_wildcards(&mut reached, wide, &is_any);
    for letter in narrow {
        let mut next = vec![false; wide.len() + 1];
        for (at, token) in wide.iter().enumerate().filter(|(at, _)| reached[*at]) {
            if is_any(token) {
                next[at] = true;
            } else if !is_any(letter) && fits(token, letter) {
                next[at + 1] = true;
            }
        }
        pass_wildcards(&mut next, wide, &is_any);
        reached = next;
    }
    reached[wide.len()]
}

/// A wildcard may take nothing.
fn pass_wildcards<T>(reached: &mut [bool], wide: &[T], is_any: &impl Fn(&T) -> bool) {
    for (at, token) in wide.iter().enumerate() {
        reached[at + 1] |= reached[at] && is_any(token);
    }
}

/// Whether two globs have a text in common.
fn meets<T>(one: &[T], other: &[T], is_any: impl Fn(&T) -> bool, fits: impl Fn(&T, &T) -> bool) -> bool {
    // common[j]: one[i..] and other[j..] have a text in common, for the i at hand, from the end backwards.
    let mut common = vec![false; other.len() + 1];
    for i in (0..=one.len()).rev() {
        let mut row = vec![false; other.len() + 1];
        for j in (0..=other.len()).rev() {
            let below = |row: &[bool], j: usize| row.get(j).copied().unwrap_or(false);
            row[j] = match (one.get(i), other.get(j)) {
                (None, None) => true,
                (Some(a), _) if is_any(a) && (below(&common, j) || below(&row, j + 1)) => true,
                (_, Some(b)) if is_any(b) && (below(&row, j + 1) || below(&common, j)) => true,
                (Some(a), Some(b)) => !is_any(a) && !is_any(b) && fits(a, b) && below(&common, j + 1),
                _ => false,
            };
        }
        common = row;
    }
    common[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::actor::{Actor, Role, UserIdentity};
    use crate::domain::path::RecordPath;

    fn user(name: &str) -> Actor {
        Actor::User(UserIdentity {
            id: Uuid::from_u128(7),
            name: name.into(),
            name_since: None,
            role: Role::User,
            groups: Vec::new(),
        })
    }

    fn parse(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn own(pattern: &str, actor: &Actor) -> Option<Shape> {
        Shape::own(&parse(pattern), &Variables::of(actor))
    }

    #[test]
    fn r20_what_a_pattern_covers() {
        let ann = user("ann");
        for (wide, narrow, covered) in [
            ("**", "a/**", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a/b*/{user.name}", true),
            ("a/**", "**/a", false),
            ("a/*/c", "a/b/c", true),
            ("a/*/c", "a/b*/c", true),
            ("a/b*/c", "a/*/c", false),
            ("a/*/c", "a/**/c", false),
            ("a/**/c", "a/b/**/c", true),
            ("a/**/c", "a/b/**", false),
            ("home/{user.name}/**", "home/ann/x", true),
            ("home/{user.name}/**", "home/{user.name}/x", false),
            ("home/*/**", "home/{user.name}/x", true),
            ("home/{namespace}/**", "home/x/y", false),
            ("a/x*y*", "a/x1y2", true),
            ("a/x*y*", "a/xy", true),
            ("a/x*y", "a/x*y*", false),
        ] {
            let (wide_shape, narrow_shape) = (own(wide, &ann), Shape::for_anybody(&parse(narrow)));
            let found = wide_shape.is_some_and(|wide| wide.covers(&narrow_shape));
            assert_eq!(found, covered, "{wide} over {narrow}");
        }
    }

    #[test]
    fn r20_which_patterns_meet() {
        let ann = user("ann");
        for (one, other, met) in [
            ("a/**", "**/z", true),
            ("a/*/c", "a/b/*", true),
            ("a/b*", "a/*c", true),
            ("a/b*", "a/c*", false),
            ("a/b", "a/b/**", true),
            ("a/b/c", "a/*", false),
            ("home/{user.name}/x", "home/{user.id}/*", true),
            ("home/{user.name}/x", "home/bob/*", false),
            ("home/{namespace}/x", "home/**", false),
            ("a/**/b/**/c", "a/c/**", true),
        ] {
            let found = own(one, &ann).is_some_and(|one| one.meets(&Shape::for_anybody(&parse(other))));
            assert_eq!(found, met, "{one} and {other}");
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        "(\\*\\*|[ab*]{1,3}|[ab]?\\{user.name\\}[ab]?)(/(\\*\\*|[ab*]{1,3}|[ab]?\\{user.name\\})){0,3}"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn r20_what_is_covered_is_matched_and_what_is_matched_by_both_meets(
            one in pattern(), other in pattern(), path in "[ab]{1,3}(/[ab]{1,3}){1,3}", own in "[ab]{1,2}", theirs in "[ab]{1,2}",
        ) {
            let (Ok(one), Ok(other)) = (Pattern::parse(&one), Pattern::parse(&other)) else { return Ok(()) };
            let (own, theirs) = (user(&own), user(&theirs));
            let (own, theirs) = (Variables::of(&own), Variables::of(&theirs));
            let path = RecordPath::parse(&path).unwrap();
            let (by_one, by_other) = (one.matches(&path, &own), other.matches(&path, &theirs));
            let (wide, narrow) = (Shape::own(&one, &own).unwrap(), Shape::for_anybody(&other));
            prop_assert!(!by_other || by_one || !wide.covers(&narrow));
            prop_assert!(!(by_one && by_other) || wide.meets(&narrow));
        }
    }
}
