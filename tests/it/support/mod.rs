//! What integration tests share: a database of their own, a vault opened on it as the runtime role, and the real
//! binary as processes.

pub mod authenticator;
#[allow(dead_code, reason = "test programs of their own use the rest of it")]
pub mod client;
pub mod cluster;
pub mod collector;
pub mod controller;
pub mod database;
pub mod faults;
pub mod forwarder;
pub mod passkey;
#[allow(dead_code, reason = "test programs of their own use the rest of it")]
pub mod process;
pub mod provider;
#[allow(dead_code, reason = "test programs of their own use the rest of it")]
pub mod servers;
pub mod vault;
pub mod wire;
