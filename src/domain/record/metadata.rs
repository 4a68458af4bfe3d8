//! What a record says of itself beside its values: nothing of it is encrypted, so nothing of it may be secret.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::retention::Retention;
use crate::domain::limits::{
    MAX_CUSTOM_KEYS, MAX_DELETE_AFTER_SECONDS, MAX_DESCRIPTION_CHARS, MAX_TAG_BYTES, MAX_TAGS, MAX_TEXT_CHARS,
    MAX_VERSIONS,
};

/// What may be set of a record without writing a version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// What it is for, for people.
    pub description: String,
    /// Whose it is, for people.
    pub owner: String,
    /// Words to find it by.
    pub tags: BTreeSet<String>,
    /// Whatever else programs keep with it.
    pub custom: BTreeMap<String, String>,
    /// When its values stop being of use, such as the end of a certificate. A reminder: reads go on.
    pub expires_at: Option<Timestamp>,
    /// How many versions are kept, and for how long.
    pub retention: Retention,
}

/// Why metadata is refused. The message names the field, and never repeats what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Too long, or with control characters.
    #[error(
        "'description' has at most {MAX_DESCRIPTION_CHARS} characters, and none that are for control except line breaks"
    )]
    Description,
    /// Too long, or with control characters.
    #[error("'owner' has at most {MAX_TEXT_CHARS} characters, and none that are for control")]
    Owner,
    /// A tag outside the alphabet, or too many.
    #[error(
        "'tags' takes at most {MAX_TAGS} words of 1 to {MAX_TAG_BYTES} of the characters a-z, A-Z, 0-9 and . _ : / @ -, each beginning with a letter \
         or a digit"
    )]
    Tags,
    /// A key or a value outside the bounds, or too many.
    #[error(
        "'custom' takes at most {MAX_CUSTOM_KEYS} keys, named like tags, with texts of at most {MAX_TEXT_CHARS} characters and none for control"
    )]
    Custom,
    /// Out of range.
    #[error("'maxVersions' is 1 to {MAX_VERSIONS}")]
    MaxVersions,
    /// Out of range.
    #[error("'deleteVersionAfterSeconds' is 1 to {MAX_DELETE_AFTER_SECONDS}")]
    DeleteVersionAfter,
}

impl Metadata {
    /// Checks every bound (R23, R27).
    ///
    /// # Errors
    /// [`MetadataError`] with the field at fault.
    pub fn check(&self) -> Result<(), MetadataError> {
        let plain = |text: &str, chars: usize| text.chars().count() <= chars && !text.chars().any(char::is_control);
        let described = self.description.chars().count() <= MAX_DESCRIPTION_CHARS
            && !self.description.chars().any(|c| c.is_control() && c != '\n');
        if !described {
            return Err(MetadataError::Description);
        }
        if !plain(&self.owner, MAX_TEXT_CHARS) {
            return Err(MetadataError::Owner);
        }
        if self.tags.len() > MAX_TAGS || !self.tags.iter().all(|tag| is_word(tag)) {
            return Err(MetadataError::Tags);
        }
        let custom = self.custom.len() <= MAX_CUSTOM_KEYS
            && self
                .custom
                .iter()
                .all(|(key, value)| is_word(key) && plain(value, MAX_TEXT_CHARS));
        if !custom {
            return Err(MetadataError::Custom);
        }
        self.retention.check()
    }
}

/// Some fields of metadata: what is absent stays, what is `None` goes back to its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataPatch {
    /// What it is for.
    pub description: Option<Option<String>>,
    /// Whose it is.
    pub owner: Option<Option<String>>,
    /// All of its tags.
    pub tags: Option<Option<BTreeSet<String>>>,
    /// Keys of custom metadata; a key that is `None` is removed.
    pub custom: Option<Option<BTreeMap<String, Option<String>>>>,
    /// When its values stop being of use.
    pub expires_at: Option<Option<Timestamp>>,
    /// Whether writes have to say what they expect.
    pub cas_required: Option<Option<bool>>,
    /// Versions kept.
    pub max_versions: Option<Option<i64>>,
    /// Seconds after which a version counts as deleted.
    pub delete_version_after: Option<Option<i64>>,
}

impl MetadataPatch {
    /// The metadata that comes out; check it.
    #[must_use]
    pub fn apply(&self, mut metadata: Metadata) -> Metadata {
        fn set<T: Clone + Default>(target: &mut T, change: Option<&Option<T>>) {
            if let Some(value) = change {
                *target = value.clone().unwrap_or_default();
            }
        }
        set(&mut metadata.description, self.description.as_ref());
        set(&mut metadata.owner, self.owner.as_ref());
        set(&mut metadata.tags, self.tags.as_ref());
        set(&mut metadata.retention.cas_required, self.cas_required.as_ref());
        if let Some(at) = self.expires_at {
            metadata.expires_at = at;
        }
        if let Some(kept) = self.max_versions {
            metadata.retention.max_versions = kept;
        }
        if let Some(seconds) = self.delete_version_after {
            metadata.retention.delete_version_after = seconds;
        }
        match &self.custom {
            None => {}
            Some(None) => metadata.custom.clear(),
            Some(Some(changes)) => {
                for (key, value) in changes {
                    match value {
                        Some(value) => metadata.custom.insert(key.clone(), value.clone()),
                        None => metadata.custom.remove(key),
                    };
                }
            }
        }
        metadata
    }
}

/// Whether a text may be a tag or a key of custom metadata.
#[must_use]
pub fn is_word(text: &str) -> bool {
    (1..=MAX_TAG_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._:/@-".contains(&b))
        && text.as_bytes()[0].is_ascii_alphanumeric()
}

/// How long until `expires_at`, in the buckets in which metrics count: whoever is warned has time to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryBucket {
    /// It is past.
    Expired,
    /// Within a day.
    Day,
    /// Within a week.
    Week,
    /// Within 30 days.
    Month,
    /// Later.
    Later,
}

impl ExpiryBucket {
    /// All of them, the nearest first.
    pub const ALL: [Self; 5] = [Self::Expired, Self::Day, Self::Week, Self::Month, Self::Later];

    /// The seconds left from which on each bucket but the first holds.
    pub const STARTS: [i64; 4] = [1, 86_401, 604_801, 2_592_001];

    /// As the metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Day => "1d",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Later => "later",
        }
    }
}

/// How old the current values are, in the buckets in which metrics count: what nobody rotates shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeBucket {
    /// Less than a day.
    Day,
    /// Less than a week.
    Week,
    /// Less than 30 days.
    Month,
    /// Less than 90 days.
    Quarter,
    /// Less than 365 days.
    Year,
    /// Older.
    Older,
}

impl AgeBucket {
    /// All of them, the youngest first.
    pub const ALL: [Self; 6] = [
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Quarter,
        Self::Year,
        Self::Older,
    ];

    /// The age in seconds from which on each bucket but the first holds.
    pub const STARTS: [i64; 5] = [86_400, 604_800, 2_592_000, 7_776_000, 31_536_000];

    /// As the metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "1d",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
            Self::Year => "365d",
            Self::Older => "older",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Metadata)) -> Result<(), MetadataError> {
        let mut metadata = Metadata::default();
        change(&mut metadata);
        metadata.check()
    }

    #[test]
    fn r23_r27_every_field_is_bounded() {
        assert_eq!(checked(|_| ()), Ok(()));
        assert_eq!(checked(|m| m.description = "d".repeat(1024)), Ok(()));
        assert_eq!(checked(|m| m.description = "two\nlines".into()), Ok(()));
        assert_eq!(
            checked(|m| m.description = "d".repeat(1025)),
            Err(MetadataError::Description)
        );
        assert_eq!(
            checked(|m| m.description = "\0".into()),
            Err(MetadataError::Description)
        );
        assert_eq!(checked(|m| m.owner = "o".repeat(513)), Err(MetadataError::Owner));
        assert_eq!(checked(|m| m.owner = "a\nb".into()), Err(MetadataError::Owner));
        let tags = |n: usize| (0..n).map(|n| format!("t{n}")).collect::<BTreeSet<_>>();
        assert_eq!(checked(|m| m.tags = tags(32)), Ok(()));
        assert_eq!(checked(|m| m.tags = tags(33)), Err(MetadataError::Tags));
        for bad in ["", "-a", "a b", "ü", "a,b", &"t".repeat(129)] {
            assert_eq!(
                checked(|m| m.tags = [bad.to_owned()].into()),
                Err(MetadataError::Tags),
                "{bad:?}"
            );
            assert_eq!(
                checked(|m| m.custom = [(bad.to_owned(), String::new())].into()),
                Err(MetadataError::Custom),
                "{bad:?}"
            );
        }
        let custom = |n: usize| (0..n).map(|n| (format!("k{n}"), "v".to_owned())).collect();
        assert_eq!(checked(|m| m.custom = custom(64)), Ok(()));
        assert_eq!(checked(|m| m.custom = custom(65)), Err(MetadataError::Custom));
        assert_eq!(
            checked(|m| m.custom = [("k".to_owned(), "v".repeat(513))].into()),
            Err(MetadataError::Custom)
        );
    }

    #[test]
    fn a_patch_sets_what_it_names_and_leaves_the_rest() {
        let before = Metadata {
            description: "d".into(),
            owner: "o".into(),
            custom: [("a", "1"), ("b", "2")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            retention: Retention {
                max_versions: Some(5),
                ..Retention::default()
            },
            ..Metadata::default()
        };
        let patch = MetadataPatch {
            description: Some(None),
            custom: Some(Some(
                [("a", None), ("c", Some("3"))]
                    .map(|(k, v)| (k.to_owned(), v.map(str::to_owned)))
                    .into(),
            )),
            max_versions: Some(None),
            cas_required: Some(Some(true)),
            ..MetadataPatch::default()
        };
        let after = patch.apply(before.clone());
        assert_eq!((after.description.as_str(), after.owner.as_str()), ("", "o"));
        assert_eq!(
            after.custom,
            [("b", "2"), ("c", "3")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into()
        );
        assert_eq!(
            after.retention,
            Retention {
                cas_required: true,
                ..Retention::default()
            }
        );
        assert_eq!(MetadataPatch::default().apply(before.clone()), before);
    }

    #[test]
    fn the_buckets_of_expiries_are_in_order() {
        assert!(ExpiryBucket::STARTS.is_sorted());
        assert_eq!(
            ExpiryBucket::ALL.map(ExpiryBucket::as_str),
            ["expired", "1d", "7d", "30d", "later"]
        );
    }
}
