//! A run's timeline as rows of a table that a reader can filter.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::page::RunPage;
use crate::story::{Length, Manner, tell};
use crate::words::Words;

/// More rows than this make a page slow; the report has the whole timeline.
const LENGTH: Length = Length { moments_max: 400, tier_max: 6 };

/// The table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    pub rows: Vec<Row>,
    /// Everyone who takes part, for the filter.
    pub components: Vec<String>,
    pub told: usize,
    pub messages: usize,
}

/// A message, or a run of the same ones.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub id: u64,
    pub time: String,
    pub from: String,
    /// Empty for an event at one component.
    pub to: String,
    pub kind: String,
    pub text: String,
    /// `×3`; empty for one message.
    pub count: String,
    pub failure: bool,
    /// The row that led to this one.
    pub cause: Option<u64>,
}

/// Makes the table of a run.
pub fn timeline(run: &RunPage, words: Words) -> Timeline {
    let story = tell(run, LENGTH);
    let row_of: BTreeMap<u64, u64> =
        story.moments.iter().flat_map(|moment| moment.ids.iter().map(|id| (*id, moment.first.id))).collect();
    let rows: Vec<Row> = story
        .moments
        .iter()
        .map(|moment| Row {
            id: moment.first.id,
            time: words.span(moment.first.at_ms),
            from: moment.first.from.clone(),
            to: if moment.manner == Manner::Event { String::new() } else { moment.first.to.clone() },
            kind: moment.first.kind.clone(),
            text: moment.text.clone(),
            count: moment.count(),
            failure: moment.manner == Manner::Failure,
            cause: moment
                .first
                .cause
                .and_then(|cause| row_of.get(&cause).copied())
                .filter(|row| *row != moment.first.id),
        })
        .collect();
    let components: BTreeSet<&str> = story
        .moments
        .iter()
        .flat_map(|moment| [moment.first.from.as_str(), moment.first.to.as_str()])
        .collect();
    let components = components.into_iter().map(str::to_owned).collect();
    Timeline { rows, components, told: story.told, messages: story.messages }
}
