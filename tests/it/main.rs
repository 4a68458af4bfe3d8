//! Integration tests: real Postgres, real API server. They mirror `src`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, and its support is nobody's API"
)]

mod architecture;
mod authorization;
mod bad_input;
mod canary;
mod cli;
mod cli_ways_in;
mod client_commands;
mod fuzz;
mod gitops;
mod http;
mod journey;
mod k8s;
mod linearizability;
mod reasons;
mod recover;
mod requirements;
mod rights;
mod service;
mod support;
mod traces;
