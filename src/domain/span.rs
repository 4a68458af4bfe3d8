//! Lengths of time as resources write them: `90s`, `15m`, `720h`, `30d`, `1d12h`.

use std::fmt;
use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};

/// The longest that can be written: ten years.
pub const LONGEST: Span = Span(3650 * DAY);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A length of time in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// A text that is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a length of time is numbers with the units d, h, m and s, such as '720h' or '1d12h', and at most {LONGEST}")]
pub struct BadSpan;

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// So many days.
    #[must_use]
    pub const fn from_days(days: u64) -> Self {
        Self(days * DAY)
    }

    /// Reads the written form; parts add up.
    ///
    /// # Errors
    /// [`BadSpan`].
    pub fn parse(text: &str) -> Result<Self, BadSpan> {
        let mut seconds = 0_u64;
        let mut number: Option<u64> = None;
        for character in text.chars() {
            if let Some(digit) = character.to_digit(10) {
                let so_far = number.unwrap_or(0).checked_mul(10).ok_or(BadSpan)?;
                number = Some(so_far.checked_add(digit.into()).ok_or(BadSpan)?);
                continue;
            }
            let unit = match character {
                'd' => DAY,
                'h' => HOUR,
                'm' => MINUTE,
                's' => 1,
                _ => return Err(BadSpan),
            };
            let part = number
                .take()
                .and_then(|number| number.checked_mul(unit))
                .ok_or(BadSpan)?;
            seconds = seconds.checked_add(part).ok_or(BadSpan)?;
        }
        let span = Self(seconds);
        if text.is_empty() || number.is_some() || span > LONGEST {
            return Err(BadSpan);
        }
        Ok(span)
    }

    /// Whole seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// Whether it lies within bounds.
    #[must_use]
    pub fn within(self, bounds: &RangeInclusive<Self>) -> bool {
        bounds.contains(&self)
    }

    /// The time that lies so long after `time`; the end of time if there is none.
    #[must_use]
    pub fn after(self, time: Timestamp) -> Timestamp {
        time.saturating_add(self.duration()).unwrap_or(Timestamp::MAX)
    }

    /// The time that lies so long before `time`; the beginning of time if there is none.
    #[must_use]
    pub fn before(self, time: Timestamp) -> Timestamp {
        time.saturating_sub(self.duration()).unwrap_or(Timestamp::MIN)
    }

    fn duration(self) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        for (unit, seconds) in [("d", DAY), ("h", HOUR), ("m", MINUTE)] {
            if left >= seconds {
                write!(f, "{}{unit}", left / seconds)?;
                left %= seconds;
            }
        }
        if left > 0 || self.0 == 0 {
            write!(f, "{left}s")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_add_up() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("720h", 720 * 3600),
            ("1d12h", 36 * 3600),
            ("0s", 0),
            ("1h1h", 7200),
        ] {
            assert_eq!(Span::parse(text), Ok(Span(seconds)), "{text}");
        }
    }

    #[test]
    fn r23_what_is_no_length_of_time_is_refused() {
        for bad in [
            "",
            "1",
            "h",
            "1w",
            "-1h",
            "1 h",
            "1.5h",
            "4000d",
            "99999999999999999999s",
            "9999999999999999999d",
            "1hm",
        ] {
            assert_eq!(Span::parse(bad), Err(BadSpan), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0..=LONGEST.0) {
            let span = Span(seconds);
            prop_assert_eq!(Span::parse(&span.to_string()), Ok(span));
        }

        #[test]
        fn r31_no_text_panics(text in ".*") {
            let _ = Span::parse(&text);
        }
    }
}
