//! Which fields a strategic merge patch treats specially. Counterpart: the tags `patchStrategy` and
//! `patchMergeKey` of the types in `k8s.io/api`.
//!
//! Objects merge field by field and lists are replaced, unless a row below says otherwise. Replaced, though
//! one might think not: `tolerations`, a node's `taints`, `imagePullSecrets` of a service account.

use crate::resource::GroupVersionKind;

/// The type at a place in an object, by upstream's name; empty where no row speaks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Schema(&'static str);

/// How a patch treats one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Objects merge, lists are replaced.
    Plain,
    /// An object of which only the fields named in the patch stay.
    RetainKeys,
    /// A list of objects, merged by this key.
    Key(&'static str),
    /// The same, and of each object only the fields named in the patch stay.
    KeyRetainKeys(&'static str),
    /// A list of scalars, merged as a set.
    Set,
}

use Strategy::{Key, KeyRetainKeys, Plain, RetainKeys, Set};

/// Owner type, field, type of what is in the field, treatment.
type Row = (&'static str, &'static str, &'static str, Strategy);

/// Group and kind of those objects that have rows.
const ROOTS: [(&str, &str); 17] = [
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolumeClaim"),
    ("", "Pod"),
    ("", "PodTemplate"),
    ("", "ReplicationController"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("apiregistration.k8s.io", "APIService"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("batch", "CronJob"),
    ("batch", "Job"),
    ("policy", "PodDisruptionBudget"),
];

const ROWS: &[Row] = &[
    ("ObjectMeta", "finalizers", "", Set),
    ("ObjectMeta", "ownerReferences", "", Key("uid")),
    ("Namespace", "status", "ConditionedStatus", Plain),
    ("Node", "spec", "NodeSpec", Plain),
    ("Node", "status", "NodeStatus", Plain),
    ("NodeSpec", "podCIDRs", "", Set),
    ("NodeStatus", "addresses", "", Key("type")),
    ("NodeStatus", "conditions", "", Key("type")),
    ("Service", "spec", "ServiceSpec", Plain),
    ("Service", "status", "ConditionedStatus", Plain),
    ("ServiceSpec", "ports", "", Key("port")),
    ("ServiceAccount", "secrets", "", Key("name")),
    ("APIService", "status", "ConditionedStatus", Plain),
    ("Deployment", "spec", "DeploymentSpec", Plain),
    ("Deployment", "status", "ConditionedStatus", Plain),
    ("DeploymentSpec", "strategy", "", RetainKeys),
    ("DeploymentSpec", "template", "PodTemplateSpec", Plain),
    ("ReplicaSet", "spec", "ReplicaSetSpec", Plain),
    ("ReplicaSet", "status", "ConditionedStatus", Plain),
    ("ReplicaSetSpec", "template", "PodTemplateSpec", Plain),
    ("ReplicationController", "spec", "ReplicaSetSpec", Plain),
    ("ReplicationController", "status", "ConditionedStatus", Plain),
    ("StatefulSet", "spec", "ReplicaSetSpec", Plain),
    ("StatefulSet", "status", "ConditionedStatus", Plain),
    ("DaemonSet", "spec", "ReplicaSetSpec", Plain),
    ("DaemonSet", "status", "ConditionedStatus", Plain),
    ("Job", "spec", "ReplicaSetSpec", Plain),
    ("Job", "status", "ConditionedStatus", Plain),
    ("CronJob", "spec", "CronJobSpec", Plain),
    ("CronJobSpec", "jobTemplate", "Job", Plain),
    ("PodTemplate", "template", "PodTemplateSpec", Plain),
    ("HorizontalPodAutoscaler", "status", "HorizontalPodAutoscalerStatus", Plain),
    ("HorizontalPodAutoscalerStatus", "conditions", "", Key("type")),
    ("PersistentVolumeClaim", "status", "ConditionedStatus", Plain),
    ("PodDisruptionBudget", "status", "ConditionedStatus", Plain),
    ("ConditionedStatus", "conditions", "", Key("type")),
    ("PodTemplateSpec", "metadata", "ObjectMeta", Plain),
    ("PodTemplateSpec", "spec", "PodSpec", Plain),
    ("Pod", "spec", "PodSpec", Plain),
    ("Pod", "status", "PodStatus", Plain),
    ("PodSpec", "containers", "Container", Key("name")),
    ("PodSpec", "ephemeralContainers", "Container", Key("name")),
    ("PodSpec", "hostAliases", "", Key("ip")),
    ("PodSpec", "imagePullSecrets", "", Key("name")),
    ("PodSpec", "initContainers", "Container", Key("name")),
    ("PodSpec", "resourceClaims", "", KeyRetainKeys("name")),
    ("PodSpec", "schedulingGates", "", Key("name")),
    ("PodSpec", "topologySpreadConstraints", "", Key("topologyKey")),
    ("PodSpec", "volumes", "", KeyRetainKeys("name")),
    ("PodStatus", "conditions", "", Key("type")),
    ("PodStatus", "hostIPs", "", Key("ip")),
    ("PodStatus", "podIPs", "", Key("ip")),
    ("PodStatus", "resourceClaimStatuses", "", KeyRetainKeys("name")),
    ("Container", "env", "", Key("name")),
    ("Container", "ports", "", Key("containerPort")),
    ("Container", "volumeDevices", "", Key("devicePath")),
    ("Container", "volumeMounts", "", Key("mountPath")),
];

impl Schema {
    /// The type of whole objects of a kind.
    pub fn of(gvk: &GroupVersionKind) -> Schema {
        let root = ROOTS.iter().find(|(group, kind)| *group == gvk.group && *kind == gvk.kind);
        Schema(root.map_or("Object", |(_, kind)| kind))
    }

    /// The type of what is in a field, and its treatment.
    pub fn field(self, name: &str) -> (Schema, Strategy) {
        if name == "metadata" && (self.0 == "Object" || ROOTS.iter().any(|(_, kind)| *kind == self.0)) {
            return (Schema("ObjectMeta"), Plain);
        }
        let row = ROWS.iter().find(|(owner, field, ..)| *owner == self.0 && *field == name);
        row.map_or((Schema(""), Plain), |(_, _, inner, strategy)| (Schema(inner), *strategy))
    }
}

impl Strategy {
    pub fn retains_keys(self) -> bool {
        matches!(self, RetainKeys | KeyRetainKeys(_))
    }

    pub fn merges_lists(self) -> bool {
        matches!(self, Key(_) | KeyRetainKeys(_) | Set)
    }

    /// The field by which the objects of a list are told apart.
    pub fn merge_key(self) -> Option<&'static str> {
        match self {
            Key(key) | KeyRetainKeys(key) => Some(key),
            Plain | RetainKeys | Set => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: GroupVersionKind, path: &[&str], expected: Strategy) {
        let (last, parents) = path.split_last().unwrap();
        let owner = parents.iter().fold(Schema::of(&kind), |schema, field| schema.field(field).0);
        assert_eq!(owner.field(last).1, expected, "{kind} {path:?}");
    }

    #[test]
    fn keys_depend_on_the_place_in_the_object() {
        let deployment = GroupVersionKind::new("apps", "v1", "Deployment");
        let service = GroupVersionKind::new("", "v1", "Service");
        let pod = GroupVersionKind::new("", "v1", "Pod");
        let config_map = GroupVersionKind::new("", "v1", "ConfigMap");
        check(deployment.clone(), &["spec", "template", "spec", "containers"], Key("name"));
        check(deployment.clone(), &["spec", "template", "spec", "containers", "ports"], Key("containerPort"));
        check(deployment.clone(), &["spec", "template", "metadata", "finalizers"], Set);
        check(deployment, &["spec", "strategy"], RetainKeys);
        check(service, &["spec", "ports"], Key("port"));
        check(pod.clone(), &["spec", "tolerations"], Plain);
        check(pod, &["metadata", "ownerReferences"], Key("uid"));
        check(config_map, &["metadata", "finalizers"], Set);
    }
}
