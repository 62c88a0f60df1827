//! Which moments stay when there are too many. Each is weighed by what it is (a refusal, a decision, the first
//! of its kind), by how much it set off, and by its nearness to a fault; it takes its causes along, so that
//! an arrow is not drawn without the one that led to it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Manner, Moment};
use crate::page::{Fault, Message};

/// How long after a fault or its healing all that happens is of interest.
const AFTERMATH_MS: u64 = 5_000;

pub(super) fn choose<'a>(
    moments: Vec<Moment<'a>>,
    messages: &[Message],
    faults: &[Fault],
    moments_max: usize,
) -> Vec<Moment<'a>> {
    if moments.len() <= moments_max {
        return moments;
    }
    let weights = weights(&moments, messages, faults);
    let causes = causes(&moments, messages);
    let mut order: Vec<usize> = (0..moments.len()).collect();
    order.sort_by_key(|index| (Reverse(weights[*index]), *index));
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    for index in order {
        let mut chain = BTreeSet::from([index]);
        let mut last = index;
        while let Some(cause) = causes[last] {
            if chosen.contains(&cause) || !chain.insert(cause) {
                break;
            }
            last = cause;
        }
        if chosen.len() + chain.difference(&chosen).count() <= moments_max {
            chosen.extend(chain);
        }
    }
    moments.into_iter().enumerate().filter(|(index, _)| chosen.contains(index)).map(|(_, moment)| moment).collect()
}

fn weights<'a>(moments: &[Moment<'a>], messages: &[Message], faults: &[Fault]) -> Vec<i64> {
    let effects = effects(messages);
    let marks: Vec<u64> = faults.iter().flat_map(|fault| [Some(fault.at_ms), fault.healed_ms]).flatten().collect();
    let mut kinds: BTreeSet<(&'a str, &'a str, &'a str)> = BTreeSet::new();
    let weigh = |moment: &Moment<'a>| {
        let message = moment.first;
        let of_kind = match moment.manner {
            Manner::Failure => 6,
            Manner::Event => 4,
            Manner::Request if is_read(message) => -3,
            Manner::Request => 2,
            Manner::Notice => -1,
            Manner::Reply => -4,
        };
        let set_off = moment.ids.iter().filter_map(|id| effects.get(id)).max().copied().unwrap_or(0);
        let near = marks.iter().any(|mark| message.at_ms.checked_sub(*mark).is_some_and(|after| after <= AFTERMATH_MS));
        let novel = kinds.insert((&message.from, &message.to, &message.kind));
        let begins = message.cause.is_none() && moment.manner != Manner::Reply;
        let bonuses = [(near, 3), (novel, 3), (begins, 2)];
        let bonus: i64 = bonuses.iter().filter(|(holds, _)| *holds).map(|(_, weight)| weight).sum();
        of_kind + bonus + i64::from(u64::BITS - u64::leading_zeros(set_off))
    };
    moments.iter().map(weigh).collect()
}

fn is_read(message: &Message) -> bool {
    ["GET", "LIST", "WATCH", "Range"].contains(&message.kind.as_str())
}

/// How many messages each one led to, over all steps.
fn effects(messages: &[Message]) -> BTreeMap<u64, u64> {
    let mut effects: BTreeMap<u64, u64> = BTreeMap::new();
    for message in messages.iter().rev().filter(|message| !message.noise) {
        if let Some(cause) = message.cause {
            let own = effects.get(&message.id).copied().unwrap_or(0);
            *effects.entry(cause).or_default() += own + 1;
        }
    }
    effects
}

/// For each moment the one that led to it. Causes that are no moment (noise) are stepped over.
fn causes(moments: &[Moment<'_>], messages: &[Message]) -> Vec<Option<usize>> {
    let of_message: BTreeMap<u64, usize> =
        moments.iter().enumerate().flat_map(|(index, moment)| moment.ids.iter().map(move |id| (*id, index))).collect();
    let cause_of: BTreeMap<u64, u64> =
        messages.iter().filter_map(|message| Some((message.id, message.cause?))).collect();
    let cause = |(index, moment): (usize, &Moment<'_>)| {
        let mut id = *cause_of.get(&moment.first.id)?;
        loop {
            match of_message.get(&id) {
                Some(cause) if *cause != index => return Some(*cause),
                _ => id = *cause_of.get(&id).filter(|earlier| **earlier < id)?,
            }
        }
    };
    moments.iter().enumerate().map(cause).collect()
}

#[cfg(test)]
mod tests {
    use crate::page::{Fault, Message};
    use crate::story::tell;

    fn message(id: u64, cause: Option<u64>, from: &str, to: &str, text: &str) -> Message {
        let (kind, text) = (text.into(), text.into());
        Message { id, at_ms: id * 100, from: from.into(), to: to.into(), kind, text, cause, ..Message::default() }
    }

    #[track_caller]
    fn check(messages: &[Message], faults: &[Fault], moments_max: usize, expected: &[&str]) {
        let story = tell(messages, faults, moments_max);
        let labels: Vec<String> = story.moments.iter().map(|moment| moment.label()).collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn an_arrow_brings_its_cause_along() {
        let mut messages: Vec<Message> =
            ["a", "b", "c", "d"].iter().zip(1..).map(|(text, id)| message(id, None, "x", "y", text)).collect();
        messages[3].cause = Some(2);
        messages.push(Message { fields: serde_json::json!({"code": 409}), ..message(5, Some(4), "y", "x", "409 Conflict") });
        check(&messages, &[], 3, &["b", "d", "409 Conflict"]);
    }

    #[test]
    fn what_follows_a_fault_goes_before_what_does_not() {
        let messages: Vec<Message> =
            (1..=9).zip(["a", "b", "c", "d", "e", "f", "g", "h", "i"]).map(|(id, text)| message(id, None, "x", "y", text)).collect();
        let fault = Fault { id: "f".into(), target: "y".into(), at_ms: 750, healed_ms: None };
        check(&messages, &[fault], 2, &["h", "i"]);
    }

    #[test]
    fn noise_is_not_told_but_a_cause_is_found_across_it() {
        let mut messages = vec![message(1, None, "x", "y", "a"), message(2, Some(1), "y", "y", "beat"), message(3, Some(2), "y", "z", "b")];
        messages[1].noise = true;
        check(&messages, &[], 9, &["a", "b"]);
    }
}
