//! Runs of messages become moments with a count.
//!
//! Messages that repeat in turn (put, append to etcd2, append to etcd3, put, append, append, ...) form one
//! stretch: a moment for each, counted. A message that the stretch has not seen, once it repeats, or a fault,
//! begins the next stretch, so that moments stay in the order in which things happened.

use std::collections::BTreeMap;

use super::{Moment, manner};
use crate::page::{Fault, Message};

/// What makes two messages the same: ends, kind, and the text with its numbers left out.
type Key<'a> = (&'a str, &'a str, &'a str, String);

pub(super) fn collapse<'a>(messages: &[&'a Message], faults: &[Fault]) -> Vec<Moment<'a>> {
    let mut moments: Vec<Moment<'a>> = Vec::new();
    let mut stretch: BTreeMap<Key<'a>, usize> = BTreeMap::new();
    let mut repeats = false;
    let mut era = 0;
    for message in messages {
        let key = (message.from.as_str(), message.to.as_str(), message.kind.as_str(), shape(&message.text));
        let now = faults_until(faults, message.at_ms);
        if now != era || (repeats && !stretch.contains_key(&key)) {
            stretch.clear();
            repeats = false;
            era = now;
        }
        if let Some(moment) = stretch.get(&key).map(|index| &mut moments[*index]) {
            moment.ids.push(message.id);
            moment.text = common(&moment.text, &message.text);
            repeats = true;
        } else {
            stretch.insert(key, moments.len());
            moments.push(moment(message));
        }
    }
    moments
}

fn moment(message: &Message) -> Moment<'_> {
    let text = if message.text.is_empty() { &message.kind } else { &message.text };
    Moment { first: message, ids: vec![message.id], text: text.clone(), manner: manner(message) }
}

/// How many faults and heals lie before `at_ms`.
fn faults_until(faults: &[Fault], at_ms: u64) -> usize {
    let begun = faults.iter().filter(|fault| fault.at_ms <= at_ms).count();
    begun + faults.iter().filter(|fault| fault.healed_ms.is_some_and(|healed| healed <= at_ms)).count()
}

/// The text with every word that holds a digit replaced: `put seq 17` and `put seq 18` have one shape.
fn shape(text: &str) -> String {
    let words = text.split(' ').map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// The words that both texts have; `…` for each that differs.
fn common(a: &str, b: &str) -> String {
    if a == b {
        return a.to_owned();
    }
    a.split(' ').zip(b.split(' ')).map(|(a, b)| if a == b { a } else { "…" }).collect::<Vec<_>>().join(" ")
}

impl Moment<'_> {
    /// `put seq … ×240`.
    pub fn label(&self) -> String {
        if self.ids.len() == 1 { self.text.clone() } else { format!("{} ×{}", self.text, self.ids.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64, from: &str, to: &str, text: &str) -> Message {
        Message { id, at_ms: id * 10, from: from.into(), to: to.into(), kind: "m".into(), text: text.into(), ..Message::default() }
    }

    #[track_caller]
    fn check(messages: &[(&str, &str, &str)], faults: &[Fault], expected: &[&str]) {
        let messages: Vec<Message> =
            (1..).zip(messages).map(|(id, (from, to, text))| message(id, from, to, text)).collect();
        let moments = collapse(&messages.iter().collect::<Vec<_>>(), faults);
        let labels: Vec<String> = moments.iter().map(Moment::label).collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_repeated_message_is_told_once_with_its_count() {
        check(&[("a", "b", "put"), ("a", "b", "put"), ("a", "b", "put")], &[], &["put ×3"]);
    }

    #[test]
    fn messages_that_repeat_in_turn_form_one_stretch() {
        let round = [("w", "e1", "put seq 1"), ("e1", "e2", "append"), ("e1", "e3", "append")];
        let next = [("w", "e1", "put seq 2"), ("e1", "e2", "append"), ("e1", "e3", "append")];
        check(&[round, next].concat(), &[], &["put seq … ×2", "append ×2", "append ×2"]);
    }

    #[test]
    fn a_new_message_after_repeats_begins_the_next_stretch() {
        check(&[("a", "b", "put"), ("a", "b", "put"), ("b", "c", "vote"), ("a", "b", "put")], &[], &["put ×2", "vote", "put"]);
    }

    #[test]
    fn a_fault_parts_what_came_before_from_what_came_after() {
        let fault = Fault { id: "f".into(), target: "b".into(), at_ms: 25, healed_ms: None };
        check(&[("a", "b", "put"), ("a", "b", "put"), ("a", "b", "put")], &[fault], &["put ×2", "put"]);
    }
}
