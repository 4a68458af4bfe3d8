//! Aether Vault: a secret server and a Kubernetes operator in one binary.
//!
//! Data flows one way: request or resource → `domain` types → `service` → `store`.
//!
//! | module | what it is | may import |
//! |---|---|---|
//! | [`domain`] | the rules: pure, no I/O | itself and a few pure crates |
//! | [`k8s`] | resource types and controllers | `service::{door, error, context}`, `domain` |
//! | [`crypto`] | envelope encryption, keys, passwords, tokens | `domain` |

pub mod crypto;
pub mod domain;
pub mod k8s;
pub mod service;
