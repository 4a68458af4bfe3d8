//! What a provider publishes, kept for a while: one fetch at a time, none too soon after a failed one, and what was known stays in use
//! while the provider is down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::service::identity_provider::ProviderError;

/// How long what was fetched counts as fresh, and how long it is used when it cannot be fetched again.
const FRESH: Duration = Duration::from_secs(3600);
const USABLE: Duration = Duration::from_secs(86_400);
/// How soon after a failure the provider is asked again.
const RETRY: Duration = Duration::from_secs(2);
/// How often within a window it may be asked anew although what is known is fresh.
const RENEWALS: u32 = 6;
const WINDOW: Duration = Duration::from_secs(60);

/// A published document.
pub(super) struct Cached<T>(Mutex<State<T>>);

struct State<T> {
    known: Option<(Arc<T>, Instant)>,
    failed: Option<(ProviderError, Instant)>,
    window: Option<Instant>,
    renewals: u32,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(State {
            known: None,
            failed: None,
            window: None,
            renewals: 0,
        }))
    }
}

impl<T> Cached<T> {
    /// The document, fetched if there is none that is fresh.
    pub(super) async fn get(
        &self,
        fetch: impl AsyncFnOnce() -> Result<T, ProviderError>,
    ) -> Result<Arc<T>, ProviderError> {
        let mut state = self.0.lock().await;
        if let Some((known, at)) = &state.known
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(known));
        }
        state.fetch(fetch).await
    }

    /// The document, fetched anew if it is still the one that did not do and the provider was not asked too often for that.
    pub(super) async fn renew(
        &self,
        seen: &Arc<T>,
        fetch: impl AsyncFnOnce() -> Result<T, ProviderError>,
    ) -> Result<Arc<T>, ProviderError> {
        let mut state = self.0.lock().await;
        if let Some((known, _)) = &state.known
            && (!Arc::ptr_eq(known, seen) || !state.may_renew())
        {
            return Ok(Arc::clone(state.known.as_ref().map_or(seen, |(known, _)| known)));
        }
        state.fetch(fetch).await
    }
}

impl<T> State<T> {
    async fn fetch(&mut self, fetch: impl AsyncFnOnce() -> Result<T, ProviderError>) -> Result<Arc<T>, ProviderError> {
        let error = match &self.failed {
            Some((error, at)) if at.elapsed() < RETRY => error.clone(),
            _ => match fetch().await {
                Ok(fetched) => {
                    let fetched = Arc::new(fetched);
                    self.known = Some((Arc::clone(&fetched), Instant::now()));
                    self.failed = None;
                    return Ok(fetched);
                }
                Err(error) => {
                    self.failed = Some((error.clone(), Instant::now()));
                    error
                }
            },
        };
        match &self.known {
            Some((known, at)) if at.elapsed() < USABLE => Ok(Arc::clone(known)),
            _ => Err(error),
        }
    }

    fn may_renew(&mut self) -> bool {
        if self.window.is_none_or(|began| began.elapsed() >= WINDOW) {
            self.window = Some(Instant::now());
            self.renewals = 0;
        }
        self.renewals += 1;
        self.renewals <= RENEWALS
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[expect(clippy::unused_async, reason = "stands for a fetch, which is")]
    async fn fetch(count: &AtomicU32) -> Result<u32, ProviderError> {
        Ok(count.fetch_add(1, Ordering::SeqCst))
    }

    #[tokio::test]
    async fn many_at_once_fetch_once() {
        let (cached, count) = (Cached::default(), AtomicU32::new(0));
        let all = (0..50).map(|_| cached.get(async || fetch(&count).await));
        for value in futures::future::join_all(all).await {
            assert_eq!(*value.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn renewals_are_bounded() {
        let (cached, count) = (Cached::default(), AtomicU32::new(0));
        let mut seen = cached.get(async || fetch(&count).await).await.unwrap();
        for _ in 0..100 {
            seen = cached.renew(&seen, async || fetch(&count).await).await.unwrap();
        }
        assert_eq!(count.load(Ordering::SeqCst), 1 + RENEWALS);
        // One that somebody else renewed meanwhile is taken as it is.
        let old = Arc::new(0);
        assert_eq!(
            *cached.renew(&old, async || fetch(&count).await).await.unwrap(),
            RENEWALS
        );
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_a_moment_and_what_was_known_stays_in_use() {
        let (cached, asked) = (Cached::default(), AtomicU32::new(0));
        let down = async || {
            asked.fetch_add(1, Ordering::SeqCst);
            Err::<u32, _>(ProviderError::Unavailable("down".to_owned()))
        };
        for _ in 0..10 {
            assert!(cached.get(down).await.is_err());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "within the time of a retry");

        let (cached, count) = (Cached::default(), AtomicU32::new(7));
        let known = cached.get(async || fetch(&count).await).await.unwrap();
        assert_eq!(*cached.renew(&known, down).await.unwrap(), 7);
    }
}
