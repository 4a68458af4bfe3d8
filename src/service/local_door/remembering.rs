//! The group commit of what the controller remembers: while one statement is under way, the rows of others wait and go together in the next.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use uuid::Uuid;

use crate::store::syncs::{StoredSync, upsert};
use crate::store::{Pool, StoreError};

/// Rows of one statement at most.
const TOGETHER: usize = 256;

struct Waiting {
    row: StoredSync,
    remembered: oneshot::Sender<bool>,
}

/// Rows that wait to be remembered. Whoever finds nobody writing writes for all that wait.
#[derive(Default)]
pub(super) struct Remembering {
    waiting: Mutex<Vec<Waiting>>,
    writing: tokio::sync::Mutex<()>,
}

impl Remembering {
    /// Remembers a row; `false` if a newer generation is remembered.
    ///
    /// # Errors
    /// [`StoreError`], of this row alone: rows that failed together are tried one by one.
    pub(super) async fn remember(&self, pool: &Pool, cluster_id: Uuid, row: StoredSync) -> Result<bool, StoreError> {
        let (remembered, mut answer) = oneshot::channel();
        let waiting = Waiting {
            row: row.clone(),
            remembered,
        };
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(waiting);
        loop {
            let writing = self.writing.lock().await;
            match answer.try_recv() {
                Ok(remembered) => return Ok(remembered),
                // Whoever wrote for us failed, or was called off.
                Err(TryRecvError::Closed) => {
                    drop(writing);
                    return Ok(upsert(pool, cluster_id, &[&row]).await?.contains(&row.uid));
                }
                Err(TryRecvError::Empty) => write(pool, cluster_id, self.take()).await,
            }
        }
    }

    /// What goes into the next statement, which takes one row of a resource.
    fn take(&self) -> BTreeMap<String, Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = BTreeMap::new();
        for one in std::mem::take(&mut *waiting) {
            if taken.len() < TOGETHER && !taken.contains_key(&one.row.uid) {
                taken.insert(one.row.uid.clone(), one);
            } else {
                waiting.push(one);
            }
        }
        taken
    }
}

/// Writes rows and answers those who wait for it; if that fails, they hear nothing and try by themselves.
async fn write(pool: &Pool, cluster_id: Uuid, taken: BTreeMap<String, Waiting>) {
    let rows: Vec<&StoredSync> = taken.values().map(|waiting| &waiting.row).collect();
    match upsert(pool, cluster_id, &rows).await {
        Ok(remembered) => {
            for (uid, waiting) in taken {
                // One that was called off does not wait for its answer.
                let _ = waiting.remembered.send(remembered.contains(&uid));
            }
        }
        Err(error) => tracing::debug!(rows = rows.len(), %error, "rows are remembered one by one"),
    }
}
