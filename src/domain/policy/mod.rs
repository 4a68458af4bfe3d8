//! The policy engine: default deny, any matching deny wins.

mod capability;
mod document;

pub use capability::Capability;
pub use document::{Effect, PolicyDocument, Rule, Subject};
