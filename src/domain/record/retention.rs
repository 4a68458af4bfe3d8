//! How many versions are kept and for how long, and whether a write has to say what it expects: by the record, or by the prefixes that it
//! lies under.

use super::metadata::MetadataError;
use crate::domain::limits::{DEFAULT_MAX_VERSIONS, MAX_DELETE_AFTER_SECONDS, MAX_VERSIONS};
use crate::domain::path::{PathPrefix, RecordPath};

/// What a record, or a prefix, says; what it leaves open is for the prefix around it, and then for the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Writes have to say which version they follow.
    pub cas_required: bool,
    /// Versions kept.
    pub max_versions: Option<i64>,
    /// Seconds after which a version that is written from now on counts as deleted.
    pub delete_version_after: Option<i64>,
}

impl Retention {
    /// Checks the bounds (R23).
    ///
    /// # Errors
    /// [`MetadataError`].
    pub fn check(&self) -> Result<(), MetadataError> {
        if self.max_versions.is_some_and(|n| !(1..=MAX_VERSIONS).contains(&n)) {
            return Err(MetadataError::MaxVersions);
        }
        if self
            .delete_version_after
            .is_some_and(|n| !(1..=MAX_DELETE_AFTER_SECONDS).contains(&n))
        {
            return Err(MetadataError::DeleteVersionAfter);
        }
        Ok(())
    }

    /// Versions kept in the end.
    #[must_use]
    pub fn kept(&self) -> i64 {
        self.max_versions.unwrap_or(DEFAULT_MAX_VERSIONS)
    }

    /// What holds for a record under what a prefix asks: numbers of the record win, a demand for check-and-set adds up.
    #[must_use]
    pub fn within(self, outer: Self) -> Self {
        Self {
            cas_required: self.cas_required || outer.cas_required,
            max_versions: self.max_versions.or(outer.max_versions),
            delete_version_after: self.delete_version_after.or(outer.delete_version_after),
        }
    }
}

/// What prefixes ask of the records below.
#[derive(Debug, Clone, Default)]
pub struct PathSettings(Vec<(PathPrefix, Retention)>);

impl PathSettings {
    /// Takes them in any order.
    #[must_use]
    pub fn new(mut settings: Vec<(PathPrefix, Retention)>) -> Self {
        settings.sort_by_key(|(prefix, _)| prefix.as_str().len());
        Self(settings)
    }

    /// What they ask of a record: the longest prefix that says something wins, and check-and-set is required if any requires it.
    #[must_use]
    pub fn of(&self, path: &RecordPath) -> Retention {
        self.0
            .iter()
            .filter(|(prefix, _)| prefix.covers(path))
            .fold(Retention::default(), |outer, (_, inner)| inner.within(outer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(cas_required: bool, max_versions: Option<i64>, delete_version_after: Option<i64>) -> Retention {
        Retention {
            cas_required,
            max_versions,
            delete_version_after,
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_a_demand_adds_up() {
        let settings = PathSettings::new(
            [
                ("shared/app/db", retention(false, None, Some(60))),
                ("", retention(false, Some(20), None)),
                ("shared/app", retention(true, Some(3), Some(3600))),
            ]
            .map(|(prefix, retention)| (PathPrefix::parse(prefix).unwrap(), retention))
            .into(),
        );
        for (path, expected) in [
            ("other/x", retention(false, Some(20), None)),
            ("shared/application", retention(false, Some(20), None)),
            ("shared/app/x", retention(true, Some(3), Some(3600))),
            ("shared/app/db/x", retention(true, Some(3), Some(60))),
        ] {
            assert_eq!(settings.of(&RecordPath::parse(path).unwrap()), expected, "{path}");
        }
    }

    #[test]
    fn the_record_wins_over_its_prefix_but_cannot_waive_check_and_set() {
        let outer = retention(true, Some(3), Some(60));
        assert_eq!(
            retention(false, Some(5), None).within(outer),
            retention(true, Some(5), Some(60))
        );
        assert_eq!(Retention::default().kept(), 10);
    }

    #[test]
    fn r23_numbers_are_bounded() {
        for bad in [0, -1, 1001, i64::MAX] {
            assert_eq!(
                retention(false, Some(bad), None).check(),
                Err(MetadataError::MaxVersions)
            );
        }
        for bad in [0, -1, i64::MAX] {
            assert_eq!(
                retention(false, None, Some(bad)).check(),
                Err(MetadataError::DeleteVersionAfter)
            );
        }
        assert_eq!(retention(true, Some(1000), Some(1)).check(), Ok(()));
    }
}
