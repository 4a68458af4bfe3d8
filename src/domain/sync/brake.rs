//! The brake on mass deletion: an accident that removes many `VaultSecret`s at once must not remove their Secrets at once.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// The window in which deletions count.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// Deletions within the window that are always let through.
const ALWAYS: usize = 20;
/// Of the Secrets known, one in this many may go within the window.
const ONE_IN: usize = 20;
/// How long a confirmation lets everything through.
const CONFIRMED_FOR: SignedDuration = SignedDuration::from_secs(600);

/// Counts deletions: at most 20 or 5% of the Secrets known, whichever is more, within a minute.
#[derive(Debug, Default)]
pub struct Brake {
    recent: VecDeque<Timestamp>,
    /// Set when a deletion was held: from then on nothing passes until it is confirmed, or nothing is left to hold.
    holding: Option<Timestamp>,
}

impl Brake {
    /// Asks to delete one Secret of `known`. `confirmed_at` is when an operator last confirmed held deletions.
    ///
    /// Once a deletion was held the rest waits too: letting twenty a minute through would only make the accident slower.
    #[must_use]
    pub fn allows(&mut self, now: Timestamp, known: usize, confirmed_at: Option<Timestamp>) -> bool {
        if let Some(confirmed_at) = confirmed_at
            && now.duration_since(confirmed_at) < CONFIRMED_FOR
            && self.holding.is_none_or(|held| held <= confirmed_at)
        {
            self.release();
            return true;
        }
        while self.recent.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
            self.recent.pop_front();
        }
        if self.holding.is_some() || self.recent.len() >= ALWAYS.max(known / ONE_IN) {
            self.holding.get_or_insert(now);
            return false;
        }
        self.recent.push_back(now);
        true
    }

    /// Nothing is waiting to be deleted any more: what was held came back, or was confirmed.
    pub fn release(&mut self) {
        self.holding = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn allowed(brake: &mut Brake, second: i64, known: usize, asked: usize) -> usize {
        (0..asked).filter(|_| brake.allows(at(second), known, None)).count()
    }

    #[test]
    fn twenty_go_and_the_rest_waits() {
        let mut brake = Brake::default();
        assert_eq!(allowed(&mut brake, 0, 30, 30), 20);
        assert_eq!(
            allowed(&mut brake, 3600, 10, 10),
            0,
            "a held accident does not go on by itself"
        );
        brake.release();
        assert_eq!(allowed(&mut brake, 3601, 10, 10), 10);
    }

    #[test]
    fn of_many_one_in_twenty_goes() {
        assert_eq!(allowed(&mut Brake::default(), 0, 10_000, 10_000), 500);
        assert_eq!(allowed(&mut Brake::default(), 0, 401, 401), 20);
        assert_eq!(allowed(&mut Brake::default(), 0, 0, 5), 5);
    }

    #[test]
    fn slow_deletions_are_never_held() {
        let mut brake = Brake::default();
        for minute in 0..100 {
            assert_eq!(allowed(&mut brake, minute * 60, 100, 20), 20);
        }
    }

    #[test]
    fn a_confirmation_lets_what_was_held_go_and_not_what_is_held_later() {
        let mut brake = Brake::default();
        assert_eq!(allowed(&mut brake, 0, 100, 100), 20);
        assert!(
            !brake.allows(at(30), 80, Some(at(-10))),
            "confirmed before anything was held"
        );
        assert!((0..80).all(|_| brake.allows(at(50), 80, Some(at(40)))));
        assert!(
            !(0..100).all(|_| brake.allows(at(40 + 601), 100, Some(at(40)))),
            "a confirmation does not last"
        );
    }
}
