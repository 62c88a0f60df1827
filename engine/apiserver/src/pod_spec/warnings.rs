//! What clients are warned of when they make pods and templates of pods. Counterpart: `pkg/api/pod/warnings.go`,
//! `pkg/api/node/util.go`.

use std::collections::BTreeSet;
use std::ops::Deref;

use labkit_api::validation::is_dns1123_label;
use labkit_api::{Object, Quantity};
use serde_json::Value;

use crate::kinds::{
    Kind, cron_jobs, daemon_sets, deployments, jobs, pods, replica_sets, replication_controllers,
    stateful_sets,
};
use crate::pod_spec::{list, text};

const OLD_LABELS: &[(&str, &str, &str)] = &[
    ("beta.kubernetes.io/arch", "v1.14", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "v1.14", "kubernetes.io/os"),
    ("beta.kubernetes.io/instance-type", "v1.17", "node.kubernetes.io/instance-type"),
    ("failure-domain.beta.kubernetes.io/region", "v1.17", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "v1.17", "topology.kubernetes.io/zone"),
];

/// A kind with a pod spec: where it is, and what its objects' names are used in.
type Concerned = (&'static Kind, &'static [&'static str], &'static str);

static CONCERNED: &[Concerned] = &[
    (&pods::KIND, &["spec"], "the Pod's hostname"),
    (&cron_jobs::KIND, &["spec", "jobTemplate", "spec", "template", "spec"], ""),
    (&daemon_sets::KIND, TEMPLATE, ""),
    (&deployments::KIND, TEMPLATE, POD_NAMES),
    (&jobs::KIND, TEMPLATE, POD_NAMES),
    (&replica_sets::KIND, TEMPLATE, POD_NAMES),
    (&replication_controllers::KIND, TEMPLATE, ""),
    (&stateful_sets::KIND, TEMPLATE, POD_NAMES),
];

const TEMPLATE: &[&str] = &["spec", "template", "spec"];
const POD_NAMES: &str = "Pod names and hostnames";

/// The warnings about a new object; none for kinds without pods, whose objects are not even looked at.
pub(crate) fn of_new<O: Deref<Target = Object>>(
    kind: &'static Kind,
    object: impl FnOnce() -> O,
) -> Vec<String> {
    let concerned = CONCERNED.iter().find(|(concerned, ..)| std::ptr::eq(*concerned, kind));
    let Some((_, path, used_in)) = concerned else { return Vec::new() };
    let object = object();
    let mut warnings = Vec::new();
    if !used_in.is_empty() {
        warnings.extend(of_name(&object.metadata.name, used_in));
    }
    if let Some(spec) = object.at(path) {
        of_spec(spec, &path.join("."), &mut warnings);
    }
    warnings
}

fn of_name(name: &str, used_in: &str) -> Option<String> {
    let complaints = is_dns1123_label(name);
    let why = complaints.join(" ");
    (!complaints.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in {used_in}, which can result in surprising behavior; a DNS label is \
             recommended: [{why}]"
        )
    })
}

fn of_spec(spec: &Value, path: &str, warnings: &mut Vec<String>) {
    let selector = spec.get("nodeSelector").and_then(Value::as_object);
    for (label, since, instead) in OLD_LABELS {
        if selector.is_some_and(|selector| selector.contains_key(*label)) {
            warnings.push(format!(
                "{path}.nodeSelector[{label}]: deprecated since {since}; use {instead:?} instead"
            ));
        }
    }
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        if volume.get("gitRepo").is_some() {
            warnings.push(format!("{path}.volumes[{index}].gitRepo: deprecated in v1.11"));
        }
    }
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds < 0) {
        warnings.push(format!(
            "{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
    for field in ["initContainers", "containers"] {
        for (index, container) in list(spec, field).iter().enumerate() {
            of_container(container, &format!("{path}.{field}[{index}]"), warnings);
        }
    }
}

fn of_container(container: &Value, path: &str, warnings: &mut Vec<String>) {
    let ports = list(container, "ports");
    for (index, port) in ports.iter().enumerate() {
        let same = |other: &Value| {
            ["containerPort", "protocol", "hostIP", "hostPort"]
                .iter()
                .all(|field| port.get(field) == other.get(field))
        };
        if let Some(first) = ports[..index].iter().position(same) {
            warnings
                .push(format!("{path}.ports[{index}]: duplicate port definition with {path}.ports[{first}]"));
        }
    }
    let mut known = BTreeSet::new();
    for (index, variable) in list(container, "env").iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        let own = format!("$({name})");
        let builds_on_it = variable.get("valueFrom").is_none() && value != own && value.contains(&own);
        if !known.insert(name) && !builds_on_it {
            warnings.push(format!(
                "{path}.env[{index}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
    for field in ["limits", "requests"] {
        for name in ["memory", "ephemeral-storage"] {
            let amount = container.get("resources").and_then(|resources| resources.get(field)?.get(name));
            let Some(Ok(amount)) = amount.map(Quantity::from_value) else { continue };
            if amount.milli() % 1_000 != 0 {
                let amount = amount.to_string();
                warnings.push(format!(
                    "{path}.resources.{field}[{name}]: fractional byte value {amount:?} is invalid, must be an integer"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_legal_and_yet_wrong_is_warned_of() {
        let container = json!({
            "name": "c", "image": "i",
            "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"}],
            "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"},
                {"containerPort": 80, "protocol": "TCP"}],
            "resources": {"limits": {"memory": "100m"}},
        });
        let spec = json!({"containers": [container], "nodeSelector": {"beta.kubernetes.io/os": "linux"}});
        let pod = Object::from_value(json!({"metadata": {"name": "a.b"}, "spec": spec})).unwrap();
        assert_eq!(
            of_new(&pods::KIND, || &pod),
            [
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is \
                 recommended: [must not contain dots]",
                "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
                "spec.containers[0].ports[2]: duplicate port definition with spec.containers[0].ports[0]",
                "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
                "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            ]
        );
        let deployment = json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": {"terminationGracePeriodSeconds": -1}}}});
        let deployment = Object::from_value(deployment).unwrap();
        assert_eq!(
            of_new(&deployments::KIND, || &deployment),
            [
                "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
            ]
        );
    }
}
