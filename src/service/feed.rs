//! Following the change feed: brings this process up to date and tells whoever subscribed.
//!
//! Correctness never depends on it: reads and writes are confirmed by their commits. It makes changes arrive soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use super::Vault;
use super::auth::SIGNING_KEYS_CHANGE;
use super::error::Error;
use crate::domain::change::{ChangeKind, SnapshotPoint};
use crate::domain::path::RecordPath;
use crate::store::changes::{self, Change, Listener};
use crate::store::{Kept, StoreError};

/// The longest wait between two passes.
const POLL: Duration = Duration::from_millis(250);
/// The shortest: a change that comes alone is seen at once, and those of a busy time together.
const REST: Duration = Duration::from_millis(20);
/// No pass for this long is stale, and shows in readiness.
pub(super) const STALE_AFTER_SECONDS: i64 = 15;
/// Batches that a slow subscriber may lag behind before it has to compare everything.
const BACKLOG: usize = 1024;

/// What a pass brought.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// These changed.
    Changes(Arc<Vec<Change>>),
    /// Unknown: compare everything.
    Everything,
}

/// Announces this process's own changes, and passes on everybody's.
pub(super) struct Feed {
    own: Notify,
    wake: Notify,
    news: broadcast::Sender<News>,
    last_pass: AtomicI64,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self {
            own: Notify::new(),
            wake: Notify::new(),
            news: broadcast::Sender::new(BACKLOG),
            last_pass: AtomicI64::new(0),
        }
    }

    /// Says that this process has just committed a change.
    pub(super) fn announce(&self) {
        self.own.notify_one();
        self.wake.notify_one();
    }

    /// Everything that the passes bring from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// When the last pass succeeded, in seconds since 1970; 0 before the first.
    pub(super) fn last_pass(&self) -> i64 {
        self.last_pass.load(Ordering::Relaxed)
    }
}

impl Vault {
    /// Follows the feed until the process drains.
    pub(super) async fn follow_feed(&self, shutdown: CancellationToken) {
        let mut resume = None;
        let mut kept = Kept::of(&self.pool);
        while !shutdown.is_cancelled() {
            match self.pass(&mut kept, resume.as_ref()).await {
                Ok(point) => {
                    self.metrics.feed_passes.with_label_values(&["ok"]).inc();
                    self.feed
                        .last_pass
                        .store(self.clock.now().as_second(), Ordering::Relaxed);
                    resume = Some(point);
                }
                Err(error) => {
                    kept.forget();
                    self.metrics.feed_passes.with_label_values(&["failed"]).inc();
                    tracing::warn!(
                        cause = error.source_for_log(),
                        "the change feed cannot be read; trying again"
                    );
                }
            }
            let next = async {
                tokio::time::sleep(REST).await;
                self.feed.wake.notified().await;
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = next => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn pass(&self, kept: &mut Kept, resume: Option<&SnapshotPoint>) -> Result<SnapshotPoint, Error> {
        let failed = super::failure::store_failed;
        let Some(resume) = resume else {
            let point = changes::now(&self.pool).await.map_err(failed)?;
            self.compare_everything().await?;
            return Ok(point);
        };
        let pass = changes::since(kept.get().await.map_err(failed)?, resume)
            .await
            .map_err(failed)?;
        if resume.is_other_server(&pass.resume) {
            tracing::warn!("the database is behind what was read before, as after a restore; comparing everything");
            self.compare_everything().await?;
            return Ok(pass.resume);
        }
        if pass.changes.is_empty() {
            return Ok(pass.resume);
        }
        self.metrics
            .feed_changes
            .inc_by(u64::try_from(pass.changes.len()).unwrap_or(u64::MAX));
        let (mut policies, mut config, mut signing_keys) = (false, false, false);
        for change in &pass.changes {
            match change.kind {
                ChangeKind::Record => {
                    if let Ok(path) = RecordPath::parse(&change.subject) {
                        self.cache.changed(&path);
                    }
                }
                ChangeKind::Policy | ChangeKind::Root => policies = true,
                ChangeKind::Config if change.subject == SIGNING_KEYS_CHANGE => signing_keys = true,
                ChangeKind::Config if change.subject == super::sealing::SUBJECT => self.reload_sealing_keys().await?,
                ChangeKind::Config => config = true,
                ChangeKind::Sync | ChangeKind::Session | ChangeKind::Namespace => {}
            }
        }
        if config {
            self.reload_config().await?;
        }
        if policies {
            self.authority.refresh().await?;
            self.forget_roots();
        }
        if signing_keys {
            self.auth().reload_signing_keys().await?;
        }
        // Nobody may be subscribed, as in an API process.
        let _ = self.feed.news.send(News::Changes(Arc::new(pass.changes)));
        Ok(pass.resume)
    }

    async fn compare_everything(&self) -> Result<(), Error> {
        self.cache.clear();
        self.forget_roots();
        self.reload_config().await?;
        self.authority.refresh().await?;
        self.auth().reload_signing_keys().await?;
        let _ = self.feed.news.send(News::Everything);
        Ok(())
    }

    fn forget_roots(&self) {
        self.keys.forget_roots();
        self.bindings.invalidate_all();
    }

    /// Wakes other processes after own changes, coalesced: one notification at a time, however many changes there were.
    pub(super) async fn notify_others(&self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.feed.own.notified() => {}
            }
            // Whoever polls finds the change all the same.
            if let Err(error) = changes::notify(&self.pool).await {
                tracing::debug!(%error, "no notification sent");
            }
        }
    }

    /// Listens for other processes' changes on a connection of its own.
    pub(super) async fn listen(&self, dsn: &str, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let heard = async {
                let mut listener = Listener::connect(dsn).await?;
                loop {
                    listener.next().await?;
                    self.feed.wake.notify_one();
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                outcome = heard => {
                    let Err::<std::convert::Infallible, StoreError>(error) = outcome;
                    tracing::debug!(%error, "not listening for changes; polling until the connection is back");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }
}
