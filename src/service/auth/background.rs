//! Threads for work that takes a core for long and that nobody else should wait for.
//!
//! They are scheduled as idle work: whatever else wants the core gets it at once. A lower niceness alone leaves a thread on its core until its
//! time slice ends, and a read wakes four threads of two processes one after the other, each of which would wait for that (measured: p99 of
//! reads beside a storm of logins 12 ms, and 7.5 ms so). The price is paid where the cores are all taken: a login then takes seconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::service::error::{Error, Result};

type Job = Box<dyn FnOnce() + Send>;

/// As many threads as were asked for, which end with it.
pub(super) struct BackgroundThreads(Sender<Job>);

impl BackgroundThreads {
    /// Starts them.
    ///
    /// # Errors
    /// The system starts no more threads.
    pub(super) fn start(name: &str, count: usize) -> Result<Self> {
        let (jobs, waiting) = channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..count.max(1) {
            let waiting = Arc::clone(&waiting);
            let thread = thread::Builder::new().name(name.to_owned());
            thread.spawn(move || work(&waiting)).map_err(Error::internal)?;
        }
        Ok(Self(jobs))
    }

    /// Does some work on one of them. It is done even if nobody waits for it any more.
    ///
    /// # Errors
    /// [`crate::service::error::Reason::Internal`] if it panicked.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Whoever asked may be gone.
            let _ = done.send(work());
        });
        self.0
            .send(job)
            .map_err(|_| Error::internal("the threads of the background ended"))?;
        answer.await.map_err(Error::internal)
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    yield_to_others();
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // The panic is in the log, and whoever waits gets an error.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Makes the thread that calls idle work (`SCHED_IDLE`, `sched(7)`), which Linux does for each thread. Where it cannot be done, everything
/// works, less evenly.
#[cfg(target_os = "linux")]
fn yield_to_others() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle) {
        tracing::debug!(?error, "a background thread may not yield to others");
    }
}

#[cfg(not(target_os = "linux"))]
fn yield_to_others() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_yields_to_everything_else_and_a_panic_ends_nothing() {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy};
        let threads = BackgroundThreads::start("test", 1).unwrap();
        assert!(threads.run(|| panic!("on purpose")).await.is_err());
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let policy = || thread_schedule_policy().unwrap();
        assert_eq!(threads.run(policy).await.unwrap(), idle);
        assert_ne!(policy(), idle, "the others are as they were");
    }

    #[tokio::test]
    async fn no_more_than_so_much_is_done_at_a_time() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let threads = BackgroundThreads::start("test", 2).unwrap();
        let jobs = (0..16).map(|_| {
            threads.run(|| {
                MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                RUNNING.fetch_sub(1, Ordering::SeqCst);
            })
        });
        assert!(
            futures::future::join_all(jobs)
                .await
                .into_iter()
                .all(|done| done.is_ok())
        );
        assert!(MOST.load(Ordering::SeqCst) <= 2);
    }
}
