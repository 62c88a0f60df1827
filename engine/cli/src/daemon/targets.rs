//! A name that nothing here has, told in the language of the lab, with what may have been meant.

use labkit_cluster::{Cluster, FaultError};
use labkit_lab::{Language, did_you_mean};
use serde_json::Value;

use crate::failure::Failure;
use crate::screen::say;

/// Refuses a target that is not there. What else a target may be wrong about, the cluster says.
pub(super) fn known(cluster: &Cluster, language: Language, target: &str) -> Result<(), Failure> {
    match cluster.resolve(target) {
        Err(FaultError::UnknownTarget { known, .. }) => Err(unknown(language, target, &known)),
        _ => Ok(()),
    }
}

/// The target of a fault that is written as in a lab file; a fault of a link has none.
pub(super) fn of_fault(fault: &Value) -> Option<&str> {
    let verbs = fault.as_object()?.iter().filter(|(verb, _)| !["id", "partition"].contains(&verb.as_str()));
    verbs.filter_map(|(_, verb)| verb.as_str().or_else(|| verb.get("target")?.as_str())).next()
}

fn unknown(language: Language, target: &str, known: &[String]) -> Failure {
    let message = say!(language, "there is no {target} here", "여기에 {target} 은(는) 없습니다");
    let meant = meant(target, known);
    let next = match meant.is_empty() {
        true => say!(
            language,
            "labkit fault shows what is there and what is broken",
            "무엇이 있고 무엇이 고장 났는지: labkit fault"
        ),
        false => {
            let (or, meant) = (say!(language, " or ", ", "), meant);
            let meant = meant.join(&or);
            say!(
                language,
                "did you mean {meant}? labkit fault shows all that is there",
                "{meant} 인가요? 있는 것 모두: labkit fault"
            )
        }
    };
    Failure::usage(message).next(next)
}

/// The names that end like it, else the nearest one: `worker2` may be a machine or its kubelet.
fn meant<'a>(target: &str, known: &'a [String]) -> Vec<&'a str> {
    let names = || known.iter().map(String::as_str);
    let end = |name: &'a str| name.rsplit('/').next().unwrap_or(name);
    let ending = |wanted: &str| names().filter(|name| end(name).eq_ignore_ascii_case(wanted)).collect();
    let near = || did_you_mean(target, names());
    let same: Vec<&str> = ending(target);
    match (same.is_empty(), near()) {
        (false, _) => same,
        (true, Some(near)) => vec![near],
        (true, None) => {
            let last = target.rsplit('/').next().unwrap_or(target);
            did_you_mean(last, names().map(end)).map(ending).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(target: &str, expected: &[&str]) {
        let known = ["etcd/leader", "etcd/etcd1", "scheduler/0", "node/worker1", "kubelet/worker1"];
        assert_eq!(meant(target, &known.map(str::to_owned)), expected);
    }

    #[test]
    fn what_may_have_been_meant_is_named() {
        check("worker1", &["node/worker1", "kubelet/worker1"]);
        check("nde/worker1", &["node/worker1"]);
        check("schedular", &["scheduler/0"]);
        check("etcd/etcd9", &["etcd/etcd1"]);
        check("worker9", &["node/worker1", "kubelet/worker1"]);
        check("frobnicator", &[]);
        let told = unknown(Language::Ko, "worker1", &["node/worker1".to_owned()]);
        assert_eq!(told.next.as_deref(), Some("node/worker1 인가요? 있는 것 모두: labkit fault"));
    }

    #[test]
    fn the_target_of_a_fault_is_found() {
        assert_eq!(of_fault(&json!({"kill": "etcd1", "id": "x"})), Some("etcd1"));
        assert_eq!(of_fault(&json!({"slowDisk": {"target": "etcd1", "by": "1s"}})), Some("etcd1"));
        assert_eq!(of_fault(&json!({"partition": "a | b"})), None);
        assert_eq!(of_fault(&json!({"delay": {"link": "a | b", "by": "1s"}})), None);
    }
}
