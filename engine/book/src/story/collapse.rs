//! Runs of messages become moments with a count.
//!
//! Messages that repeat in turn (put, append to etcd2, append to etcd3, put, append, append, ...) are rounds of
//! one block: it is told once, each of its messages with the number of them all. Rounds begin alike, the order
//! of the rest may differ. A mark or a wait ends the run, so that moments stay in the order in which things
//! happened.

use std::collections::BTreeMap;

use super::label::label;
use super::{Moment, manner};
use crate::page::Message;

/// The longest round that is looked for.
const ROUND_MAX: usize = 16;

/// Messages further apart than this are not told as one.
const WAIT_MS: u64 = 1_000;

/// What makes two messages the same: ends, kind, and the label with its numbers left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    from: &'a str,
    to: &'a str,
    kind: &'a str,
    shape: String,
    marks_passed: usize,
}

pub(super) fn collapse<'a>(messages: &[&'a Message], marks: &[u64]) -> Vec<Moment<'a>> {
    let keys: Vec<Key<'a>> = messages.iter().map(|message| key(message, marks)).collect();
    let mut moments = Vec::new();
    let mut at = 0;
    while at < messages.len() {
        let (round, rounds) = longest_run(&keys[at..], &messages[at..]);
        let run = at..at + round * rounds;
        moments.extend(told_once(&messages[run.clone()], &keys[run.clone()]));
        at = run.end;
    }
    moments
}

fn key<'a>(message: &'a Message, marks: &[u64]) -> Key<'a> {
    Key {
        from: &message.from,
        to: &message.to,
        kind: &message.kind,
        shape: shape(&label(message)),
        marks_passed: marks.partition_point(|mark| *mark <= message.at_ms),
    }
}

/// The length of the round that begins here, and how often it comes in a row: the one that covers most.
fn longest_run(keys: &[Key<'_>], messages: &[&Message]) -> (usize, usize) {
    let mut best = (1, 1);
    for round in 1..=ROUND_MAX.min(keys.len() / 2) {
        let mut pattern: Vec<&Key<'_>> = keys[..round].iter().collect();
        pattern.sort();
        let is_next = |index: &usize| {
            let begin = index * round;
            let Some(next) = keys.get(begin..begin + round) else { return false };
            let mut next: Vec<&Key<'_>> = next.iter().collect();
            next.sort();
            keys[begin] == keys[0]
                && next == pattern
                && messages[begin].at_ms <= messages[begin - 1].at_ms + WAIT_MS
        };
        let rounds = 1 + (1..).take_while(is_next).count();
        if rounds > 1 && round * rounds > best.0 * best.1 {
            best = (round, rounds);
        }
    }
    best
}

/// The moments of a run, in the order of its first round.
fn told_once<'a>(messages: &[&'a Message], keys: &[Key<'a>]) -> Vec<Moment<'a>> {
    let mut moments: Vec<Moment<'a>> = Vec::new();
    let mut told: BTreeMap<&Key<'a>, usize> = BTreeMap::new();
    for (message, key) in messages.iter().zip(keys) {
        let label = label(message);
        if let Some(index) = told.get(key) {
            let moment = &mut moments[*index];
            moment.ids.push(message.id);
            moment.text = common(&moment.text, &message.text);
            moment.label = common(&moment.label, &label);
        } else {
            told.insert(key, moments.len());
            let (text, manner) = (message.text.clone(), manner(message));
            moments.push(Moment { first: message, ids: vec![message.id], text, label, manner });
        }
    }
    moments
}

/// The parts of a text: words, and what lies between `/` and `=` in them.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([' ', '/', '='])
}

/// The text with every part that holds a digit replaced: `put seq/17` and `put seq/18` have one shape.
fn shape(text: &str) -> String {
    parts(text).map(|part| if part.contains(|c: char| c.is_ascii_digit()) { "#" } else { part }).collect()
}

/// The parts that both texts have; `…` for each that differs.
fn common(a: &str, b: &str) -> String {
    let differing = |part: &str| match part.chars().next_back().filter(|c| [' ', '/', '='].contains(c)) {
        Some(end) => format!("…{end}"),
        None => "…".to_owned(),
    };
    parts(a).zip(parts(b)).map(|(a, b)| if a == b { a.to_owned() } else { differing(a) }).collect()
}

impl Moment<'_> {
    /// `×240`; empty for one message.
    pub fn count(&self) -> String {
        if self.ids.len() == 1 { String::new() } else { format!("×{}", self.ids.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64, from: &str, to: &str, text: &str) -> Message {
        Message {
            id,
            at_ms: id * 10,
            from: from.into(),
            to: to.into(),
            kind: "m".into(),
            text: text.into(),
            ..Message::default()
        }
    }

    #[track_caller]
    fn check(messages: &[(&str, &str, &str)], marks: &[u64], expected: &[&str]) {
        let messages: Vec<Message> =
            (1..).zip(messages).map(|(id, (from, to, text))| message(id, from, to, text)).collect();
        let moments = collapse(&messages.iter().collect::<Vec<_>>(), marks);
        let told = |moment: &Moment<'_>| format!("{} {}", moment.label, moment.count()).trim_end().to_owned();
        let labels: Vec<String> = moments.iter().map(told).collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_repeated_message_is_told_once_with_its_count() {
        check(&[("a", "b", "put"), ("a", "b", "put"), ("a", "b", "put")], &[], &["put ×3"]);
    }

    #[test]
    fn rounds_of_messages_are_told_as_one() {
        let round = [("w", "e1", "put seq/1"), ("e1", "e2", "append"), ("e1", "e3", "append")];
        let next = [("w", "e1", "put seq/2"), ("e1", "e3", "append"), ("e1", "e2", "append")];
        check(&[round, next].concat(), &[], &["put seq/… ×2", "append ×2", "append ×2"]);
    }

    #[test]
    fn rounds_begin_alike() {
        let (plan, bind) = (("s", "s", "plan"), ("s", "a", "bind"));
        check(&[plan, bind, plan, plan, bind, bind], &[], &["plan", "bind", "plan ×2", "bind ×2"]);
    }

    #[test]
    fn a_message_that_comes_again_later_is_told_again() {
        check(
            &[("a", "b", "put"), ("a", "b", "put"), ("b", "c", "vote"), ("a", "b", "put")],
            &[],
            &["put ×2", "vote", "put"],
        );
    }

    #[test]
    fn a_mark_parts_what_came_before_from_what_came_after() {
        check(&[("a", "b", "put"), ("a", "b", "put"), ("a", "b", "put")], &[25], &["put ×2", "put"]);
    }
}
