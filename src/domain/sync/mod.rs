//! Decisions of the controller that are neither Kubernetes' nor the vault's: when to try again, and when to stop deleting.

pub mod backoff;
pub mod brake;
