//! Record paths and prefixes, parsed once at the door.
//!
//! A [`RecordPath`] is the only way to name a record: what was authorised is, byte for byte, what is stored (R18).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::limits::{MAX_PATH_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS};

/// Why a text is not a path. The message is safe to show: it never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing was given.
    #[error("the path is empty; a record's path looks like 'shared/smtp' or 'k8s/shop/orders-db'")]
    Empty,
    /// A leading, trailing or doubled `/`.
    #[error("the path has an empty segment; remove the leading, trailing or doubled '/'")]
    EmptySegment,
    /// `.` or `..`, or any segment that does not start with a letter or digit.
    #[error("each path segment must start with a letter or a digit, so '.' and '..' are refused")]
    BadStart,
    /// A character outside the alphabet.
    #[error("a path segment may hold only letters, digits and the characters . _ @ + = ~ -")]
    BadCharacter,
    /// An escape in a URL that is broken or that hides `/`, `.`, `%` or NUL.
    #[error("the path holds a percent-encoding that is broken or not allowed; only @, + and = may be encoded")]
    BadEncoding,
    /// A segment longer than [`MAX_SEGMENT_BYTES`].
    #[error("a path segment is longer than {MAX_SEGMENT_BYTES} bytes")]
    SegmentTooLong,
    /// More than [`MAX_SEGMENTS`] segments.
    #[error("the path has more than {MAX_SEGMENTS} segments")]
    TooManySegments,
    /// More than [`MAX_PATH_BYTES`] bytes.
    #[error("the path is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// A single segment: it names a root, and a root is no record.
    #[error("the path names a root, not a record; a record's path has at least two segments, such as 'shared/smtp'")]
    RootOnly,
}

/// A record's path: 2 to 16 segments of `[A-Za-z0-9][A-Za-z0-9._@+=~-]{0,127}` joined by `/`, at most 512 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordPath(Arc<str>);

impl RecordPath {
    /// Parses a path as written in a body, a resource or a policy.
    ///
    /// # Errors
    /// [`PathError`] with what to change.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check_segments(text)?;
        if !text.contains('/') {
            return Err(PathError::RootOnly);
        }
        Ok(Self(text.into()))
    }

    /// Parses the raw (still encoded) path of a URL, decoding once. `%2F`, `%2E`, `%25`, `%00` and whatever
    /// decodes to a character outside the alphabet is refused before anything looks at the result (R18, CVE-2026-3605).
    ///
    /// # Errors
    /// [`PathError`] with what to change.
    pub fn from_url(raw: &str) -> Result<Self, PathError> {
        Self::parse(&decode_once(raw)?)
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, in order.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The first `n` segments joined, or `None` if the path has not more than `n`.
    #[must_use]
    pub fn head(&self, n: usize) -> Option<&str> {
        self.0
            .match_indices('/')
            .nth(n.checked_sub(1)?)
            .map(|(at, _)| &self.0[..at])
    }
}

impl fmt::Display for RecordPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RecordPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordPath({})", self.0)
    }
}

impl TryFrom<String> for RecordPath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl From<RecordPath> for String {
    fn from(path: RecordPath) -> Self {
        path.0.as_ref().into()
    }
}

/// What lies below a folder: empty (everything), or whole segments followed by `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(Arc<str>);

impl PathPrefix {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self("".into())
    }

    /// Parses `a/b` or `a/b/`; an empty text is everything.
    ///
    /// # Errors
    /// [`PathError`] with what to change.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::all());
        }
        check_segments(text)?;
        Ok(Self(format!("{text}/").into()))
    }

    /// As [`PathPrefix::parse`], from the raw path of a URL.
    ///
    /// # Errors
    /// [`PathError`] with what to change.
    pub fn from_url(raw: &str) -> Result<Self, PathError> {
        Self::parse(&decode_once(raw)?)
    }

    /// The prefix as text: empty, or ending in `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `path` lies below.
    #[must_use]
    pub fn covers(&self, path: &RecordPath) -> bool {
        path.as_str().starts_with(&*self.0)
    }

    /// The half-open range of paths below, for a column under `COLLATE "C"`. The upper end is `None` for everything.
    #[must_use]
    pub fn range(&self) -> (&str, Option<String>) {
        // '0' is the character after '/' in ASCII, so "a/" .. "a0" holds exactly what starts with "a/".
        let upper = self.0.strip_suffix('/').map(|stem| format!("{stem}0"));
        (&self.0, upper)
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathPrefix({})", self.0)
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl From<PathPrefix> for String {
    fn from(prefix: PathPrefix) -> Self {
        prefix.0.as_ref().into()
    }
}

fn check_segments(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError::Empty);
    }
    if text.len() > MAX_PATH_BYTES {
        return Err(PathError::TooLong);
    }
    let mut count = 0;
    for segment in text.split('/') {
        count += 1;
        check_segment(segment)?;
    }
    if count > MAX_SEGMENTS {
        return Err(PathError::TooManySegments);
    }
    Ok(())
}

/// Checks one segment against the alphabet; policy variables pass through here too (R17).
///
/// # Errors
/// [`PathError`] with what to change.
pub fn check_segment(segment: &str) -> Result<(), PathError> {
    let Some(first) = segment.bytes().next() else {
        return Err(PathError::EmptySegment);
    };
    if !segment
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._@+=~-".contains(&b))
    {
        return Err(PathError::BadCharacter);
    }
    if !first.is_ascii_alphanumeric() {
        return Err(PathError::BadStart);
    }
    if segment.len() > MAX_SEGMENT_BYTES {
        return Err(PathError::SegmentTooLong);
    }
    Ok(())
}

fn decode_once(raw: &str) -> Result<String, PathError> {
    let mut decoded = String::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        let character = if byte == b'%' {
            let (Some(high), Some(low)) = (rest.next().and_then(hex_digit), rest.next().and_then(hex_digit)) else {
                return Err(PathError::BadEncoding);
            };
            let character = high << 4 | low;
            // Only what a client may have to encode: everything else in the alphabet needs no escape.
            if !b"@+=~_-".contains(&character) && !character.is_ascii_alphanumeric() {
                return Err(PathError::BadEncoding);
            }
            character
        } else if byte.is_ascii() {
            byte
        } else {
            return Err(PathError::BadCharacter);
        };
        decoded.push(char::from(character));
    }
    Ok(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn r18_traversal_doubled_and_encoded_separators_are_refused() {
        for (raw, why) in [
            ("a/../b", PathError::BadStart),
            ("a/./b", PathError::BadStart),
            ("a//b", PathError::EmptySegment),
            ("/a/b", PathError::EmptySegment),
            ("a/b/", PathError::EmptySegment),
            ("a%2fb/c", PathError::BadEncoding),
            ("a%2Fb/c", PathError::BadEncoding),
            ("a/%2e%2e/b", PathError::BadEncoding),
            ("a%252fb/c", PathError::BadEncoding),
            ("a/b%00", PathError::BadEncoding),
            ("a/b%zz", PathError::BadEncoding),
            ("a/b%4", PathError::BadEncoding),
            ("a/b\0", PathError::BadCharacter),
            ("a/b c", PathError::BadCharacter),
            ("a/b*", PathError::BadCharacter),
            ("a/ü", PathError::BadCharacter),
            ("", PathError::Empty),
            ("a", PathError::RootOnly),
        ] {
            assert_eq!(RecordPath::from_url(raw), Err(why), "{raw:?}");
        }
    }

    #[test]
    fn allowed_escapes_are_decoded_once() {
        let path = RecordPath::from_url("users/a%40b.example%2Bx/k%3Dv").unwrap();
        assert_eq!(path.as_str(), "users/a@b.example+x/k=v");
    }

    #[test]
    fn limits_hold_at_the_edge() {
        let sixteen = vec!["a"; 16].join("/");
        assert!(RecordPath::parse(&sixteen).is_ok());
        assert_eq!(
            RecordPath::parse(&format!("{sixteen}/a")),
            Err(PathError::TooManySegments)
        );
        assert!(RecordPath::parse(&format!("a/{}", "b".repeat(128))).is_ok());
        assert_eq!(
            RecordPath::parse(&format!("a/{}", "b".repeat(129))),
            Err(PathError::SegmentTooLong)
        );
        let long = format!("{}/{}", vec!["a".repeat(127); 4].join("/"), "b");
        assert_eq!(long.len(), 513);
        assert_eq!(RecordPath::parse(&long), Err(PathError::TooLong));
    }

    #[test]
    fn a_head_is_cut_at_whole_segments() {
        let path = RecordPath::parse("k8s/shop/db").unwrap();
        assert_eq!(path.head(1), Some("k8s"));
        assert_eq!(path.head(2), Some("k8s/shop"));
        assert_eq!(path.head(3), None);
        assert_eq!(path.head(0), None);
    }

    proptest! {
        #[test]
        fn r18_what_parses_is_stored_as_written(text in "[A-Za-z0-9/._@+=~%-]{1,64}") {
            if let Ok(path) = RecordPath::parse(&text) {
                prop_assert_eq!(path.as_str(), text.as_str());
                prop_assert!(path.segments().all(|s| !s.is_empty() && s != "." && s != ".."));
                prop_assert_eq!(RecordPath::from_url(&text).unwrap(), path);
            }
        }

        #[test]
        fn a_prefix_range_holds_exactly_what_it_covers(
            prefix in "[a-c]{1,2}(/[a-c]{1,2}){0,2}", path in "[a-c0~.-]{1,3}(/[a-c][a-c0~.-]{0,2}){1,3}"
        ) {
            let prefix = PathPrefix::parse(&prefix).unwrap();
            if let Ok(path) = RecordPath::parse(&path) {
                let (low, high) = prefix.range();
                let inside = path.as_str() >= low && high.as_deref().is_none_or(|high| path.as_str() < high);
                prop_assert_eq!(inside, prefix.covers(&path));
            }
        }

        #[test]
        fn r31_no_text_panics(text in any::<String>()) {
            let _ = RecordPath::from_url(&text);
            let _ = PathPrefix::from_url(&text);
        }
    }
}
