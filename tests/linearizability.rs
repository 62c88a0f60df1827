//! Whether a history of calls could have happened one after the other, each at an instant between its beginning
//! and its end: the search of Wing and Gong with Lowe's memory of states that were tried. A key is a register of
//! its own, so histories are judged key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What was asked of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    Put(u64),
    Delete,
    Get,
    /// Puts `to` if the value is `from`; `None` is "no such key".
    Swap {
        from: Option<u64>,
        to: u64,
    },
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Read(Option<u64>),
    Swapped(bool),
    /// Nothing came back: it may be done at any later time, or never.
    Unknown,
}

/// One call of a client. Times are since the world began.
#[derive(Debug, Clone)]
pub struct Call {
    pub key: String,
    pub began: Duration,
    pub ended: Duration,
    pub operation: Operation,
    pub outcome: Outcome,
}

/// How many states the search tries for one key before it gives up.
const STATES_MAX: usize = 2_000_000;

/// Checks every key. The error has the calls of a key that no order explains.
///
/// # Panics
/// When a key's history is too hard to decide.
pub fn check(history: &[Call]) -> Result<(), Vec<Call>> {
    let mut keys: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in history {
        // A read that failed tells nothing.
        if !(call.operation == Operation::Get && call.outcome == Outcome::Unknown) {
            keys.entry(&call.key).or_default().push(call);
        }
    }
    for calls in keys.values_mut() {
        calls.sort_by_key(|call| call.began);
        if !Search::new(calls).succeeds() {
            return Err(calls.iter().map(|call| (*call).clone()).collect());
        }
    }
    Ok(())
}

/// One key's search. Calls are known by their index in the order of their beginnings.
struct Search<'a> {
    calls: &'a [&'a Call],
    placed: Vec<u64>,
    /// Which calls were placed, in this order, and the value before each.
    order: Vec<(usize, Option<u64>)>,
    value: Option<u64>,
    tried: BTreeSet<(Vec<u64>, Option<u64>)>,
}

impl<'a> Search<'a> {
    fn new(calls: &'a [&'a Call]) -> Search<'a> {
        let placed = vec![0; calls.len().div_ceil(64)];
        Search { calls, placed, order: Vec::new(), value: None, tried: BTreeSet::new() }
    }

    fn succeeds(&mut self) -> bool {
        let mut from = 0;
        loop {
            if self.all_answered_are_placed() {
                return true;
            }
            match self.next_fitting(from) {
                Some((index, after)) => {
                    self.order.push((index, self.value));
                    self.flip(index);
                    self.value = after;
                    from = 0;
                }
                None => {
                    let Some((index, before)) = self.order.pop() else { return false };
                    self.flip(index);
                    self.value = before;
                    from = index + 1;
                }
            }
        }
    }

    fn all_answered_are_placed(&self) -> bool {
        (0..self.calls.len()).all(|index| self.is_placed(index) || !self.is_answered(index))
    }

    /// The first call from `from` on that may come next and leads to a state that was not tried yet, and the
    /// value after it.
    fn next_fitting(&mut self, from: usize) -> Option<(usize, Option<u64>)> {
        let open = (0..self.calls.len()).filter(|index| !self.is_placed(*index));
        // What ended before another began comes before it.
        let deadline =
            open.filter(|index| self.is_answered(*index)).map(|index| self.calls[index].ended).min()?;
        let began_by = |index: &usize| self.calls[*index].began <= deadline;
        let candidates: Vec<usize> =
            (from..self.calls.len()).take_while(began_by).filter(|index| !self.is_placed(*index)).collect();
        for index in candidates {
            let Some(after) = step(self.calls[index], self.value) else { continue };
            self.flip(index);
            let is_new = self.tried.insert((self.placed.clone(), after));
            self.flip(index);
            assert!(self.tried.len() < STATES_MAX, "undecided after {STATES_MAX} states: {:?}", self.calls);
            if is_new {
                return Some((index, after));
            }
        }
        None
    }

    fn is_answered(&self, index: usize) -> bool {
        self.calls[index].outcome != Outcome::Unknown
    }

    fn is_placed(&self, index: usize) -> bool {
        self.placed[index / 64] >> (index % 64) & 1 == 1
    }

    fn flip(&mut self, index: usize) {
        self.placed[index / 64] ^= 1 << (index % 64);
    }
}

/// The value after a call on `value`, if that could have been its outcome.
fn step(call: &Call, value: Option<u64>) -> Option<Option<u64>> {
    match (&call.operation, &call.outcome) {
        (Operation::Put(to), _) => Some(Some(*to)),
        (Operation::Delete, _) => Some(None),
        (Operation::Get, Outcome::Read(read)) => (*read == value).then_some(value),
        (Operation::Get, _) => None,
        (Operation::Swap { from, to }, outcome) => {
            let swaps = *from == value;
            let fits = match outcome {
                Outcome::Swapped(swapped) => *swapped == swaps,
                _ => true,
            };
            fits.then_some(if swaps { Some(*to) } else { value })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(began: u64, ended: u64, operation: Operation, outcome: Outcome) -> Call {
        let millis = Duration::from_millis;
        Call { key: "k".to_owned(), began: millis(began), ended: millis(ended), operation, outcome }
    }

    #[track_caller]
    fn holds(calls: &[Call], expected: bool) {
        assert_eq!(check(calls).is_ok(), expected);
    }

    #[test]
    fn a_read_sees_the_last_write_that_ended_before_it() {
        let put = |began, ended, value| call(began, ended, Operation::Put(value), Outcome::Done);
        let get = |began, ended, value| call(began, ended, Operation::Get, Outcome::Read(value));
        holds(&[put(0, 1, 1), get(2, 3, Some(1))], true);
        holds(&[put(0, 1, 1), get(2, 3, None)], false);
        holds(&[put(0, 1, 1), put(2, 3, 2), get(4, 5, Some(1))], false);
        // While a write is under way, either value may be read, but not the new one and then the old one.
        holds(&[put(0, 1, 1), put(2, 9, 2), get(3, 4, Some(1)), get(5, 6, Some(2))], true);
        holds(&[put(0, 1, 1), put(2, 9, 2), get(3, 4, Some(2)), get(5, 6, Some(1))], false);
    }

    #[test]
    fn an_unknown_write_may_happen_late_or_never_but_not_twice() {
        let unknown = call(0, 1, Operation::Put(7), Outcome::Unknown);
        let put = call(2, 3, Operation::Put(1), Outcome::Done);
        let get = |began, value| call(began, began + 1, Operation::Get, Outcome::Read(Some(value)));
        holds(&[unknown.clone(), put.clone(), get(4, 1)], true);
        holds(&[unknown.clone(), put.clone(), get(4, 1), get(6, 7)], true);
        holds(&[unknown.clone(), put.clone(), get(4, 7), get(6, 1)], false);
        let again = call(8, 9, Operation::Put(2), Outcome::Done);
        holds(&[unknown, put, get(4, 7), again, get(10, 7)], false);
    }

    #[test]
    fn of_two_swaps_from_one_value_only_one_succeeds() {
        let swap = |to, swapped| call(2, 5, Operation::Swap { from: Some(1), to }, Outcome::Swapped(swapped));
        let put = call(0, 1, Operation::Put(1), Outcome::Done);
        holds(&[put.clone(), swap(2, true), swap(3, false)], true);
        holds(&[put.clone(), swap(2, true), swap(3, true)], false);
        let deleted = call(6, 7, Operation::Delete, Outcome::Done);
        let gone = call(8, 9, Operation::Get, Outcome::Read(None));
        holds(&[put, swap(2, true), deleted, gone], true);
    }
}
