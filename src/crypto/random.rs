//! The only source of randomness: the operating system's generator (R14). Clippy refuses every other.

use jiff::Timestamp;
use uuid::Uuid;

/// Fills `buffer` with random bytes.
///
/// # Panics
/// If the operating system has no randomness to give. On Linux that cannot happen once the machine has booted, and nothing that
/// needs a secret may go on without one.
#[expect(clippy::disallowed_methods, reason = "this is the one place that draws randomness")]
#[expect(
    clippy::expect_used,
    reason = "going on without randomness would make guessable secrets"
)]
pub fn fill(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system gives no randomness");
}

/// `N` random bytes, for what is not secret itself: nonces, salts, identifiers. Keys use [`fill`] on memory that is wiped.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// A random identifier (RFC 9562, version 4).
#[must_use]
pub fn uuid_v4() -> Uuid {
    uuid::Builder::from_random_bytes(bytes()).into_uuid()
}

/// An identifier that sorts by time (RFC 9562, version 7), so that index pages fill in order. A time before 1970 counts as 1970.
#[must_use]
pub fn uuid_v7(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_their_version_and_differ() {
        let now: Timestamp = "2025-01-02T03:04:05.678Z".parse().unwrap();
        let (a, b) = (uuid_v7(now), uuid_v7(now));
        assert_ne!(a, b);
        assert_eq!(a.get_version_num(), 7);
        assert_eq!(uuid_v4().get_version_num(), 4);
        assert_eq!(
            a.get_timestamp().map(|at| at.to_unix()),
            Some((1_735_787_045, 678_000_000))
        );
        assert!(a < uuid_v7(now + jiff::SignedDuration::from_millis(1)));
    }

    #[test]
    fn a_time_before_the_epoch_does_not_panic() {
        assert_eq!(uuid_v7(Timestamp::MIN).get_version_num(), 7);
    }

    #[test]
    fn r14_random_bytes_differ_each_time() {
        assert_ne!(bytes::<32>(), bytes::<32>());
    }
}
