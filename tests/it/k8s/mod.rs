//! The controller and the custom resources, against a real API server.

mod certificates;
mod classes;
mod clusters;
mod crd_validation;
mod drift;
mod failover;
mod faults;
mod leadership;
mod matrix;
mod namespaced_roles;
mod outage;
mod ownership;
mod paused_leader;
mod plan;
mod policy;
mod requests;
mod restarts;
mod setup;
mod sources;
mod status;
mod sync;
mod target_options;
mod workloads;
