//! Use cases: authorise, decide, encrypt or decrypt, persist, audit. The only callers of `store` and `crypto`.

mod audit;
pub mod audit_log;
pub mod auth;
mod authority;
mod binding;
mod cache;
pub mod context;
pub mod door;
pub mod error;
mod failure;
mod feed;
mod held;
pub mod identity_provider;
mod jobs;
mod keys;
mod local_door;
mod maintenance;
mod metrics;
mod noise;
pub mod policies;
pub mod records;
mod recovery;
mod reviewer;
pub mod roots;
mod sealing;
pub mod sinks;
pub mod system;
mod upkeep;
pub mod users;
mod vault;

pub use jobs::Job;
pub use local_door::LocalDoor;
pub use maintenance::OrphanedRoot;
pub use metrics::Metrics;
pub use recovery::Recovered;
pub use vault::{Check, Vault, VaultConfig};
