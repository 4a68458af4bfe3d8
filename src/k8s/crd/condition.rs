//! Conditions, as Kubernetes defines them, with the closed sets of types that both kinds use.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// One fact about a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the fact is about.
    #[schemars(rename = "type", length(max = 64))]
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// The generation that the fact was found for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status last changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_transition_time: Time,
    /// Why, as one of a closed set of words.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// Why, for people, and what to do. It never holds a value of a record.
    #[schemars(length(max = 2048))]
    pub message: String,
}

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It is not known.
    Unknown,
}

impl Condition {
    /// A condition found now.
    #[must_use]
    pub fn new(kind: &str, status: ConditionStatus, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            status,
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            reason: reason.to_owned(),
            message: bounded(message.into()),
        }
    }

    /// Whether two conditions say the same, whenever they were found.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.status == other.status
            && self.observed_generation == other.observed_generation
            && self.reason == other.reason
            && self.message == other.message
    }
}

/// Stamps `found` with the generation and with the times of the conditions that stand: a status that did not change keeps its time, so
/// that an unchanged fact is an unchanged object.
#[must_use]
pub fn stamp(
    mut found: Vec<Condition>,
    standing: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    for condition in &mut found {
        condition.observed_generation = generation;
        let before = standing
            .iter()
            .find(|other| other.kind == condition.kind && other.status == condition.status);
        condition.last_transition_time =
            before.map_or(Time(whole_seconds(now)), |other| other.last_transition_time.clone());
    }
    found
}

/// Kubernetes keeps whole seconds; anything finer would differ from what comes back.
pub(in crate::k8s) fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A message, cut to what the schema lets through.
pub(in crate::k8s) fn bounded(mut message: String) -> String {
    const MAX: usize = 2048;
    if message.len() > MAX {
        let cut = (0..=MAX - '…'.len_utf8())
            .rev()
            .find(|at| message.is_char_boundary(*at))
            .unwrap_or(0);
        message.truncate(cut);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_status_that_did_not_change_keeps_its_time() {
        let first = stamp(
            vec![Condition::new("Ready", ConditionStatus::False, "A", "a")],
            &[],
            Some(1),
            at(10),
        );
        let second = stamp(
            vec![Condition::new("Ready", ConditionStatus::False, "B", "b")],
            &first,
            Some(2),
            at(20),
        );
        assert_eq!(second[0].last_transition_time.0, at(10));
        assert_eq!(second[0].observed_generation, Some(2));
        let third = stamp(
            vec![Condition::new("Ready", ConditionStatus::True, "B", "b")],
            &second,
            Some(2),
            at(30),
        );
        assert_eq!(third[0].last_transition_time.0, at(30));
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let condition = Condition::new("Ready", ConditionStatus::True, "A", "ü".repeat(2000));
        assert!(condition.message.len() <= 2048);
        assert!(condition.message.ends_with('…'));
    }
}
