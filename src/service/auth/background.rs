//! Threads for work that takes a core for long and that nobody else should wait for.
//!
//! They run at a lower priority than the rest of the process, so that the kernel lets requests and Postgres go first: with as many password
//! checks as cores, a read would else wait for a whole time slice of each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::service::error::{Error, Result};

/// How much nicer than the rest the threads are (`setpriority(2)`): a core that both want goes to them a tenth of the time.
const NICENESS: i32 = 10;

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
    make_nice();
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // The panic is in the log, and whoever waits gets an error.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Linux keeps a priority for each thread. Where it cannot be set, everything works, less evenly.
#[cfg(target_os = "linux")]
fn make_nice() {
    use rustix::process::{getpriority_process, setpriority_process};
    let thread = rustix::thread::gettid();
    let set = getpriority_process(Some(thread)).and_then(|now| setpriority_process(Some(thread), now + NICENESS));
    if let Err(error) = set {
        tracing::debug!(%error, "the priority of a background thread cannot be lowered");
    }
}

#[cfg(not(target_os = "linux"))]
fn make_nice() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_at_a_lower_priority_and_a_panic_ends_nothing() {
        let threads = BackgroundThreads::start("test", 1).unwrap();
        assert!(threads.run(|| panic!("on purpose")).await.is_err());
        let priority = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let here = priority();
        assert_eq!(threads.run(priority).await.unwrap(), (here + NICENESS).min(19));
        assert_eq!(priority(), here, "the others are as they were");
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
