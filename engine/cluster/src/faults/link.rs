//! `partition`, `delay` and `drop`: faults of links, written `etcd1 | etcd2, etcd3`. Healing removes the rules.

use std::collections::BTreeSet;
use std::time::Duration;

use labkit_sim::Rule;

use super::{FaultError, Remedy};
use crate::cluster::Cluster;
use crate::target::Target;

type Group = BTreeSet<String>;

pub(super) fn inject_partition(cluster: &Cluster, link: &str) -> Result<(String, Remedy), FaultError> {
    let groups = groups(cluster, link)?;
    let text = text(&groups);
    let rule = cluster.world().network().add(Rule::Partition { groups });
    Ok((text, Remedy::RemoveRules(vec![rule])))
}

pub(super) fn inject_delay(
    cluster: &Cluster,
    link: &str,
    by: Duration,
) -> Result<(String, Remedy), FaultError> {
    on_each_pair(cluster, link, |from, to| Rule::Delay { from: Some(from), to: Some(to), by })
}

pub(super) fn inject_drop(
    cluster: &Cluster,
    link: &str,
    probability: f64,
) -> Result<(String, Remedy), FaultError> {
    if !(0.0..=1.0).contains(&probability) {
        return Err(FaultError::BadProbability(probability));
    }
    on_each_pair(cluster, link, |from, to| Rule::Drop { from: Some(from), to: Some(to), probability })
}

fn on_each_pair(
    cluster: &Cluster,
    link: &str,
    rule: impl Fn(String, String) -> Rule,
) -> Result<(String, Remedy), FaultError> {
    let groups = groups(cluster, link)?;
    let mut rules = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let others =
            groups.iter().enumerate().filter(|(other, _)| *other != index).flat_map(|(_, group)| group);
        for to in others {
            for from in group {
                rules.push(cluster.world().network().add(rule(from.clone(), to.clone())));
            }
        }
    }
    Ok((text(&groups), Remedy::RemoveRules(rules)))
}

fn groups(cluster: &Cluster, link: &str) -> Result<Vec<Group>, FaultError> {
    let groups: Vec<Group> =
        link.split('|').map(|group| members(cluster, group)).collect::<Result<_, _>>()?;
    if groups.len() < 2 || groups.iter().any(BTreeSet::is_empty) {
        return Err(FaultError::BadLink(link.to_owned()));
    }
    Ok(groups)
}

fn members(cluster: &Cluster, group: &str) -> Result<Group, FaultError> {
    let names = group.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match cluster.resolve(name)? {
            // What a machine says on the network, its kubelet says.
            Target::Node(node) => Ok(Target::Kubelet(node).component()),
            target => Ok(target.component()),
        })
        .collect()
}

fn text(groups: &[Group]) -> String {
    let group = |group: &Group| group.iter().cloned().collect::<Vec<_>>().join(", ");
    groups.iter().map(group).collect::<Vec<_>>().join(" | ")
}
