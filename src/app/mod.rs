//! The composition root: from settings to pools, keys, services, listeners, controllers. The only place that sees everything.
//!
//! Called by `cli` alone. Each public function is what one subcommand does.

mod administration;
mod api;
mod audit;
mod controller;
mod doctor;
mod files;
mod identities;
mod patience;
pub mod plan;
mod process;
mod recover;
mod setup;
mod sinks;
mod sso;
mod vault;

pub use administration::{
    Migrated, SettledRoot, adopt_root, adopt_roots, confirm_deletions, crds, make_root_key, migrate, openapi,
    orphaned_roots, publish_issuer, purge_roots, root_key_ids, rotate_sealing_key, rotate_signing_key, seal,
};
pub use api::api;
pub use audit::{
    audit_checkpoint, audit_public_keys, audit_verify, drop_audit_day, export_audit, prove_audit_entry,
    verify_audit_export, verify_audit_proof,
};
pub use controller::controller;
pub use doctor::{Finding, Outcome, examine};
pub use recover::{recover_administrator, recover_policy, recover_unlock};
pub use setup::{DatabaseRole, Kept, keep_administrator, keep_certificate, keep_database_role, keep_root_key};
pub use sso::login_proof;

pub use crate::k8s::kept_secret::SecretName;

use crate::lifecycle::PartDied;
use crate::service;
use crate::settings::SettingsError;
use crate::store::StoreError;

/// Why a subcommand failed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The settings do not allow it.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// It was tried.
    #[error("{0}")]
    Failed(String),
}

impl From<service::error::Error> for AppError {
    fn from(error: service::error::Error) -> Self {
        let cause = error
            .source_for_log()
            .map(|cause| format!(" ({cause})"))
            .unwrap_or_default();
        Self::Failed(format!("{error}{cause}"))
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::Failed(message)
    }
}

impl From<PartDied> for AppError {
    fn from(error: PartDied) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A failed step: what was tried, and why it did not work.
fn failed(what: &str) -> impl Fn(&dyn std::fmt::Display) -> AppError + '_ {
    move |error| AppError::Failed(format!("{what}: {error}"))
}
