//! What clients asked of one record and what they were told, with the moments between which it must have happened.

use std::sync::atomic::{AtomicU64, Ordering};

/// The record as the model sees it: the newest version and its value; version 0 is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct State {
    pub(super) version: i64,
    pub(super) value: u64,
}

/// What a client asked for. No two writes have the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Read,
    /// `cas` absent writes whatever is there.
    Write {
        value: u64,
        cas: Option<i64>,
    },
}

/// What the client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A read: what is there, version 0 for no record.
    Found(State),
    /// A write: its version.
    Written(i64),
    /// A write whose `cas` did not hold.
    CasFailed,
    /// No answer, or one that leaves open whether the write happened.
    Unknown,
}

/// One call, from before it was sent to after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) call: Call,
    pub(super) answer: Answer,
    pub(super) sent: u64,
    /// Of an unknown answer this means nothing: such a write may happen at any later time.
    pub(super) answered: u64,
}

impl Operation {
    /// The moment by which it has happened; never, for a write of unknown outcome.
    pub(super) fn deadline(&self) -> u64 {
        match self.answer {
            Answer::Unknown => u64::MAX,
            _ => self.answered,
        }
    }

    /// The state after it, if it could have been answered so in this state.
    pub(super) fn step(&self, state: State) -> Option<State> {
        match (self.call, self.answer) {
            (Call::Read, Answer::Found(found)) => (found == state).then_some(state),
            (Call::Read, _) => Some(state),
            (Call::Write { value, cas }, answer) => {
                let holds = cas.is_none_or(|cas| cas == state.version);
                let after = State {
                    version: state.version + 1,
                    value,
                };
                match answer {
                    Answer::Written(version) => (holds && version == after.version).then_some(after),
                    Answer::CasFailed => (!holds).then_some(state),
                    // One whose condition did not hold changed nothing: that is the same as if it had never happened.
                    Answer::Unknown => holds.then_some(after),
                    Answer::Found(_) => None,
                }
            }
        }
    }
}

/// Orders moments of all clients: a call that was answered before another was sent has the smaller number.
#[derive(Debug, Default)]
pub(super) struct Moments(AtomicU64);

impl Moments {
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}
