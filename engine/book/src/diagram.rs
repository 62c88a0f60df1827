//! A story as a mermaid sequence diagram: components from left to right as a request travels, faults as notes
//! with the time under a fault shaded, long waits as dividers.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;

use crate::page::{Act, Fault, RunPage};
use crate::story::{Length, Manner, Moment, Story, tell};
use crate::words::Words;

/// More arrows than this do not fit a page; the last tiers are machinery.
const LENGTH: Length = Length { moments_max: 40, tier_max: 3 };

/// A wait this long is worth a divider.
const WAIT_MS: u64 = 1_000;

/// A longer label makes the diagram too wide to read.
const LABEL_MAX: usize = 64;

/// The diagram, and how much of the run it tells.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagram {
    /// The text that mermaid draws.
    pub mermaid: String,
    pub told: usize,
    pub messages: usize,
}

/// Draws a run.
pub fn draw(run: &RunPage, words: &Words) -> Diagram {
    let story = tell(run, LENGTH);
    let participants = participants(&story, &run.faults);
    let text = "sequenceDiagram\n".to_owned();
    let mut drawing = Drawing { participants, words, text, active: 0, is_shaded: false, told_ms: None };
    for index in 0..drawing.participants.len() {
        let name = escape(&drawing.participants[index]);
        writeln!(drawing.text, "  participant p{index} as {name}").expect("a String takes all");
    }
    let mut marks = marks(run).into_iter().peekable();
    for moment in &story.moments {
        while let Some(mark) = marks.next_if(|mark| mark.at_ms <= moment.first.at_ms) {
            drawing.mark(&mark);
        }
        drawing.moment(moment);
    }
    marks.for_each(|mark| drawing.mark(&mark));
    drawing.end_shade();
    Diagram { mermaid: drawing.text, told: story.told, messages: story.messages }
}

/// What is noted between the arrows.
struct Mark<'a> {
    at_ms: u64,
    what: What<'a>,
}

enum What<'a> {
    Strikes(&'a Fault),
    Heals(&'a Fault),
    Done(&'a Act),
}

fn marks(run: &RunPage) -> Vec<Mark<'_>> {
    let struck = run.faults.iter().map(|fault| Mark { at_ms: fault.at_ms, what: What::Strikes(fault) });
    let healed = run
        .faults
        .iter()
        .filter_map(|fault| Some(Mark { at_ms: fault.healed_ms?, what: What::Heals(fault) }));
    let done = run.acts.iter().map(|act| Mark { at_ms: act.at_ms, what: What::Done(act) });
    let mut marks: Vec<Mark<'_>> = struck.chain(healed).chain(done).collect();
    marks.sort_by_key(|mark| mark.at_ms);
    marks
}

struct Drawing<'a> {
    participants: Vec<String>,
    words: &'a Words,
    text: String,
    /// Faults that are not healed yet; the time under them is one shaded stretch.
    active: usize,
    /// Whether that stretch has begun. Mermaid draws nothing right behind an empty one, so it begins with what
    /// it holds.
    is_shaded: bool,
    /// The time of the last line that was drawn.
    told_ms: Option<u64>,
}

impl Drawing<'_> {
    fn line(&mut self, line: &str) {
        if self.active > 0 && !self.is_shaded {
            self.is_shaded = true;
            self.text.push_str("  rect rgba(216, 67, 21, 0.09)\n");
        }
        writeln!(self.text, "  {line}").expect("a String takes all");
    }

    fn end_shade(&mut self) {
        if std::mem::take(&mut self.is_shaded) {
            self.text.push_str("  end\n");
        }
    }

    fn index(&self, name: &str) -> usize {
        let lane = lane(name);
        let index = self.participants.iter().position(|participant| *participant == lane);
        index.expect("every end of an arrow takes part")
    }

    fn moment(&mut self, moment: &Moment<'_>) {
        self.pass_time(moment.first.at_ms);
        let from = self.index(&moment.first.from);
        let to = self.index(&moment.first.to);
        let label = escape(&shortened(&moment.label, &moment.count()));
        match moment.manner {
            Manner::Event => self.line(&format!("Note over p{from}: {label}")),
            _ if from == to => self.line(&format!("Note over p{from}: {label}")),
            Manner::Request => self.line(&format!("p{from}->>p{to}: {label}")),
            Manner::Reply => self.line(&format!("p{from}-->>p{to}: {label}")),
            Manner::Failure => self.line(&format!("p{from}--xp{to}: {label}")),
            Manner::Notice => self.line(&format!("p{from}--)p{to}: {label}")),
        }
    }

    fn mark(&mut self, mark: &Mark<'_>) {
        match mark.what {
            What::Strikes(fault) => {
                self.told_ms = Some(mark.at_ms);
                self.note(fault, "⚡");
                self.active += 1;
            }
            What::Heals(fault) => {
                self.told_ms = Some(mark.at_ms);
                self.active -= 1;
                if self.active == 0 {
                    self.end_shade();
                }
                let healed = self.words.get("healed");
                self.note(fault, &format!("✚ {healed}:"));
            }
            What::Done(act) => {
                self.told_ms = Some(act.at_ms);
                let mut text =
                    escape(&shortened(&format!("t = {}: $ {}", self.words.span(act.at_ms), act.command), ""));
                if let Some(error) = &act.error {
                    text = format!("{text}<br/>{}", escape(&shortened(error, "")));
                }
                let all = self.all();
                self.line(&format!("Note over {all}: {text}"));
            }
        }
    }

    /// The note of a fault, over its target, with the time.
    fn note(&mut self, fault: &Fault, sign: &str) {
        let time = self.told_ms.unwrap_or(0);
        let text = escape(&format!("{} ({}), t = {}", fault.id, fault.target, self.words.span(time)));
        let place = self.place(&fault.target);
        self.line(&format!("Note over {place}: {sign} {text}"));
    }

    /// A divider where nothing was told for long.
    fn pass_time(&mut self, at_ms: u64) {
        if at_ms >= self.told_ms.unwrap_or(0) + WAIT_MS {
            let time = escape(&self.words.span(at_ms));
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

/// A machine and its kubelet stand in one lane: what they say to each other is a note there.
fn lane(name: &str) -> String {
    name.strip_prefix("node/").map_or_else(|| name.to_owned(), |machine| format!("kubelet/{machine}"))
}

fn participants(story: &Story<'_>, faults: &[Fault]) -> Vec<String> {
    let ends = story.moments.iter().flat_map(|moment| [lane(&moment.first.from), lane(&moment.first.to)]);
    let mut names: BTreeSet<String> = ends.collect();
    for fault in faults {
        let lone = fault.target.strip_prefix("etcd/").unwrap_or(&fault.target);
        let is_link = lone.contains(['|', ',']);
        if !is_link && !names.iter().any(|name| is_target(name, &fault.target)) {
            names.insert(lane(lone));
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

fn shortened(label: &str, count: &str) -> String {
    let text = if label.chars().count() <= LABEL_MAX {
        label.to_owned()
    } else {
        let kept: String = label.chars().take(LABEL_MAX - 1).collect();
        format!("{}…", kept.trim_end())
    };
    format!("{text} {count}").trim_end().to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Language;

    /// What stands between the faults' notes and the shade of a fault that strikes and is healed at these times.
    #[track_caller]
    fn check(at_ms: u64, healed_ms: Option<u64>, shades: usize) {
        let mut run = crate::sample::lab(Language::En).run.unwrap();
        (run.faults[0].at_ms, run.faults[0].healed_ms) = (at_ms, healed_ms);
        let lines = draw(&run, &Words(Language::En)).mermaid;
        let lines: Vec<&str> = lines.lines().map(str::trim).collect();
        let is_shade = |line: &str| line.starts_with("rect ");
        assert_eq!(lines.iter().filter(|line| is_shade(line)).count(), shades, "{lines:#?}");
        assert_eq!(lines.iter().filter(|line| **line == "end").count(), shades, "{lines:#?}");
        assert!(!lines.windows(2).any(|pair| is_shade(pair[0]) && pair[1] == "end"), "{lines:#?}");
    }

    #[test]
    fn a_fault_under_which_nothing_happened_has_no_shade() {
        check(3_000, Some(9_000), 1);
        check(3_000, None, 1);
        check(3_000, Some(3_001), 0);
        check(60_000, None, 0);
    }
}
