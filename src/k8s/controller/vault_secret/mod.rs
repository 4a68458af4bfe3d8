//! `VaultSecret`: from the resource and the records to the Secret and the status.

mod apply;
mod encoding;
pub(super) mod feed;
mod fence;
pub(super) mod forecast;
pub(super) mod heads;
pub(super) mod ownership;
pub(super) mod plan;
mod problem;
pub(super) mod reconcile;
pub(super) mod remove;
pub(super) mod report;
pub(super) mod secret;
pub(super) mod source;
pub(super) mod status;
mod write_status;
