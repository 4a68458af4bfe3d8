//! Where a record's content comes from when a resource feeds it: what is made, when it is made anew, and what was done so far.
//!
//! What is due is decided here, from the resource and from what the vault remembers beside the record; never from a resource's status
//! (R39). `service` carries it out under check-and-set, so that two controllers rotate once.

mod due;
mod generate;
mod schedule;
mod state;

pub use due::{Due, Next, due, next};
pub use generate::{GenerateSource, Rotation, SourceError, outputs, previous_name};
pub use schedule::{Cadence, ScheduleError};
pub use state::SourceState;
