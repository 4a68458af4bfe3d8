//! How long an object that failed waits: longer with each failure, and not at the same moment as every other object.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// The wait after a first failure, before it is spread.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, before it is spread.
const LONGEST: Duration = Duration::from_secs(300);

/// The wait after the `failures`th failure in a row: doubled each time from one second up to five minutes, then shortened by up to a
/// half. By how much follows from the object's uid and the count, so that objects that failed together come back apart.
#[must_use]
pub fn delay(failures: u32, uid: &str) -> Duration {
    let doubled = FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(LONGEST);
    let mut hasher = DefaultHasher::new();
    (uid, failures).hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 1_000).unwrap_or(0);
    doubled - doubled * share / 2_000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes() {
        for (failures, longest) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (9, 256),
            (10, 300),
            (1000, 300),
            (u32::MAX, 300),
        ] {
            let wait = delay(failures, "uid");
            let longest = Duration::from_secs(longest);
            assert!(
                wait <= longest && wait > longest / 2 - Duration::from_millis(1),
                "{failures}: {wait:?}"
            );
        }
    }

    #[test]
    fn objects_that_failed_together_come_back_apart() {
        let waits: std::collections::BTreeSet<_> = (0..100).map(|n| delay(8, &format!("uid-{n}"))).collect();
        assert!(waits.len() > 80, "{} different waits of 100", waits.len());
    }

    proptest! {
        #[test]
        fn no_count_makes_it_wait_longer_or_not_at_all(failures: u32, uid in ".{0,40}") {
            let wait = delay(failures, &uid);
            prop_assert!(wait >= FIRST / 2 && wait <= LONGEST);
        }
    }
}
