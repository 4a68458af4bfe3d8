//! Decisions of the controller that are neither Kubernetes' nor the vault's: when to try again, when to stop deleting, whom to restart, and
//! when to speak of an outage.

pub mod backoff;
pub mod brake;
pub mod outage;
pub mod restart;
