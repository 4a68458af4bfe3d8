//! What an auditor may ask the log for, and where a page goes on.

use jiff::Timestamp;
use uuid::Uuid;

/// Characters of a filter.
const MAX_FILTER_BYTES: usize = 600;

/// Which entries are wanted; what is absent is not asked. Newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Name of the actor, exactly.
    pub actor: Option<String>,
    /// Id of the actor.
    pub actor_id: Option<String>,
    /// Kind of the actor: `user`, `apikey`, `serviceaccount`, `namespace`, `system`, `anonymous`.
    pub actor_kind: Option<String>,
    /// Action, such as `record.read`; a name before the dot stands for all of its actions.
    pub action: Option<String>,
    /// A path, or what it begins with if it ends in `/`.
    pub path: Option<String>,
    /// `allow`, `deny` or `fail`.
    pub decision: Option<String>,
    /// The reason of a refusal or failure.
    pub reason: Option<String>,
    /// The door.
    pub door: Option<String>,
    /// The client's address.
    pub client: Option<String>,
    /// The request.
    pub request_id: Option<Uuid>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether every part is of a form that an entry can have.
    ///
    /// # Errors
    /// What to change.
    pub fn check(&self) -> Result<(), &'static str> {
        let texts = [
            &self.actor,
            &self.actor_id,
            &self.actor_kind,
            &self.action,
            &self.path,
            &self.reason,
            &self.door,
            &self.client,
        ];
        // Stored texts hold no control characters, and Postgres takes no NUL.
        if texts
            .into_iter()
            .flatten()
            .any(|text| text.is_empty() || text.len() > MAX_FILTER_BYTES || text.chars().any(char::is_control))
        {
            return Err("a filter is 1 to 600 bytes without control characters");
        }
        if self
            .decision
            .as_deref()
            .is_some_and(|decision| !["allow", "deny", "fail"].contains(&decision))
        {
            return Err("'decision' is allow, deny or fail");
        }
        if self.since.zip(self.until).is_some_and(|(since, until)| since >= until) {
            return Err("'since' has to be before 'until'");
        }
        Ok(())
    }

    /// Whether it asks for one actor, place, address or request, which may be anywhere in the log.
    #[must_use]
    pub fn is_for_one(&self) -> bool {
        let ones = [&self.actor, &self.actor_id, &self.client];
        ones.into_iter().any(Option::is_some) || self.request_id.is_some() || self.resource().is_some()
    }

    /// The one resource that the path stands for, unless it ends in `/`.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.path.as_deref().filter(|path| !path.ends_with('/'))
    }

    /// The range of resources that a path stands for that ends in `/`: from the first up to, but without, the second.
    #[must_use]
    pub fn resources(&self) -> Option<(String, String)> {
        self.path.as_deref().filter(|path| path.ends_with('/')).map(range)
    }

    /// The range of actions that the action stands for.
    #[must_use]
    pub fn actions(&self) -> Option<(String, String)> {
        let action = self.action.as_deref()?;
        Some(if action.contains('.') {
            range(action)
        } else {
            range(&format!("{action}."))
        })
    }
}

/// A text alone, or all that begin with it if it ends in a separator, as a range in the order of bytes.
fn range(text: &str) -> (String, String) {
    match text.as_bytes().last() {
        // '0' follows '/', and '/' follows '.'.
        Some(b'/') => (text.to_owned(), format!("{}0", &text[..text.len() - 1])),
        Some(b'.') => (text.to_owned(), format!("{}/", &text[..text.len() - 1])),
        _ => (text.to_owned(), format!("{text}\u{1}")),
    }
}

/// Where a page goes on: behind this entry, backwards in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditCursor {
    /// Its time.
    pub at: Timestamp,
    /// Its id.
    pub id: i64,
}

impl AuditCursor {
    /// The cursor as text: microseconds and id.
    #[must_use]
    pub fn to_text(self) -> String {
        format!("{}.{}", self.at.as_microsecond(), self.id)
    }

    /// Reads the text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('.')?;
        Some(Self {
            at: Timestamp::from_microsecond(at.parse().ok()?).ok()?,
            id: id.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_itself_or_what_lies_below() {
        let within = |path: &str, resource: &str| {
            let filter = AuditFilter {
                path: Some(path.into()),
                ..AuditFilter::default()
            };
            match (filter.resource(), filter.resources()) {
                (Some(one), None) => one == resource,
                (None, Some((from, to))) => (from.as_str()..to.as_str()).contains(&resource),
                other => panic!("{other:?}"),
            }
        };
        assert!(
            within("shared/a", "shared/a") && !within("shared/a", "shared/ab") && !within("shared/a", "shared/a/b")
        );
        assert!(within("shared/", "shared/a") && within("shared/", "shared/z/z"));
        assert!(!within("shared/", "shared") && !within("shared/", "shared0") && !within("shared/", "sharee/a"));
    }

    #[test]
    fn an_action_is_itself_or_all_of_its_noun() {
        let within = |action: &str, found: &str| {
            let filter = AuditFilter {
                action: Some(action.into()),
                ..AuditFilter::default()
            };
            let (from, to) = filter.actions().unwrap();
            (from.as_str()..to.as_str()).contains(&found)
        };
        assert!(within("record", "record.read") && within("record", "record.write") && !within("record", "records.x"));
        assert!(within("record.read", "record.read") && !within("record.read", "record.readx"));
    }

    #[test]
    fn r23_filters_and_cursors_are_bounded() {
        let with = |actor: &str| AuditFilter {
            actor: Some(actor.into()),
            ..AuditFilter::default()
        };
        assert!(with("ann").check().is_ok());
        for bad in ["", "a\0b", &"x".repeat(601)] {
            assert!(with(bad).check().is_err());
        }
        let cursor = AuditCursor {
            at: Timestamp::from_microsecond(1_790_000_000_000_001).unwrap(),
            id: 7,
        };
        assert_eq!(AuditCursor::parse(&cursor.to_text()), Some(cursor));
        for bad in ["", "1", "1.x", "x.1", "99999999999999999999.1", "9223372036854775807.1"] {
            assert_eq!(AuditCursor::parse(bad), None, "{bad}");
        }
    }
}
