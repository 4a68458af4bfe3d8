//! The policy engine: default deny, any matching deny wins.
//!
//! [`PolicyDocument`] is what people write, [`validate`] says whether it may be stored, [`PolicySnapshot`] decides.

mod capability;
mod document;
mod engine;
mod name;
mod pattern;
mod subjects;
mod validate;

pub use capability::{Capability, CapabilitySet};
pub use document::{Effect, PolicyDocument, Rule, Subject};
pub use engine::{Because, Decision, PolicySnapshot, StoredPolicy};
pub use name::canonical_name;
pub use pattern::{Pattern, PatternError, Variables};
pub use validate::{Problem, beyond_scope, validate};
