//! A story as a mermaid sequence diagram: components from left to right as a request travels, faults as notes
//! with the time under a fault shaded, long waits as dividers.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;

use crate::page::Fault;
use crate::story::{Manner, Moment, Story};
use crate::words::{Words, span};

/// More arrows than this do not fit a page.
pub const ARROWS_MAX: usize = 40;

/// A wait this long is worth a divider.
const WAIT_MS: u64 = 1_000;

/// A longer label makes the diagram too wide to read.
const LABEL_MAX: usize = 56;

/// The diagram, and how much of the run it tells.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagram {
    /// The text that mermaid draws.
    pub mermaid: String,
    pub told: usize,
    pub messages: usize,
}

/// Draws a story.
pub fn draw(story: &Story<'_>, faults: &[Fault], words: &Words) -> Diagram {
    let participants = participants(story, faults);
    let mut drawing = Drawing { participants, words, text: "sequenceDiagram\n".to_owned(), active: 0, told_ms: None };
    for index in 0..drawing.participants.len() {
        let name = escape(&drawing.participants[index]);
        writeln!(drawing.text, "  participant p{index} as {name}").expect("a String takes all");
    }
    let mut marks = marks(faults).into_iter().peekable();
    for moment in &story.moments {
        while let Some(mark) = marks.next_if(|mark| mark.at_ms <= moment.first.at_ms) {
            drawing.mark(&mark);
        }
        drawing.moment(moment);
    }
    marks.for_each(|mark| drawing.mark(&mark));
    if drawing.active > 0 {
        drawing.text.push_str("  end\n");
    }
    Diagram { mermaid: drawing.text, told: story.told, messages: story.messages }
}

/// A fault's beginning, or its healing.
struct Mark<'a> {
    at_ms: u64,
    fault: &'a Fault,
    heals: bool,
}

fn marks(faults: &[Fault]) -> Vec<Mark<'_>> {
    let begun = faults.iter().map(|fault| Mark { at_ms: fault.at_ms, fault, heals: false });
    let healed =
        faults.iter().filter_map(|fault| Some(Mark { at_ms: fault.healed_ms?, fault, heals: true }));
    let mut marks: Vec<Mark<'_>> = begun.chain(healed).collect();
    marks.sort_by_key(|mark| mark.at_ms);
    marks
}

struct Drawing<'a> {
    participants: Vec<String>,
    words: &'a Words,
    text: String,
    /// Faults that are not healed yet; the time under them is one shaded stretch.
    active: usize,
    /// The time of the last line that was drawn.
    told_ms: Option<u64>,
}

impl Drawing<'_> {
    fn line(&mut self, line: &str) {
        writeln!(self.text, "  {line}").expect("a String takes all");
    }

    fn index(&self, name: &str) -> usize {
        self.participants.iter().position(|participant| participant == name).expect("every end of an arrow takes part")
    }

    fn moment(&mut self, moment: &Moment<'_>) {
        self.pass_time(moment.first.at_ms);
        let from = self.index(&moment.first.from);
        let to = self.index(&moment.first.to);
        let label = escape(&shortened(&moment.label()));
        match moment.manner {
            Manner::Event => self.line(&format!("Note over p{from}: {label}")),
            Manner::Request => self.line(&format!("p{from}->>p{to}: {label}")),
            Manner::Reply => self.line(&format!("p{from}-->>p{to}: {label}")),
            Manner::Failure => self.line(&format!("p{from}--xp{to}: {label}")),
            Manner::Notice => self.line(&format!("p{from}--)p{to}: {label}")),
        }
    }

    fn mark(&mut self, mark: &Mark<'_>) {
        self.told_ms = Some(mark.at_ms);
        let over = self.place(&mark.fault.target);
        let fault = escape(&format!("{} ({}), t = {}", mark.fault.id, mark.fault.target, span(mark.at_ms)));
        if mark.heals {
            self.active -= 1;
            if self.active == 0 {
                self.line("end");
            }
            let healed = self.words.get("healed");
            self.line(&format!("Note over {over}: ✚ {healed}: {fault}"));
        } else {
            self.line(&format!("Note over {over}: ⚡ {fault}"));
            if self.active == 0 {
                self.line("rect rgba(216, 67, 21, 0.09)");
            }
            self.active += 1;
        }
    }

    /// A divider where nothing was told for long.
    fn pass_time(&mut self, at_ms: u64) {
        if at_ms >= self.told_ms.unwrap_or(0) + WAIT_MS {
            let time = escape(&span(at_ms));
            let all = self.all();
            self.line(&format!("Note over {all}: t = {time}"));
        }
        self.told_ms = Some(at_ms);
    }

    fn all(&self) -> String {
        match self.participants.len() {
            1 => "p0".to_owned(),
            count => format!("p0,p{}", count - 1),
        }
    }

    /// Where a fault's note stands: over its target, or over all when the target takes no part (a link).
    fn place(&self, target: &str) -> String {
        match self.participants.iter().position(|participant| is_target(participant, target)) {
            Some(index) => format!("p{index}"),
            None => self.all(),
        }
    }
}

/// `etcd/etcd2` names the component `etcd2`, `scheduler` names `scheduler/0`, `node/worker2` also its kubelet.
fn is_target(participant: &str, target: &str) -> bool {
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let whole_machine = target.starts_with("node/") && last(participant) == last(target);
    participant == target
        || whole_machine
        || target.strip_prefix("etcd/") == Some(participant)
        || participant.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'))
}

fn participants(story: &Story<'_>, faults: &[Fault]) -> Vec<String> {
    let ends = story.moments.iter().flat_map(|moment| [moment.first.from.clone(), moment.first.to.clone()]);
    let mut names: BTreeSet<String> = ends.collect();
    for fault in faults {
        let lone = fault.target.strip_prefix("etcd/").unwrap_or(&fault.target);
        let is_link = lone.contains(['|', ',']);
        if !is_link && !names.iter().any(|name| is_target(name, &fault.target)) {
            names.insert(lone.to_owned());
        }
    }
    if names.is_empty() {
        names.insert("-".to_owned());
    }
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_by_key(|name| (rank(name), name.clone()));
    names
}

/// From left to right: who asks, the API server, the store, the brains, the machines.
fn rank(name: &str) -> usize {
    let prefixes: [&[&str]; 5] = [
        &["apiServer"],
        &["etcd"],
        &["controllerManager"],
        &["scheduler"],
        &["kubelet", "node", "kubeProxy", "dns"],
    ];
    let is_client = name.starts_with("etcdctl");
    let rank = prefixes.iter().position(|of_rank| of_rank.iter().any(|prefix| name.starts_with(prefix)));
    if is_client { 0 } else { rank.map_or(0, |rank| rank + 1) }
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL_MAX {
        return label.to_owned();
    }
    let (text, count) = match label.rsplit_once(" ×") {
        Some((text, count)) => (text, format!(" ×{count}")),
        None => (label, String::new()),
    };
    let kept: String = text.chars().take(LABEL_MAX.saturating_sub(1 + count.chars().count())).collect();
    format!("{}…{count}", kept.trim_end())
}

/// Mermaid ends a statement at `;`, begins an entity at `#`, and takes `<` for HTML and `end` for a keyword.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ';' | '#' | '<' | '>' | '&' | '%' | '{' | '}' | '\\' => {
                write!(escaped, "#{};", u32::from(c)).expect("a String takes all");
            }
            '\n' | '\r' | '\t' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped.split(' ').map(|word| if word == "end" { "#101;nd" } else { word }).collect::<Vec<_>>().join(" ")
}
