//! Aether Vault: a secret server and a Kubernetes operator in one binary.
//!
//! Data flows one way: request or resource → `domain` types → `service` → `store`.
//!
//! | module | what it is | may import |
//! |---|---|---|
//! | [`domain`] | the rules: pure, no I/O | itself and a few pure crates |
//! | [`crypto`] | envelope encryption, keys, passwords, tokens | `domain` |
//! | [`store`] | Postgres, the only place with sqlx | `domain` |
//! | [`service`] | use cases: authorise, decide, encrypt, persist, audit | `domain`, `crypto`, `store` |
//! | [`oidc`] | providers of single sign-on, as the relying party | `service::identity_provider`, `crypto`, `domain` |
//! | [`k8s`] | resource types and controllers | `service::{door, error, context}`, `domain` |
//! | [`http`] | the REST door: router, extractors, problems | `service`, `domain` |
//! | [`app`] | the composition root | everything |
//! | [`cli`] | one file a subcommand | `app` |
//! | [`settings`] | settings from file, environment and flags, parsed once | `domain` |
//! | [`telemetry`], [`lifecycle`] | log and metrics; start, signals, end | `settings` |
//!
//! `tests/it/architecture.rs` reads the sources and keeps these rules.

pub mod app;
pub mod cli;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod k8s;
pub mod lifecycle;
pub mod oidc;
pub mod service;
pub mod settings;
pub mod store;
pub mod telemetry;
