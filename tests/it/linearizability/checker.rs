//! Whether a history can be put into one order that respects the clients' clocks and the model (Wing and Gong, 1993; with memory of the
//! configurations seen, after Lowe, 2017).

use std::collections::HashSet;

use super::history::{Operation, State};

/// Configurations looked at before the search gives up. Histories that can be explained need a few for each operation; of those that cannot,
/// what branches first would otherwise be tried to its end.
const LIMIT: usize = 100_000;

/// The operations that no order explains: the ones that were due when the longest explanation ended, and the state it had reached.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// How many operations the longest explanation holds.
    pub(super) explained: usize,
    /// What the record was then.
    pub(super) state: State,
    /// What could have come next, and did not fit.
    pub(super) candidates: Vec<Operation>,
}

/// Fails if no order of the operations explains every answer, or none was found within [`LIMIT`].
pub(super) fn check(mut history: Vec<Operation>) -> Result<(), Violation> {
    history.sort_by_key(|operation| operation.sent);
    Search {
        done: Done::new(history.len()),
        history,
        seen: HashSet::new(),
        path: Vec::new(),
        best: None,
    }
    .run()
}

/// One operation put in order.
struct Step {
    index: usize,
    before: State,
    /// It changes nothing and fits here, so that putting it later could help nothing.
    forced: bool,
}

struct Search {
    history: Vec<Operation>,
    done: Done,
    seen: HashSet<(Vec<u64>, State)>,
    /// Operations put in order so far.
    path: Vec<Step>,
    best: Option<Violation>,
}

impl Search {
    fn run(mut self) -> Result<(), Violation> {
        let (mut state, mut from) = (State::default(), 0);
        loop {
            if self.complete() {
                return Ok(());
            }
            match self.next(state, from) {
                Some((index, after)) => {
                    self.path.push(Step {
                        index,
                        before: state,
                        forced: after == state,
                    });
                    (state, from) = (after, 0);
                }
                None => {
                    self.remember_best(state);
                    if self.seen.len() > LIMIT {
                        return Err(self.best.take().unwrap());
                    }
                    (state, from) = self.step_back()?;
                }
            }
        }
    }

    /// Takes back the last operation that could have been another.
    fn step_back(&mut self) -> Result<(State, usize), Violation> {
        loop {
            let Some(step) = self.path.pop() else {
                return Err(self.best.take().unwrap());
            };
            self.done.clear(step.index);
            if !step.forced {
                return Ok((step.before, step.index + 1));
            }
        }
    }

    /// Whether everything that was answered is in order. A write of unknown outcome need not have happened.
    fn complete(&self) -> bool {
        self.pending().all(|(_, operation)| operation.deadline() == u64::MAX)
    }

    fn pending(&self) -> impl Iterator<Item = (usize, &Operation)> {
        let from = self.done.first_unset();
        self.history
            .iter()
            .enumerate()
            .skip(from)
            .filter(|(index, _)| !self.done.is_set(*index))
    }

    /// What may come next: whatever was sent before the earliest deadline of what is not in order yet.
    fn candidates(&self) -> impl Iterator<Item = (usize, &Operation)> {
        let limit = self.pending().map(|(_, operation)| operation.deadline()).min();
        let limit = limit.unwrap_or(u64::MAX);
        self.pending().take_while(move |(_, operation)| operation.sent < limit)
    }

    /// The next operation at or after `from` that fits and leads somewhere new; it is marked as done.
    fn next(&mut self, state: State, from: usize) -> Option<(usize, State)> {
        let mut candidates: Vec<_> = self
            .candidates()
            .filter(|(index, _)| *index >= from)
            .filter_map(|(index, operation)| Some((index, operation.step(state)?)))
            .collect();
        if let Some(forced) = candidates.iter().position(|(_, after)| *after == state) {
            candidates = vec![candidates[forced]];
        }
        for (index, after) in candidates {
            self.done.set(index);
            if self.seen.insert((self.done.0.clone(), after)) {
                return Some((index, after));
            }
            self.done.clear(index);
        }
        None
    }

    fn remember_best(&mut self, state: State) {
        let explained = self.path.len();
        if self.best.as_ref().is_none_or(|best| best.explained < explained) {
            let candidates = self.candidates().map(|(_, operation)| *operation).collect();
            self.best = Some(Violation {
                explained,
                state,
                candidates,
            });
        }
    }
}

/// Which operations are in order.
struct Done(Vec<u64>);

impl Done {
    fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn set(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    fn clear(&mut self, index: usize) {
        self.0[index / 64] &= !(1 << (index % 64));
    }

    fn is_set(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    fn first_unset(&self) -> usize {
        let word = self.0.iter().position(|word| *word != u64::MAX);
        word.map_or(self.0.len() * 64, |word| {
            word * 64 + usize::try_from(self.0[word].trailing_ones()).unwrap()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::history::{Answer, Call};
    use super::*;

    fn read(sent: u64, answered: u64, version: i64, value: u64) -> Operation {
        Operation {
            call: Call::Read,
            answer: Answer::Found(State { version, value }),
            sent,
            answered,
        }
    }

    fn write(sent: u64, answered: u64, value: u64, cas: Option<i64>, answer: Answer) -> Operation {
        Operation {
            call: Call::Write { value, cas },
            answer,
            sent,
            answered,
        }
    }

    #[test]
    fn what_one_register_would_answer_is_accepted() {
        let history = vec![
            read(0, 1, 0, 0),
            write(2, 9, 7, Some(0), Answer::Written(1)),
            // Beside the write: before it or after it.
            read(3, 4, 0, 0),
            read(5, 6, 1, 7),
            write(7, 8, 8, Some(0), Answer::CasFailed),
            read(10, 11, 1, 7),
        ];
        assert_eq!(check(history), Ok(()));
    }

    #[test]
    fn a_write_of_unknown_outcome_may_happen_late_or_never() {
        let unknown = write(0, 1, 7, None, Answer::Unknown);
        assert_eq!(check(vec![unknown, read(2, 3, 0, 0)]), Ok(()));
        assert_eq!(check(vec![unknown, read(2, 3, 0, 0), read(4, 5, 1, 7)]), Ok(()));
        let other = write(2, 3, 8, Some(1), Answer::Written(2));
        assert_eq!(check(vec![unknown, other, read(4, 5, 2, 8)]), Ok(()));
        let undone = vec![unknown, read(2, 3, 1, 7), read(4, 5, 0, 0)];
        assert_eq!(check(undone).unwrap_err().state, State { version: 1, value: 7 });
    }

    #[test]
    fn a_stale_read_is_found() {
        let history = vec![
            write(0, 1, 7, None, Answer::Written(1)),
            write(2, 3, 8, None, Answer::Written(2)),
            read(4, 5, 1, 7),
        ];
        let violation = check(history).unwrap_err();
        assert_eq!(violation.explained, 2);
        assert_eq!(violation.candidates, [read(4, 5, 1, 7)]);
    }

    #[test]
    fn two_winners_of_one_check_and_set_are_found() {
        let history = vec![
            write(0, 3, 7, Some(0), Answer::Written(1)),
            write(1, 2, 8, Some(0), Answer::Written(1)),
        ];
        assert!(check(history).is_err());
    }

    #[test]
    fn a_lost_write_is_found() {
        let history = vec![
            write(0, 1, 7, None, Answer::Written(1)),
            write(2, 3, 8, None, Answer::Written(1)),
        ];
        assert!(check(history).is_err());
    }

    #[test]
    fn a_refusal_without_a_reason_is_found() {
        let history = vec![
            write(0, 1, 7, Some(0), Answer::Written(1)),
            write(2, 3, 8, Some(1), Answer::CasFailed),
        ];
        assert!(check(history).is_err());
    }

    #[test]
    fn reads_that_go_back_and_values_that_nobody_wrote_are_found() {
        let both = |second: Operation| vec![write(0, 9, 7, None, Answer::Written(1)), read(1, 2, 1, 7), second];
        assert!(check(both(read(3, 4, 0, 0))).is_err());
        assert!(check(both(read(3, 4, 1, 6))).is_err());
        assert_eq!(check(both(read(3, 4, 1, 7))), Ok(()));
    }

    /// A history as an atomic register would make it: each operation takes effect at one moment between sent and answered.
    fn atomic(calls: &[(bool, Option<bool>, u64, u64)]) -> Vec<Operation> {
        let (mut state, mut operations) = (State::default(), Vec::new());
        for (at, (is_read, cas_holds, before, after)) in calls.iter().enumerate() {
            let at = 10 * u64::try_from(at).unwrap() + 100;
            let call = if *is_read {
                Call::Read
            } else {
                let cas = cas_holds.map(|holds| if holds { state.version } else { state.version + 1 });
                Call::Write { value: at, cas }
            };
            let answer = match call {
                Call::Read => Answer::Found(state),
                Call::Write { cas: Some(cas), .. } if cas != state.version => Answer::CasFailed,
                Call::Write { .. } => Answer::Written(state.version + 1),
            };
            let operation = Operation {
                call,
                answer,
                sent: at - before,
                answered: at + after,
            };
            state = operation.step(state).unwrap();
            operations.push(operation);
        }
        operations
    }

    proptest! {
        #[test]
        fn histories_of_an_atomic_register_pass_and_a_read_of_the_past_does_not(
            calls in proptest::collection::vec((any::<bool>(), proptest::option::of(any::<bool>()), 1_u64..45, 1_u64..45), 1..60),
        ) {
            let mut history = atomic(&calls);
            prop_assert_eq!(check(history.clone()), Ok(()));
            let end = history.iter().map(|operation| operation.answered).max().unwrap() + 1;
            let last = history.iter().rev().find_map(|operation| match operation.answer {
                Answer::Written(version) => Some(version),
                _ => None,
            });
            if let Some(version) = last {
                history.push(read(end, end + 1, version - 1, 0));
                prop_assert!(check(history).is_err());
            }
        }
    }
}
