//! The Kubernetes side: resource types, controllers, leader election. Imports `service`'s door, error and context, and `domain`; never
//! `store`, `crypto` or `http`.

pub mod controller;
pub mod crd;
pub mod dry_run;
pub mod identity;
pub mod kept_secret;
pub mod metrics;
pub mod settings;
