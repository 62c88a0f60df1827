//! The text that says why no node was chosen. Counterpart: `framework.FitError` and what the preemption
//! plugin adds to it when it finds no victims.

use std::collections::BTreeMap;

use crate::framework::Rejection;

pub(crate) const NO_NODES: &str = "no nodes available to schedule pods";

/// `0/3 nodes are available: ...`, over all nodes of the cluster.
pub(crate) fn message(rejections: &[Rejection], never_preempts: bool) -> String {
    let all = rejections.len();
    let reasons =
        histogram(rejections.iter().flat_map(|rejection| rejection.reasons.iter().map(String::as_str)));
    let preemption = if never_preempts {
        "not eligible due to preemptionPolicy=Never.".to_owned()
    } else {
        let hopes = histogram(rejections.iter().map(|rejection| {
            if rejection.resolvable {
                "No preemption victims found for incoming pod"
            } else {
                "Preemption is not helpful for scheduling"
            }
        }));
        format!("0/{all} nodes are available: {hopes}.")
    };
    format!("0/{all} nodes are available: {reasons}. preemption: {preemption}")
}

/// Each reason with its count, sorted by the resulting text, as upstream: `10 x` comes before `2 y`.
fn histogram<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_insert(0) += 1;
    }
    let mut texts: Vec<String> =
        counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    texts.sort();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted_by_text() {
        let taint = Rejection::unresolvable("node(s) had untolerated taint {k: v}");
        let cpu = Rejection::resolvable("Insufficient cpu");
        let expected = "0/3 nodes are available: 1 node(s) had untolerated taint {k: v}, 2 Insufficient cpu. \
                        preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, \
                        2 No preemption victims found for incoming pod.";
        assert_eq!(message(&[cpu.clone(), taint, cpu], false), expected);
    }

    #[test]
    fn a_pod_that_never_preempts_says_so() {
        let text = message(&[Rejection::resolvable("Insufficient cpu")], true);
        assert!(text.ends_with("preemption: not eligible due to preemptionPolicy=Never."), "{text}");
    }
}
