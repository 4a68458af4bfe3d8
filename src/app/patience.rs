//! Patience at start with a database that does not answer: it may come later than the process, or be busy just then.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::service::error::{Error, Reason};

/// How soon to try again, at first and at most.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Repeats an attempt until the database answers it. `None` if the process was told to stop first.
///
/// # Errors
/// Whatever else than [`Reason::StoreUnavailable`] an attempt ends with.
pub(super) async fn patiently<T>(
    stop: &CancellationToken,
    what: &'static str,
    mut attempt: impl AsyncFnMut() -> Result<Result<T, Error>, AppError>,
) -> Result<Option<T>, AppError> {
    let mut wait = FIRST_RETRY;
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            ended = attempt() => ended?,
        };
        let error = match ended {
            Ok(done) => return Ok(Some(done)),
            Err(error) if error.reason() == Reason::StoreUnavailable => error,
            Err(error) => return Err(error.into()),
        };
        tracing::warn!(
            problem = error.message(),
            cause = error.source_for_log(),
            "{what} has to wait for the database; trying again"
        );
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(LAST_RETRY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> Error {
        Error::new(Reason::StoreUnavailable, "the database does not answer")
    }

    #[tokio::test]
    async fn what_the_database_does_not_answer_is_tried_again_and_nothing_else() {
        let stop = CancellationToken::new();
        let mut attempts = 0;
        let done = patiently(&stop, "a test", async || {
            attempts += 1;
            Ok(if attempts < 3 { Err(unavailable()) } else { Ok(attempts) })
        });
        assert_eq!(done.await.unwrap(), Some(3));

        let mut attempts = 0;
        let failed = patiently(&stop, "a test", async || {
            attempts += 1;
            Ok(Err::<(), _>(Error::new(Reason::ClusterMismatch, "another cluster")))
        });
        assert!(failed.await.is_err());
        assert_eq!(attempts, 1);
    }

    #[tokio::test]
    async fn who_is_told_to_stop_stops_waiting() {
        let stop = CancellationToken::new();
        let stopper = stop.clone();
        let mut attempts = 0;
        let stopped = patiently(&stop, "a test", async || {
            attempts += 1;
            if attempts == 2 {
                stopper.cancel();
            }
            Ok(Err::<(), _>(unavailable()))
        });
        assert_eq!(stopped.await.unwrap(), None);
    }
}
