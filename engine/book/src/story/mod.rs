//! A run's messages as a story short enough to read: what matters, repeated messages collapsed.
//!
//! - `tier`: how much each message matters, from what it is and what led to it.
//! - `collapse`: runs of the same message become moments with a count.
//! - `label`: a message in few words.

mod collapse;
mod label;
mod tier;

use crate::page::{Message, RunPage};

/// Messages of one kind between the same two, told once.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    /// The earliest of them.
    pub first: &'a Message,
    /// All of them, by id.
    pub ids: Vec<u64>,
    /// The line for people; what differs between them is `…`.
    pub text: String,
    /// The same in fewer words, for an arrow.
    pub label: String,
    pub manner: Manner,
}

/// How a message is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Request,
    Reply,
    /// An answer that says no, or a message that was lost.
    Failure,
    /// A watch event: nobody waits for it.
    Notice,
    /// At one component.
    Event,
}

/// A story: what is told, of how much.
#[derive(Debug)]
pub struct Story<'a> {
    /// In order of time.
    pub moments: Vec<Moment<'a>>,
    /// Messages that are told, within moments.
    pub told: usize,
    /// Messages of the run that are no noise.
    pub messages: usize,
}

/// How much is told.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    pub moments_max: usize,
    /// Messages of a later tier are left out even where they would fit.
    pub tier_max: u8,
}

/// Tells a run. Tiers are told whole, so that like things are not told by halves: as many as fit.
pub fn tell(run: &RunPage, length: Length) -> Story<'_> {
    let of_interest: Vec<&Message> = run.messages.iter().filter(|message| !message.noise).collect();
    let marks = marks(run);
    let tiers = tier::tiers(run, &marks);
    let with = |tier: u8| {
        let told: Vec<&Message> = of_interest
            .iter()
            .copied()
            .filter(|message| tiers.get(&message.id).is_some_and(|of| *of <= tier))
            .collect();
        collapse::collapse(&told, &marks)
    };
    let mut moments = with(0);
    for tier in 1..=length.tier_max {
        let more = with(tier);
        if more.len() > length.moments_max {
            break;
        }
        moments = more;
    }
    moments.truncate(length.moments_max);
    let told = moments.iter().map(|moment| moment.ids.len()).sum();
    Story { moments, told, messages: of_interest.len() + run.left_out }
}

/// The times at which something was done to the cluster: faults, heals, stops, starts.
fn marks(run: &RunPage) -> Vec<u64> {
    let faults = run.faults.iter().flat_map(|fault| [Some(fault.at_ms), fault.healed_ms]).flatten();
    let mut marks: Vec<u64> = faults.chain(run.acts.iter().map(|act| act.at_ms)).collect();
    marks.sort_unstable();
    marks
}

/// How a message is drawn, from what its sender recorded.
fn manner(message: &Message) -> Manner {
    if message.from == message.to {
        return Manner::Event;
    }
    let lost = message.fields.get("error").is_some_and(|error| !error.is_null());
    match message.fields.get("code").and_then(serde_json::Value::as_u64) {
        _ if lost => Manner::Failure,
        Some(code) if code >= 400 => Manner::Failure,
        Some(_) => Manner::Reply,
        None if message.kind.ends_with("Response") => Manner::Reply,
        None if ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"].contains(&message.kind.as_str()) => {
            Manner::Notice
        }
        None => Manner::Request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_story_that_is_too_long_leaves_whole_tiers_out() {
        let run = sample::lab(crate::page::Language::En).run.unwrap();
        let labels = |moments_max| {
            let story = tell(&run, Length { moments_max, tier_max: 3 });
            story.moments.iter().map(|moment| moment.label.clone()).collect::<Vec<_>>()
        };
        assert_eq!(labels(40).len(), 7);
        assert_eq!(labels(6), ["Put seq", "Vote term=2; #1", "BecomeLeader term=2", "Put seq"]);
    }
}
