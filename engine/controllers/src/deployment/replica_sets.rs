//! A Deployment's ReplicaSets: the new one, the old ones, their revisions and annotations.
//! Counterpart: `pkg/controller/deployment/util`.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use labkit_api::names::pod_template_hash;

use super::rollout::max_surge;
use crate::objects::{is_being_deleted, name};
use crate::owners::controller_reference;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
const TEMPLATE_HASH: &str = "pod-template-hash";
/// A Deployment's annotations that its ReplicaSets do not inherit.
const NOT_INHERITED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// A Deployment's ReplicaSets.
#[derive(Debug, Clone, Default)]
pub(super) struct ReplicaSets {
    /// The one with the Deployment's present template.
    pub new: Option<ReplicaSet>,
    /// All others, oldest first.
    pub old: Vec<ReplicaSet>,
}

impl ReplicaSets {
    pub fn sort(deployment: &Deployment, mut all: Vec<ReplicaSet>) -> ReplicaSets {
        all.sort_by_cached_key(|set| (set.metadata.creation_timestamp.clone(), name(set).to_owned()));
        let template = without_hash(template(deployment));
        let same = |set: &ReplicaSet| {
            let own = set.spec.as_ref().and_then(|spec| spec.template.clone());
            without_hash(own.unwrap_or_default()) == template
        };
        let new = all.iter().position(same).map(|index| all.remove(index));
        ReplicaSets { new, old: all }
    }

    pub fn all(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.old.iter().chain(&self.new)
    }

    pub fn max_old_revision(&self) -> i64 {
        self.old.iter().map(revision).max().unwrap_or_default()
    }
}

pub(super) fn replicas_of(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or_default()
}

pub(super) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub(super) fn revision(set: &ReplicaSet) -> i64 {
    annotation(&set.metadata, REVISION).and_then(|revision| revision.parse().ok()).unwrap_or_default()
}

pub(super) fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

fn template(deployment: &Deployment) -> PodTemplateSpec {
    deployment.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default()
}

fn without_hash(mut template: PodTemplateSpec) -> PodTemplateSpec {
    let metadata = template.metadata.get_or_insert_default();
    metadata.creation_timestamp = None;
    let labels = metadata.labels.get_or_insert_default();
    labels.remove(TEMPLATE_HASH);
    template
}

/// How many pods the Deployment wanted when the ReplicaSet was sized last.
pub(super) fn desired_annotation(set: &ReplicaSet) -> Option<i32> {
    annotation(&set.metadata, DESIRED_REPLICAS)?.parse().ok()
}

/// How many there could be at most then.
pub(super) fn max_annotation(set: &ReplicaSet) -> Option<i32> {
    annotation(&set.metadata, MAX_REPLICAS)?.parse().ok()
}

fn size_annotations(deployment: &Deployment) -> [(String, String); 2] {
    let wanted = wanted(deployment);
    let most = wanted + max_surge(deployment);
    [(DESIRED_REPLICAS.to_owned(), wanted.to_string()), (MAX_REPLICAS.to_owned(), most.to_string())]
}

/// The ReplicaSet with that size and its annotations brought up to date; `None` if nothing changes.
pub(super) fn resized(deployment: &Deployment, set: &ReplicaSet, size: i32) -> Option<ReplicaSet> {
    let mut updated = set.clone();
    updated.spec.get_or_insert_default().replicas = Some(size);
    updated.metadata.annotations.get_or_insert_default().extend(size_annotations(deployment));
    (updated != *set).then_some(updated)
}

/// The ReplicaSet for the Deployment's present template, not sized yet.
pub(super) fn new_replica_set(deployment: &Deployment, revision: i64) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let mut template = spec.template;
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let value = serde_json::to_value(&template).expect("k8s-openapi's types are JSON");
    let hash = pod_template_hash(&value, collisions);
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(TEMPLATE_HASH.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(TEMPLATE_HASH.to_owned(), hash.clone());
    let mut annotations = inherited(deployment);
    annotations.insert(REVISION.to_owned(), revision.to_string());
    annotations.extend(size_annotations(deployment));
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name(deployment))),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..Default::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    }
}

/// The new ReplicaSet with what the Deployment says of it besides its size; `None` if nothing changes.
/// One that becomes the new one again, after an undo, keeps its former revisions in a history.
pub(super) fn brought_up_to_date(
    deployment: &Deployment,
    set: &ReplicaSet,
    next_revision: i64,
) -> Option<ReplicaSet> {
    let mut updated = set.clone();
    let annotations = updated.metadata.annotations.get_or_insert_default();
    annotations.extend(inherited(deployment));
    if revision(set) < next_revision {
        let former = annotations.insert(REVISION.to_owned(), next_revision.to_string());
        if let Some(former) = former {
            let history = annotations.entry(REVISION_HISTORY.to_owned()).or_default();
            if !history.is_empty() {
                history.push(',');
            }
            history.push_str(&former);
        }
    }
    let min_ready = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
    updated.spec.get_or_insert_default().min_ready_seconds = min_ready;
    (updated != *set).then_some(updated)
}

fn inherited(deployment: &Deployment) -> BTreeMap<String, String> {
    let mut annotations = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| !NOT_INHERITED.contains(&&**name));
    annotations
}

/// Whether `other` is this Deployment's own ReplicaSet for its present template: then a create that found
/// it there was only late.
pub(super) fn is_own(deployment: &Deployment, other: &ReplicaSet) -> bool {
    let owner = crate::owners::controller_of(&other.metadata);
    let owned = owner.is_some_and(|owner| Some(&owner.uid) == deployment.metadata.uid.as_ref());
    owned && ReplicaSets::sort(deployment, vec![other.clone()]).new.is_some()
}

/// Old ReplicaSets past `revisionHistoryLimit`, lowest revision first; what still has pods stays.
pub(super) fn past_history<'a>(deployment: &Deployment, old: &'a [ReplicaSet]) -> Vec<&'a ReplicaSet> {
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
    let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return Vec::new() };
    let mut alive: Vec<&ReplicaSet> = old.iter().filter(|set| !is_being_deleted(*set)).collect();
    alive.sort_by_key(|set| revision(set));
    let surplus = alive.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
    alive.truncate(surplus);
    alive.retain(|set| {
        let status = set.status.clone().unwrap_or_default();
        status.replicas == 0 && replicas_of(set) == 0 && set.metadata.generation <= status.observed_generation
    });
    alive
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub fn deployment(replicas: i32, more: Value) -> Deployment {
        let mut value = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}}},
        });
        labkit_api::patch::merge_patch(&mut value, &more);
        serde_json::from_value(value).unwrap()
    }

    /// A ReplicaSet of `of` with that size, of which so many are available.
    pub fn sized(of: &Deployment, name: &str, size: i32, available: i32) -> ReplicaSet {
        let mut set = new_replica_set(of, 1);
        set.metadata.name = Some(name.to_owned());
        set.metadata.uid = Some(name.to_owned());
        set.spec.as_mut().unwrap().replicas = Some(size);
        let status = json!({"replicas": size, "readyReplicas": available, "availableReplicas": available});
        set.status = Some(serde_json::from_value(status).unwrap());
        set
    }

    #[test]
    fn the_new_replica_set_is_the_one_with_the_same_template() {
        let first = deployment(3, json!({}));
        let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
        let second = deployment(3, image("v2"));
        let sets = vec![new_replica_set(&first, 1), new_replica_set(&second, 2)];
        let sorted = ReplicaSets::sort(&second, sets.clone());
        assert_eq!(sorted.new.as_ref(), Some(&sets[1]));
        assert_eq!(sorted.old, [sets[0].clone()]);
        assert_eq!(sorted.max_old_revision(), 1);
        assert!(ReplicaSets::sort(&deployment(3, image("v3")), sets).new.is_none());
    }

    #[test]
    fn an_undo_keeps_the_former_revisions() {
        let deployment =
            deployment(3, json!({"metadata": {"annotations": {"kubernetes.io/change-cause": "undo"}}}));
        let set = new_replica_set(&deployment, 1);
        assert_eq!(annotation(&set.metadata, MAX_REPLICAS), Some("4"));
        let again = brought_up_to_date(&deployment, &set, 3).unwrap();
        assert_eq!(annotation(&again.metadata, REVISION), Some("3"));
        assert_eq!(annotation(&again.metadata, REVISION_HISTORY), Some("1"));
        let thrice = brought_up_to_date(&deployment, &again, 5).unwrap();
        assert_eq!(annotation(&thrice.metadata, REVISION_HISTORY), Some("1,3"));
        assert_eq!(brought_up_to_date(&deployment, &thrice, 5), None);
    }

    #[test]
    fn a_collision_gives_another_name() {
        let one = new_replica_set(&deployment(1, json!({})), 1);
        let two = new_replica_set(&deployment(1, json!({"status": {"collisionCount": 1}})), 1);
        assert_ne!(one.metadata.name, two.metadata.name);
    }

    #[test]
    fn history_is_cut_from_the_lowest_revision_on() {
        let deployment = deployment(1, json!({"spec": {"revisionHistoryLimit": 1}}));
        let old = |revision: i64, size: i32| {
            let mut set = sized(&deployment, &format!("r{revision}"), size, size);
            set.metadata
                .annotations
                .get_or_insert_default()
                .insert(REVISION.to_owned(), revision.to_string());
            set
        };
        let sets = [old(10, 0), old(3, 0), old(2, 1)];
        let gone: Vec<&str> = past_history(&deployment, &sets).into_iter().map(name).collect();
        assert_eq!(gone, ["r3"], "r2 still has a pod, r10 is the newest");
    }
}
