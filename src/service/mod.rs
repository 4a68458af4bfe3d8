//! Use cases: authorise, decide, encrypt or decrypt, persist, audit. The only callers of `store` and `crypto`.

pub mod context;
pub mod error;
