//! Our last write of `.status`, told apart from what others wrote after it: the watch tells of a write long after it was answered, or before.

use crate::k8s::crd::VaultSecretStatus;

/// A status and the resourceVersion that it made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) status: VaultSecretStatus,
    pub(super) resource_version: String,
}

/// What of our writes the watch has still to tell.
#[derive(Debug, Default, Clone)]
pub(super) struct OwnStatus {
    unseen: Option<Written>,
    /// The resourceVersions that the watch told while a write was under way.
    meanwhile: Option<Vec<String>>,
}

impl OwnStatus {
    /// What was written and not told yet; until then what the watch shows is older.
    pub(super) fn unseen(&self) -> Option<&Written> {
        self.unseen.as_ref()
    }

    /// A write begins.
    pub(super) fn begin(&mut self) {
        self.meanwhile = Some(Vec::new());
    }

    /// It was answered.
    pub(super) fn answered(&mut self, written: Written) {
        let told = self.meanwhile.take().unwrap_or_default();
        self.unseen = (!told.contains(&written.resource_version)).then_some(written);
    }

    /// It was refused, since the object is newer than what we knew: only the watch can tell how it stands.
    pub(super) fn overtaken(&mut self) {
        *self = Self::default();
    }

    /// Nobody knows what became of it.
    pub(super) fn unanswered(&mut self) {
        self.meanwhile = None;
    }

    /// The watch told an object.
    pub(super) fn told(&mut self, resource_version: &str) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.push(resource_version.to_owned());
        }
        if self
            .unseen
            .as_ref()
            .is_some_and(|written| written.resource_version == resource_version)
        {
            self.unseen = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(resource_version: &str) -> Written {
        Written {
            status: VaultSecretStatus::default(),
            resource_version: resource_version.to_owned(),
        }
    }

    fn unseen(own: &OwnStatus) -> Option<&str> {
        own.unseen().map(|written| written.resource_version.as_str())
    }

    #[test]
    fn a_write_stands_for_the_object_until_the_watch_tells_it() {
        let mut own = OwnStatus::default();
        own.begin();
        own.answered(written("7"));
        assert_eq!(unseen(&own), Some("7"));
        own.told("6");
        assert_eq!(unseen(&own), Some("7"), "older news");
        own.told("7");
        assert_eq!(unseen(&own), None);
    }

    /// Otherwise it would stand for good, over whatever others write later.
    #[test]
    fn a_write_that_was_told_before_its_answer_stands_for_nothing() {
        let mut own = OwnStatus::default();
        own.begin();
        own.told("6");
        own.told("7");
        own.answered(written("7"));
        assert_eq!(unseen(&own), None);
    }

    #[test]
    fn a_write_that_came_too_late_leaves_what_the_watch_tells() {
        let mut own = OwnStatus::default();
        own.begin();
        own.answered(written("7"));
        own.begin();
        own.overtaken();
        assert_eq!(unseen(&own), None);
        own.told("8");
        own.begin();
        own.answered(written("9"));
        assert_eq!(unseen(&own), Some("9"));
    }
}
