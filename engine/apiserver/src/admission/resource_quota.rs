//! ResourceQuota: nothing is made that would take a namespace beyond what its quotas allow. Counterpart:
//! `k8s.io/apiserver/pkg/admission/plugin/resourcequota`, `pkg/quota/v1/evaluator/core`.
//!
//! What is used is counted when it is asked for, where upstream's controller keeps it in the quota's status. Changes of
//! what is there are not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use labkit_api::{Object, Quantity, Status};
use serde_json::Value;
use tokio::sync::MutexGuard;

use crate::kinds::workload::list;
use crate::kinds::{KINDS, Kind, persistent_volume_claims, pods, resource_quotas, services};
use crate::pod_spec::{qos, text};
use crate::registry::Registry;
use crate::verbs::Call;

/// What a quota can count, by name: `requests.cpu`, `count/secrets`.
type Usage = BTreeMap<String, Quantity>;

/// What a container must say where a quota counts it.
const MUST_BE_SAID: &[&str] =
    &["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];

/// Refuses what is too much. The guard is held until the object is made, so that the next one is counted with it.
pub(crate) async fn check<'a>(
    call: &'a Call,
    kind: &'static Kind,
    object: &Object,
) -> Result<Option<MutexGuard<'a, ()>>, Status> {
    let namespace = &call.info.namespace;
    if namespace.is_empty() || !call.guard.access.plugins.counts_quotas() {
        return Ok(None);
    }
    let quotas = call.registry.cache(&resource_quotas::KIND).snapshot(&format!("{namespace}/")).0;
    if quotas.is_empty() {
        return Ok(None);
    }
    let turn = call.registry.quotas.lock().await;
    let asked = usage(kind, object);
    let mut present: Option<Vec<Arc<Object>>> = None;
    for quota in &quotas {
        let quota = quota.object();
        if !covers(&quota, kind, object) {
            continue;
        }
        let hard = amounts(quota.at(&["spec", "hard"]));
        let refuse = |why: String| {
            let name = Some(object.metadata.name.as_str()).filter(|name| !name.is_empty());
            let name = name.unwrap_or(&object.metadata.generate_name);
            Err(Status::forbidden(&kind.resource(), name, &why))
        };
        if let Some(missing) = unsaid(kind, object, &hard) {
            return refuse(format!("failed quota: {}: must specify {missing}", quota.metadata.name));
        }
        if !hard.keys().any(|name| asked.contains_key(name)) {
            continue;
        }
        if present.is_none() {
            let listed = call.registry.list_now(kind, namespace).await?;
            present = Some(listed.entries.iter().map(|entry| entry.object()).collect());
        }
        let counted = present.iter().flatten().filter(|other| covers(&quota, kind, other));
        let mut used = Usage::new();
        for (name, amount) in
            counted.filter(|other| !is_over(kind, other)).flat_map(|other| usage(kind, other))
        {
            *used.entry(name).or_default() += amount;
        }
        let used_of = |name: &str| used.get(name).copied().unwrap_or_default();
        let exceeded: Vec<&String> = hard
            .iter()
            .filter(|(name, most)| asked.get(*name).is_some_and(|amount| used_of(name) + *amount > **most))
            .map(|(name, _)| name)
            .collect();
        if !exceeded.is_empty() {
            let shown = |amount: &dyn Fn(&str) -> Quantity| {
                let each: Vec<String> =
                    exceeded.iter().map(|name| format!("{name}={}", amount(name))).collect();
                each.join(",")
            };
            return refuse(format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.metadata.name,
                shown(&|name| asked[name]),
                shown(&used_of),
                shown(&|name| hard[name]),
            ));
        }
    }
    Ok(Some(turn))
}

fn is(kind: &Kind, other: &'static Kind) -> bool {
    std::ptr::eq(kind, other)
}

fn amounts(of: Option<&Value>) -> Usage {
    let fields = of.and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(name, amount)| Some((name.clone(), Quantity::from_value(amount).ok()?))).collect()
}

/// What one object takes.
fn usage(kind: &'static Kind, object: &Object) -> Usage {
    let one = Quantity::new(1);
    let mut usage = Usage::new();
    if !kind.group.is_empty() {
        usage.insert(format!("count/{}.{}", kind.plural, kind.group), one);
        return usage;
    }
    usage.insert(format!("count/{}", kind.plural), one);
    const NAMED: &[&str] = &[
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
    ];
    if NAMED.contains(&kind.plural) {
        usage.insert(kind.plural.to_owned(), one);
    }
    if is(kind, &pods::KIND) {
        usage.extend(pod_usage(object));
    } else if is(kind, &persistent_volume_claims::KIND) {
        let asked = amounts(object.at(&["spec", "resources", "requests"]));
        usage.extend(asked.get("storage").map(|storage| ("requests.storage".to_owned(), *storage)));
    } else if is(kind, &services::KIND) {
        let of_type = object.str_at(&["spec", "type"]).unwrap_or_default();
        let balances = of_type == "LoadBalancer";
        let ports = list(object.rest.get("spec"), "ports").len() as i64;
        let allocates = object.at(&["spec", "allocateLoadBalancerNodePorts"]) != Some(&Value::Bool(false));
        let has_node_ports = of_type == "NodePort" || (balances && allocates);
        usage.insert("services.loadbalancers".to_owned(), Quantity::new(i64::from(balances)));
        usage.insert("services.nodeports".to_owned(), Quantity::new(if has_node_ports { ports } else { 0 }));
    }
    usage
}

/// The containers' together, or the largest init container's where that is more.
fn pod_usage(pod: &Object) -> Usage {
    let spec = pod.rest.get("spec");
    let mut whole = Usage::new();
    for container in list(spec, "containers") {
        for (name, amount) in container_usage(container) {
            *whole.entry(name).or_default() += amount;
        }
    }
    for container in list(spec, "initContainers") {
        for (name, amount) in container_usage(container) {
            let most = whole.entry(name).or_default();
            *most = (*most).max(amount);
        }
    }
    whole
}

fn container_usage(container: &Value) -> Usage {
    let part = |field: &str| amounts(container.get("resources").and_then(|resources| resources.get(field)));
    let mut usage = Usage::new();
    for (name, amount) in part("requests") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            usage.insert(name.clone(), amount);
        }
        usage.insert(format!("requests.{name}"), amount);
    }
    usage.extend(part("limits").into_iter().map(|(name, amount)| (format!("limits.{name}"), amount)));
    usage
}

/// `limits.cpu for: c; requests.cpu for: c`
fn unsaid(kind: &'static Kind, object: &Object, hard: &Usage) -> Option<String> {
    if !is(kind, &pods::KIND) {
        return None;
    }
    let required = MUST_BE_SAID.iter().filter(|name| hard.contains_key(**name));
    let spec = object.rest.get("spec");
    let containers: Vec<&Value> =
        list(spec, "containers").iter().chain(list(spec, "initContainers")).collect();
    let missing = required.filter_map(|name| {
        let silent = containers.iter().filter(|container| !container_usage(container).contains_key(*name));
        let silent: BTreeSet<&str> = silent.map(|container| text(container, "name")).collect();
        let names: Vec<&str> = silent.into_iter().collect();
        (!names.is_empty()).then(|| format!("{name} for: {}", names.join(",")))
    });
    let missing: Vec<String> = missing.collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// Whether objects of the kind take of what a quota calls `name`.
fn takes(kind: &'static Kind, name: &str) -> bool {
    if !kind.is_namespaced() || !kind.is_stored() {
        return false;
    }
    let of_pods = || {
        let part = name.strip_prefix("requests.").or_else(|| name.strip_prefix("limits.")).is_some();
        name != "requests.storage" && (part || matches!(name, "cpu" | "memory" | "ephemeral-storage"))
    };
    usage(kind, &Object::default()).contains_key(name)
        || (is(kind, &pods::KIND) && of_pods())
        || (is(kind, &persistent_volume_claims::KIND) && name == "requests.storage")
}

/// What is used of all that the quota limits, as its status has it.
pub(crate) async fn used(registry: &Registry, quota: &Object) -> Result<Value, Status> {
    let hard = amounts(quota.at(&["spec", "hard"]));
    let mut used: Usage = hard.keys().map(|name| (name.clone(), Quantity::default())).collect();
    for kind in KINDS.iter().copied().filter(|kind| hard.keys().any(|name| takes(kind, name))) {
        let listed = registry.list_now(kind, &quota.metadata.namespace).await?;
        let objects = listed.entries.iter().map(|entry| entry.object());
        for object in objects.filter(|object| covers(quota, kind, object) && !is_over(kind, object)) {
            for (name, amount) in usage(kind, &object) {
                used.entry(name).and_modify(|sum| *sum += amount);
            }
        }
    }
    Ok(used.into_iter().map(|(name, amount)| (name, Value::String(amount.to_string()))).collect())
}

/// A pod that ended takes nothing.
fn is_over(kind: &'static Kind, object: &Object) -> bool {
    is(kind, &pods::KIND) && matches!(object.str_at(&["status", "phase"]), Some("Succeeded" | "Failed"))
}

/// Whether the object is of the quota's scopes. Only pods are of any.
fn covers(quota: &Object, kind: &'static Kind, object: &Object) -> bool {
    let spec = quota.rest.get("spec");
    let plain = list(spec, "scopes").iter().filter_map(Value::as_str).map(|scope| (scope, "Exists", &[][..]));
    let selected = list(spec.and_then(|spec| spec.get("scopeSelector")), "matchExpressions").iter();
    let selected =
        selected.map(|one| (text(one, "scopeName"), text(one, "operator"), list(Some(one), "values")));
    plain.chain(selected).all(|(scope, operator, values)| {
        is(kind, &pods::KIND) && {
            let is_listed = |name: &str| values.iter().any(|value| value == name);
            let class = object.str_at(&["spec", "priorityClassName"]).unwrap_or_default();
            match (scope, operator) {
                ("PriorityClass", "In") => is_listed(class),
                ("PriorityClass", "NotIn") => !is_listed(class),
                ("PriorityClass", "DoesNotExist") => class.is_empty(),
                ("PriorityClass", _) => !class.is_empty(),
                ("Terminating", _) => object.at(&["spec", "activeDeadlineSeconds"]).is_some(),
                ("NotTerminating", _) => object.at(&["spec", "activeDeadlineSeconds"]).is_none(),
                ("BestEffort" | "NotBestEffort", _) => {
                    let spec = object.rest.get("spec").unwrap_or(&Value::Null);
                    (qos::class(spec) == "BestEffort") == (scope == "BestEffort")
                }
                _ => false,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(usage: &Usage) -> String {
        let each: Vec<String> = usage.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
        each.join(",")
    }

    #[test]
    fn what_objects_take_has_upstreams_names() {
        let resources = json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m", "memory": "1Gi"}});
        let spec = json!({"containers": [{"name": "a", "resources": resources}, {"name": "b", "resources": resources}]});
        let pod = Object::from_value(json!({"spec": spec})).unwrap();
        assert_eq!(
            shown(&usage(&pods::KIND, &pod)),
            "count/pods=1,cpu=200m,limits.cpu=400m,limits.memory=2Gi,pods=1,requests.cpu=200m"
        );
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 81}]}});
        assert_eq!(
            shown(&usage(&services::KIND, &Object::from_value(service).unwrap())),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2"
        );
    }

    #[test]
    fn a_quota_counts_the_pods_of_its_scopes() {
        let quota = |spec: Value| Object::from_value(json!({"spec": spec})).unwrap();
        let pod =
            Object::from_value(json!({"spec": {"priorityClassName": "high", "containers": [{}]}})).unwrap();
        let selects = |operator: &str| {
            let one = json!({"scopeName": "PriorityClass", "operator": operator, "values": ["high"]});
            covers(&quota(json!({"scopeSelector": {"matchExpressions": [one]}})), &pods::KIND, &pod)
        };
        assert!(selects("In") && selects("Exists") && !selects("NotIn") && !selects("DoesNotExist"));
        let of = |scope: &str| covers(&quota(json!({"scopes": [scope]})), &pods::KIND, &pod);
        assert!(of("BestEffort") && of("NotTerminating") && !of("NotBestEffort") && !of("Terminating"));
        assert!(!covers(&quota(json!({"scopes": ["BestEffort"]})), &services::KIND, &pod));
    }
}
