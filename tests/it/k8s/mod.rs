//! The controller and the custom resources, against a real API server.

mod crd_validation;
mod sync;
