//! What is due now, and when something is due next.

use jiff::Timestamp;

use super::generate::GenerateSource;
use super::state::SourceState;
use crate::domain::record::KeyName;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// Nothing is known of the record yet: the time of the next rotation counts from now.
    pub begin: bool,
    /// Make the values anew.
    pub rotate: bool,
    /// Drop the previous values.
    pub drop_previous: bool,
    /// Renew the certificates of these generators.
    pub renew: Vec<KeyName>,
}

/// When something is due next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Next {
    /// The next rotation by cadence.
    pub rotation: Option<Timestamp>,
    /// The next time that anything is due.
    pub wake: Option<Timestamp>,
}

impl Due {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Decides what is due for a record that exists. `wish` is the keyed hash of the annotation that asks for a rotation, if there is one.
///
/// However many times were missed, one rotation makes up for them: its time is what the next one counts from.
#[must_use]
pub fn due(source: &GenerateSource, state: &SourceState, wish: Option<&str>, now: Timestamp) -> Due {
    let wished = wish.is_some() && wish != state.rotate_now.as_deref();
    let rotate = wished || scheduled(source, state).is_some_and(|at| at <= now);
    if rotate {
        return Due {
            rotate,
            renew: renewals(source, state, now)
                .filter(|key| !source.rotated().any(|(rotated, _)| rotated == key))
                .collect(),
            ..Due::default()
        };
    }
    Due {
        begin: source.rotation.is_some() && state.rotated_at.is_none(),
        rotate,
        drop_previous: state.previous_until.is_some_and(|until| until <= now),
        renew: renewals(source, state, now).collect(),
    }
}

/// When something is due next, whether or not that time has passed.
#[must_use]
pub fn next(source: &GenerateSource, state: &SourceState) -> Next {
    let rotation = scheduled(source, state);
    let renewals = state.renewals.iter().filter(|(key, _)| source.keys.contains_key(*key));
    let wake = rotation
        .into_iter()
        .chain(state.previous_until)
        .chain(renewals.map(|(_, at)| *at))
        .min();
    Next { rotation, wake }
}

fn scheduled(source: &GenerateSource, state: &SourceState) -> Option<Timestamp> {
    source.rotation.as_ref()?.cadence.next_after(state.rotated_at?)
}

fn renewals(source: &GenerateSource, state: &SourceState, now: Timestamp) -> impl Iterator<Item = KeyName> {
    state
        .renewals
        .iter()
        .filter(move |(key, at)| **at <= now && source.keys.contains_key(*key))
        .map(|(key, _)| key.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::super::{Cadence, Rotation};
    use super::*;
    use crate::domain::span::Span;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn source(every: Option<&str>, overlap: Option<Span>) -> GenerateSource {
        GenerateSource {
            keys: serde_json::from_str(r#"{"a": {"uuid": {}}, "tls": {"certificate": {"commonName": "x"}}}"#).unwrap(),
            rotation: every.map(|every| Rotation {
                cadence: Cadence::every(every).unwrap(),
                keys: None,
                keep_previous: true,
                overlap,
            }),
        }
    }

    fn state(rotated_at: i64) -> SourceState {
        SourceState {
            rotated_at: Some(at(rotated_at)),
            ..SourceState::default()
        }
    }

    #[test]
    fn a_rotation_is_due_when_its_time_has_come_and_not_before() {
        let source = source(Some("1h"), None);
        assert!(due(&source, &state(0), None, at(3599)).is_nothing());
        assert!(due(&source, &state(0), None, at(3600)).rotate);
        assert_eq!(
            next(&source, &state(0)),
            Next {
                rotation: Some(at(3600)),
                wake: Some(at(3600))
            }
        );
    }

    #[test]
    fn a_record_of_which_nothing_is_known_begins_now() {
        let due = due(&source(Some("1h"), None), &SourceState::default(), None, at(9_999_999));
        assert_eq!(
            due,
            Due {
                begin: true,
                ..Due::default()
            }
        );
    }

    #[test]
    fn a_wish_counts_once_and_needs_no_schedule() {
        let source = source(None, None);
        let before = SourceState::default();
        assert!(due(&source, &before, Some("1"), at(0)).rotate);
        let after = SourceState {
            rotate_now: Some("1".to_owned()),
            ..before
        };
        assert!(due(&source, &after, Some("1"), at(9_999_999)).is_nothing());
        assert!(due(&source, &after, None, at(9_999_999)).is_nothing());
        assert!(due(&source, &after, Some("2"), at(0)).rotate);
    }

    #[test]
    fn previous_values_go_at_the_end_of_the_overlap_even_if_the_rotation_was_taken_away() {
        let state = SourceState {
            previous_until: Some(at(100)),
            ..state(0)
        };
        for source in [source(Some("1h"), Some(Span::from_seconds(100))), source(None, None)] {
            assert!(!due(&source, &state, None, at(99)).drop_previous);
            assert!(due(&source, &state, None, at(100)).drop_previous);
            assert_eq!(next(&source, &state).wake, Some(at(100)));
        }
    }

    #[test]
    fn certificates_are_renewed_on_their_own_and_with_a_rotation_only_once() {
        let key = KeyName::parse("tls").unwrap();
        let state = SourceState {
            renewals: [(key.clone(), at(50))].into(),
            ..state(0)
        };
        let mut source = source(Some("1h"), None);
        assert_eq!(due(&source, &state, None, at(50)).renew, std::slice::from_ref(&key));
        let both = due(&source, &state, None, at(3600));
        assert!(both.rotate && both.renew.is_empty());
        source.rotation.as_mut().unwrap().keys = Some(BTreeSet::from([KeyName::parse("a").unwrap()]));
        assert_eq!(due(&source, &state, None, at(3600)).renew, std::slice::from_ref(&key));
        source.keys.remove(&key);
        assert!(
            due(&source, &state, None, at(50)).renew.is_empty(),
            "a generator that is gone renews nothing"
        );
    }

    proptest! {
        /// Whoever slept through any number of times rotates once, and a second controller that comes right after has nothing to do.
        #[test]
        fn missed_times_are_made_up_for_by_one_rotation(
            every in 60_u64..10_000_000, cron in prop::sample::select(vec![None, Some("0 3 1 * *"), Some("*/7 * * * *"), Some("30 2 * * SUN")]),
            slept in 0_i64..400_000_000, started in 0_i64..2_000_000_000
        ) {
            let cadence = match cron {
                Some(cron) => Cadence::cron(cron, Some("Europe/Zurich")).unwrap(),
                None => Cadence::Every(Span::from_seconds(every)),
            };
            let mut source = source(Some("1h"), None);
            source.rotation.as_mut().unwrap().cadence = cadence;
            let before = state(started);
            let now = at(started) + SignedDuration::from_secs(slept);
            let decided = due(&source, &before, None, now);
            let expected = next(&source, &before).rotation.is_some_and(|at| at <= now);
            prop_assert_eq!(decided.rotate, expected);
            let after = state(now.as_second());
            prop_assert!(!due(&source, &after, None, now).rotate);
            prop_assert!(next(&source, &after).rotation.is_some_and(|at| at > now));
        }
    }
}
