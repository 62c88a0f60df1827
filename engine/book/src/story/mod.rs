//! A run's messages as a story short enough to read: noise left out, repeated messages collapsed, and of the
//! rest what matters most, found through the causes.
//!
//! - `collapse`: runs of messages become moments with a count.
//! - `choose`: which moments stay when there are too many.

mod choose;
mod collapse;

use crate::page::{Fault, Message};

/// Messages of one kind between the same two, told once.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    /// The earliest of them.
    pub first: &'a Message,
    /// All of them, by id.
    pub ids: Vec<u64>,
    /// One text for all; what differs between them is `…`.
    pub text: String,
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

/// Tells a run in at most `moments_max` moments.
pub fn tell<'a>(messages: &'a [Message], faults: &[Fault], moments_max: usize) -> Story<'a> {
    let of_interest: Vec<&Message> = messages.iter().filter(|message| !message.noise).collect();
    let moments = collapse::collapse(&of_interest, faults);
    let moments = choose::choose(moments, messages, faults, moments_max);
    let told = moments.iter().map(|moment| moment.ids.len()).sum();
    Story { moments, told, messages: of_interest.len() }
}

/// How a message is drawn, from what its sender recorded.
fn manner(message: &Message) -> Manner {
    if message.from == message.to {
        return Manner::Event;
    }
    let code = message.fields.get("code").and_then(serde_json::Value::as_u64);
    let failed = |name: &str| message.fields.get(name).is_some_and(|field| field.as_bool() == Some(true));
    let lost = failed("lost") || failed("dropped") || message.fields.get("error").is_some_and(|error| !error.is_null());
    match code {
        _ if lost => Manner::Failure,
        Some(code) if code >= 400 => Manner::Failure,
        Some(_) => Manner::Reply,
        None if message.kind.ends_with("Response") || message.kind.ends_with("Reply") => Manner::Reply,
        None if ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"].contains(&message.kind.as_str()) => Manner::Notice,
        None => Manner::Request,
    }
}
