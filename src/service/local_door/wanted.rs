//! Namespaces that logins of workloads ask about: which one bears a name now.

use std::collections::BTreeSet;

use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

use super::LocalDoor;
use crate::domain::change::ChangeKind;
use crate::service::error::{Error, Reason, Result};
use crate::service::feed::News;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Every namespace: nobody knows what was asked for meanwhile.
    All,
    /// These.
    Named(BTreeSet<String>),
}

/// Tells what is asked for, from when it was made.
pub struct WantedNamespaces {
    prefix: String,
    news: broadcast::Receiver<News>,
}

impl LocalDoor {
    /// Begins to listen for namespaces of this cluster that logins ask about.
    #[must_use]
    pub fn wanted_namespaces(&self) -> WantedNamespaces {
        WantedNamespaces {
            prefix: format!("{}/", self.cluster.prefix),
            news: self.vault.feed.subscribe(),
        }
    }
}

impl WantedNamespaces {
    /// Waits for the next ones; what came together is told together.
    ///
    /// # Errors
    /// [`Reason::StoreUnavailable`] once the vault is closed.
    pub async fn next(&mut self) -> Result<Wanted> {
        loop {
            let mut names = BTreeSet::new();
            let mut next = self.news.recv().await;
            loop {
                match next {
                    Ok(News::Changes(batch)) => names.extend(
                        batch
                            .iter()
                            .filter(|change| change.kind == ChangeKind::Namespace)
                            .filter_map(|change| change.subject.strip_prefix(&self.prefix))
                            .map(str::to_owned),
                    ),
                    Ok(News::Everything) | Err(RecvError::Lagged(_)) => return Ok(Wanted::All),
                    Err(RecvError::Closed) => {
                        return Err(Error::new(Reason::StoreUnavailable, "the change feed has ended"));
                    }
                }
                next = match self.news.try_recv() {
                    Ok(more) => Ok(more),
                    Err(TryRecvError::Lagged(count)) => Err(RecvError::Lagged(count)),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                };
            }
            if !names.is_empty() {
                return Ok(Wanted::Named(names));
            }
        }
    }
}
