//! The part of the support that test programs of their own share with `it`: real processes, servers of their own, a client.

pub mod client;
pub mod process;
pub mod servers;
