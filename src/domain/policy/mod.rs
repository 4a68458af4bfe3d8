//! The policy engine: default deny, any matching deny wins.
//!
//! [`PolicyDocument`] is what people write, [`validate`] says whether it may be stored, [`PolicySnapshot`] decides.

mod capability;
mod condition;
mod conflict;
mod cover;
mod diff;
mod document;
mod engine;
mod explain;
mod grant;
mod name;
mod pattern;
mod scope;
mod subjects;
mod validate;

pub use capability::{Capability, CapabilitySet};
pub use condition::{Circumstances, Conditions, Day, TimeWindow, Window};
pub use conflict::{Conflict, conflicts};
pub use diff::{Change, Diff, DiffBounds};
pub use document::{Effect, PolicyDocument, Rule, Subject};
pub use engine::{Because, Decision, PolicySnapshot, StoredPolicy};
pub use explain::{Match, NotCounted};
pub use name::{canonical_name, policy_name};
pub use pattern::{Pattern, PatternError, Variables};
pub use scope::{KeyScope, MAX_SCOPES, ScopeDocument};
pub use validate::{Problem, beyond_scope, validate};
