//! The controller and the custom resources, against a real API server.

mod crd_validation;
mod drift;
mod leadership;
mod namespaced_roles;
mod ownership;
mod policy;
mod setup;
mod status;
mod sync;
mod workloads;
