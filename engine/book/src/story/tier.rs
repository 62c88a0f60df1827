//! How much a message matters to the story of its run, as a tier: 0 must be told, [`LAST`] is machinery.
//!
//! The causes tell what a person's action set off. A component that finds the same objects when it lists what
//! there is, as after its restart, goes on with that story. What components do otherwise is routine, unless it
//! speaks of what a fault has hit.

use std::collections::{BTreeMap, BTreeSet};

use super::{Manner, manner};
use crate::page::{Message, RunPage};

/// Machinery: told only where there is room for everything.
pub const LAST: u8 = 6;

/// How long after a mark what etcd does by itself is news.
const AFTERMATH_MS: u64 = 60_000;

/// Everything that the tiers depend on.
struct Plot<'a> {
    marks: &'a [u64],
    /// When a person, or a load, first did something: what comes before is the boot.
    begins: u64,
    /// Messages that a person's action led to, or that go on with it.
    set_off: BTreeSet<u64>,
    /// Messages about the record of events, and what these led to.
    about_events: BTreeSet<u64>,
    /// The last part of each fault's target: `worker2`.
    hit: BTreeSet<&'a str>,
    /// There is an API server: etcd works beneath it.
    has_api: bool,
}

/// The tier of every message that is no noise, by id.
pub(super) fn tiers(run: &RunPage, marks: &[u64]) -> BTreeMap<u64, u8> {
    let plot = plot(run, marks);
    let told = || run.messages.iter().filter(|message| !message.noise && !is_host(message));
    let mut tiers: BTreeMap<u64, u8> = told().map(|message| (message.id, plot.tier(message))).collect();
    // A notice matters by what it led to.
    let leads: BTreeMap<u64, u8> = told().fold(BTreeMap::new(), |mut leads, message| {
        if let (Some(cause), Some(tier)) = (message.cause, tiers.get(&message.id)) {
            let lead = leads.entry(cause).or_insert(*tier);
            *lead = (*lead).min(*tier);
        }
        leads
    });
    for notice in told().filter(|message| manner(message) == Manner::Notice) {
        if leads.get(&notice.id).is_some_and(|tier| *tier <= 1) {
            tiers.insert(notice.id, 2);
        }
    }
    tiers
}

fn plot<'a>(run: &'a RunPage, marks: &'a [u64]) -> Plot<'a> {
    let about_events = with_effects(run, |message| message.text.contains("/events"));
    let set_off = with_effects(run, |message| is_actor(&message.from));
    let written = |message: &&Message| message.kind == "Txn" && !about_events.contains(&message.id);
    let names: BTreeSet<&str> = run
        .messages
        .iter()
        .filter(written)
        .filter(|message| set_off.contains(&message.id))
        .filter_map(written_name)
        .collect();
    let is_of_story = |name: &str| {
        names.iter().any(|known| {
            name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    };
    let continued: BTreeSet<u64> = run
        .messages
        .iter()
        .filter(written)
        .filter(|message| written_name(message).is_some_and(is_of_story))
        .filter_map(|message| message.cause)
        .collect();
    Plot {
        marks,
        begins: run.messages.iter().find(|message| is_actor(&message.from)).map_or(0, |message| message.id),
        set_off: with_effects(run, |message| {
            let pod =
                message.fields.get("pod").and_then(|pod| pod.as_str()).and_then(|pod| pod.rsplit('/').next());
            is_actor(&message.from) || continued.contains(&message.id) || pod.is_some_and(is_of_story)
        }),
        about_events,
        hit: run.faults.iter().filter_map(|fault| fault.target.rsplit('/').next()).collect(),
        has_api: run.messages.iter().any(|message| message.to.starts_with("apiServer")),
    }
}

/// Messages, and all that they led to.
fn with_effects(run: &RunPage, begins: impl Fn(&Message) -> bool) -> BTreeSet<u64> {
    run.messages.iter().fold(BTreeSet::new(), |mut found, message| {
        if begins(message) || message.cause.is_some_and(|cause| found.contains(&cause)) {
            found.insert(message.id);
        }
        found
    })
}

/// The object's name in the key that a transaction writes.
fn written_name(message: &Message) -> Option<&str> {
    message.fields.get("key")?.as_str()?.rsplit('/').next()
}

impl Plot<'_> {
    fn tier(&self, message: &Message) -> u8 {
        let is_boot =
            message.id < self.begins && self.marks.first().is_none_or(|mark| message.at_ms <= *mark);
        if is_boot {
            return if message.kind == "BecomeLeader" && !self.has_api { 1 } else { LAST };
        }
        if self.about_events.contains(&message.id) {
            return LAST;
        }
        let by_actor = is_actor(&message.from) || is_actor(&message.to);
        let manner = manner(message);
        if self.has_api && (is_etcd(&message.from) || is_etcd(&message.to)) && !by_actor {
            return self.tier_beneath(message, manner);
        }
        let is_news = self.set_off.contains(&message.id) || (!self.has_api && self.is_after_a_mark(message));
        let of_read = message.fields.get("method").is_some_and(|method| method == "GET");
        let is_raft = message.kind.starts_with("AppendEntries") || message.kind == "Propose";
        match manner {
            Manner::Event => 0,
            Manner::Failure if by_actor && !of_read => 0,
            Manner::Failure if by_actor => 2,
            Manner::Failure => 4,
            Manner::Notice => 5,
            Manner::Request | Manner::Reply if message.kind.starts_with("Status") => 3,
            Manner::Reply if by_actor || !self.has_api => 2,
            Manner::Reply => 4,
            Manner::Request if is_read(message) && by_actor => 2,
            Manner::Request if is_read(message) => 5,
            Manner::Request if by_actor => 0,
            Manner::Request if self.speaks_of_what_was_hit(message) => 1,
            Manner::Request if is_status(message) && message.from.starts_with("kubelet") && is_news => 2,
            Manner::Request if is_status(message) => 4,
            Manner::Request if is_preparation(message) => 3,
            Manner::Request if is_raft => 2,
            Manner::Request if is_news => 1,
            Manner::Request => 4,
        }
    }

    /// etcd under an API server: the write that keeps what was asked for is worth telling, and who leads.
    fn tier_beneath(&self, message: &Message, manner: Manner) -> u8 {
        let is_write = ["Txn", "Put", "DeleteRange"].contains(&message.kind.as_str());
        match manner {
            Manner::Event if self.is_after_a_mark(message) => 0,
            Manner::Request if is_write && self.set_off.contains(&message.id) => 3,
            Manner::Request if message.kind.ends_with("Vote") && self.is_after_a_mark(message) => 1,
            Manner::Failure if is_write => 2,
            _ => LAST,
        }
    }

    fn is_after_a_mark(&self, message: &Message) -> bool {
        self.marks
            .iter()
            .any(|mark| message.at_ms.checked_sub(*mark).is_some_and(|after| after <= AFTERMATH_MS))
    }

    fn speaks_of_what_was_hit(&self, message: &Message) -> bool {
        let words = || message.text.split(['/', ' ']);
        self.marks.first().is_some_and(|first| message.at_ms >= *first)
            && words().any(|word| self.hit.contains(word))
    }
}

/// Whoever uses the cluster: kubectl, etcdctl, a load.
fn is_actor(name: &str) -> bool {
    const COMPONENTS: [&str; 7] =
        ["apiServer", "controllerManager", "scheduler", "kubelet/", "node/", "cluster", "lab"];
    !is_etcd(name) && !COMPONENTS.iter().any(|component| name.starts_with(component))
}

fn is_etcd(name: &str) -> bool {
    name.strip_prefix("etcd").is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()))
}

/// The host's own questions, such as whether the nodes are ready.
fn is_host(message: &Message) -> bool {
    [&message.from, &message.to].into_iter().any(|name| name == "cluster" || name == "lab")
}

fn is_read(message: &Message) -> bool {
    ["GET", "Range", "Watch"].contains(&message.kind.as_str())
}

fn is_status(message: &Message) -> bool {
    let path = message.fields.get("target").and_then(|target| target.as_str()).unwrap_or_default();
    path.split('?').next().is_some_and(|path| path.ends_with("/status"))
}

/// What a runtime does before a container starts.
fn is_preparation(message: &Message) -> bool {
    message.to.starts_with("node/")
        && !["StartContainer", "RemovePodSandbox"].contains(&message.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Fault, Language};
    use crate::sample;

    /// Checks the tier of each message: who, to whom, what, and the number of its cause.
    #[track_caller]
    fn check(faults: Vec<Fault>, messages: &[(&str, &str, &str, Option<u64>)], expected: &[u8]) {
        let messages = (1..).zip(messages).map(|(id, (from, to, text, cause))| Message {
            id,
            at_ms: id * 1_000,
            from: (*from).to_owned(),
            to: (*to).to_owned(),
            kind: text.split(' ').next().unwrap().to_owned(),
            text: (*text).to_owned(),
            cause: *cause,
            noise: false,
            fields: match text.split_once(' ') {
                Some(("Txn", key)) => serde_json::json!({"key": key}),
                split => serde_json::json!({"target": split.map(|(_, target)| target)}),
            },
        });
        let messages = messages.collect();
        let run = RunPage { faults, messages, ..sample::lab(Language::En).run.unwrap() };
        let tiers: Vec<u8> = tiers(&run, &super::super::marks(&run)).into_values().collect();
        assert_eq!(tiers, expected);
    }

    #[test]
    fn what_a_person_set_off_is_told_and_routine_is_not() {
        let messages = [
            ("kubelet/worker1", "apiServer/0", "POST /api/v1/nodes", None),
            ("kubectl", "apiServer/0", "POST /api/v1/pods", None),
            ("apiServer/0", "etcd1", "Txn /registry/pods/web", Some(2)),
            ("apiServer/0", "scheduler/0", "ADDED pods/web", Some(3)),
            ("apiServer/0", "kubelet/worker1", "ADDED pods/web", Some(3)),
            ("scheduler/0", "apiServer/0", "POST /api/v1/pods/web/binding", Some(4)),
            ("kubelet/worker1", "apiServer/0", "PATCH /api/v1/nodes/worker1/status", None),
            ("scheduler/0", "apiServer/0", "POST /api/v1/events", Some(4)),
        ];
        check(Vec::new(), &messages, &[LAST, 0, 3, 2, 5, 1, 4, LAST]);
    }

    #[test]
    fn a_component_that_comes_back_goes_on_with_the_story() {
        let messages = [
            ("kubectl", "apiServer/0", "POST /api/v1/deployments", None),
            ("apiServer/0", "etcd1", "Txn /registry/deployments/default/web", Some(1)),
            ("controllerManager/0", "apiServer/0", "POST /api/v1/replicasets", None),
            ("apiServer/0", "etcd1", "Txn /registry/replicasets/default/web-1", Some(3)),
            ("controllerManager/0", "apiServer/0", "POST /api/v1/serviceaccounts", None),
            ("apiServer/0", "etcd1", "Txn /registry/serviceaccounts/default/default", Some(5)),
        ];
        check(Vec::new(), &messages, &[0, 3, 1, 3, 4, LAST]);
    }

    #[test]
    fn after_a_fault_what_speaks_of_its_target_is_told() {
        let fault = |at_ms| Fault { id: "off".into(), target: "node/worker2".into(), at_ms, healed_ms: None };
        let messages = [
            ("kubectl", "apiServer/0", "GET /api/v1/nodes", None),
            ("controllerManager/0", "apiServer/0", "PUT /api/v1/nodes/worker1/status", None),
            ("controllerManager/0", "apiServer/0", "PUT /api/v1/nodes/worker2/status", None),
        ];
        check(vec![fault(1_500)], &messages, &[2, 4, 1]);
        check(vec![fault(9_000)], &messages, &[2, 4, 4]);
    }
}
