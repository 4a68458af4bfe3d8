//! Everything that an installation needs, looked at as it is now. Changes nothing.

mod database;
mod keys;
mod kubernetes;

use std::time::Duration;

use crate::settings::Settings;

/// How long a single look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it was.
    pub name: &'static str,
    /// What was found.
    pub outcome: Outcome,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Fine(String),
    /// It works, and could be better.
    Warning {
        /// What is not as it should be.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// It does not work.
    Failed {
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Not looked at, because something that it rests on failed.
    Skipped(&'static str),
}

impl Finding {
    fn fine(name: &'static str, what: impl Into<String>) -> Self {
        Self {
            name,
            outcome: Outcome::Fine(what.into()),
        }
    }

    fn warning(name: &'static str, problem: impl Into<String>, remedy: &'static str) -> Self {
        Self {
            name,
            outcome: Outcome::Warning {
                problem: problem.into(),
                remedy,
            },
        }
    }

    fn failed(name: &'static str, problem: impl Into<String>, remedy: &'static str) -> Self {
        Self {
            name,
            outcome: Outcome::Failed {
                problem: problem.into(),
                remedy,
            },
        }
    }

    fn skipped(name: &'static str, why: &'static str) -> Self {
        Self {
            name,
            outcome: Outcome::Skipped(why),
        }
    }

    fn is_fine(&self) -> bool {
        matches!(self.outcome, Outcome::Fine(_))
    }
}

/// Looks at everything.
pub async fn examine(settings: &Settings, with_kubernetes: bool) -> Vec<Finding> {
    let (provider, mut findings) = keys::examine(settings);
    findings.extend(database::examine(settings, provider.as_deref()).await);
    if with_kubernetes {
        findings.extend(kubernetes::examine(settings).await);
    }
    findings
}

/// Waits for a look, but not for long.
async fn in_time<T, E: std::fmt::Display>(look: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
    }
}
