//! LimitRanger: the defaults that a namespace's limit ranges give containers, and the limits that they set.
//! Counterpart: `plugin/pkg/admission/limitranger`. Pods and claims are looked at when they are made; maps are
//! walked in the order of their names.

use std::sync::Arc;

use labkit_api::{Object, Quantity, Status, Verb};
use serde_json::{Map, Value, json};

use crate::admission::Attributes;
use crate::kinds::workload::list;
use crate::kinds::{Kind, persistent_volume_claims, pods};
use crate::pod_spec::text;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Fields = Map<String, Value>;

/// Whether limit ranges have a say in the making of such objects.
pub(super) fn concerns(kind: &'static Kind, verb: Verb) -> bool {
    let is = |other: &'static Kind| std::ptr::eq(kind, other);
    verb == Verb::Create && (is(&pods::KIND) || is(&persistent_volume_claims::KIND))
}

pub(super) fn admit(attributes: &mut Attributes<'_>) -> Result<(), Status> {
    if attributes.limit_ranges.is_empty() || attributes.subresource.is_some() {
        return Ok(());
    }
    let ranges: Vec<Arc<Object>> = attributes.limit_ranges.iter().map(|entry| entry.object()).collect();
    let kind = attributes.kind;
    let Some(object) = attributes.object.as_deref_mut() else { return Ok(()) };
    let is_pod = std::ptr::eq(kind, &pods::KIND);
    let limits: Vec<&Value> =
        ranges.iter().flat_map(|range| list(range.rest.get("spec"), "limits")).collect();
    if is_pod {
        limits
            .iter()
            .filter(|limit| text(limit, "type") == "Container")
            .for_each(|limit| fill(object, limit));
    }
    for range in &ranges {
        let mut errors = Vec::new();
        for limit in list(range.rest.get("spec"), "limits") {
            let amounts = Limit { limit, noun: text(limit, "type") };
            match (amounts.noun, is_pod) {
                ("Container", true) => containers(object).for_each(|container| {
                    amounts.judge(&Amounts::of(container.get("resources")), &mut errors)
                }),
                ("Pod", true) => amounts.judge(&Amounts::of_pod(object), &mut errors),
                ("PersistentVolumeClaim", false) => {
                    amounts.judge_claim(&Amounts::of(object.at(&["spec", "resources"])), &mut errors);
                }
                _ => {}
            }
        }
        let why = match errors.as_slice() {
            [] => continue,
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        return Err(Status::forbidden(&kind.resource(), attributes.shown_name(), &why));
    }
    Ok(())
}

fn containers(pod: &Object) -> impl Iterator<Item = &Value> {
    let spec = pod.rest.get("spec");
    list(spec, "containers").iter().chain(list(spec, "initContainers"))
}

/// Gives the containers what the limit range gives those that do not say it, and notes so in an annotation.
fn fill(pod: &mut Object, limit: &Value) {
    let mut notes = Vec::new();
    for (field, noun) in [("containers", "container"), ("initContainers", "init container")] {
        let all = pod.rest.get_mut("spec").and_then(|spec| spec.get_mut(field)).and_then(Value::as_array_mut);
        for container in all.into_iter().flatten().filter_map(Value::as_object_mut) {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            for (to, from, word) in
                [("requests", "defaultRequest", "request"), ("limits", "default", "limit")]
            {
                let given = limit.get(from).and_then(Value::as_object);
                let mut set = given.map(|given| fill_container(container, to, given)).unwrap_or_default();
                set.sort();
                if !set.is_empty() {
                    notes.push(format!("{} {word} for {noun} {name}", set.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        pod.metadata.annotations.insert(ANNOTATION.to_owned(), note);
    }
}

/// Returns which resources were set.
fn fill_container(container: &mut Fields, field: &str, defaults: &Fields) -> Vec<String> {
    let resources = container.entry("resources").or_insert_with(|| json!({}));
    let Some(resources) = resources.as_object_mut() else { return Vec::new() };
    let missing: Vec<(String, Value)> = defaults
        .iter()
        .filter(|(name, _)| resources.get(field).is_none_or(|present| present.get(name.as_str()).is_none()))
        .map(|(name, amount)| (name.clone(), amount.clone()))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let present = resources.entry(field).or_insert_with(|| json!({}));
    let set = missing.iter().map(|(name, _)| name.clone()).collect();
    if let Some(present) = present.as_object_mut() {
        present.extend(missing);
    }
    set
}

/// What is asked for.
#[derive(Debug, Default)]
struct Amounts {
    requests: Vec<(String, Quantity)>,
    limits: Vec<(String, Quantity)>,
}

impl Amounts {
    fn of(resources: Option<&Value>) -> Amounts {
        let part = |field: &str| {
            let amounts = resources.and_then(|resources| resources.get(field)).and_then(Value::as_object);
            let read =
                |(name, amount): (&String, &Value)| Some((name.clone(), Quantity::from_value(amount).ok()?));
            amounts.into_iter().flatten().filter_map(read).collect()
        };
        Amounts { requests: part("requests"), limits: part("limits") }
    }

    /// The containers' together, or the largest init container's where that is more.
    fn of_pod(pod: &Object) -> Amounts {
        let spec = pod.rest.get("spec");
        let mut whole = Amounts::default();
        for container in list(spec, "containers") {
            whole.merge(Amounts::of(container.get("resources")), |sum, amount| *sum += amount);
        }
        for container in list(spec, "initContainers") {
            whole.merge(Amounts::of(container.get("resources")), |most, amount| *most = (*most).max(amount));
        }
        whole
    }

    fn merge(&mut self, other: Amounts, with: impl Fn(&mut Quantity, Quantity)) {
        for (into, from) in [(&mut self.requests, other.requests), (&mut self.limits, other.limits)] {
            for (name, amount) in from {
                match into.iter_mut().find(|(present, _)| *present == name) {
                    Some((_, present)) => with(present, amount),
                    None => into.push((name, amount)),
                }
            }
        }
    }

    fn request(&self, name: &str) -> Option<Quantity> {
        self.requests.iter().find(|(present, _)| present == name).map(|(_, amount)| *amount)
    }

    fn limit(&self, name: &str) -> Option<Quantity> {
        self.limits.iter().find(|(present, _)| present == name).map(|(_, amount)| *amount)
    }
}

/// One entry of a limit range's `spec.limits`.
struct Limit<'a> {
    limit: &'a Value,
    noun: &'a str,
}

impl Limit<'_> {
    fn bounds(&self, field: &str) -> impl Iterator<Item = (&String, Quantity)> {
        let bounds = self.limit.get(field).and_then(Value::as_object).into_iter().flatten();
        bounds.filter_map(|(name, amount)| Some((name, Quantity::from_value(amount).ok()?)))
    }

    fn judge(&self, asked: &Amounts, errors: &mut Vec<String>) {
        let noun = self.noun;
        for (name, bound) in self.bounds("min") {
            let rule = format!("minimum {name} usage per {noun} is {bound}");
            errors.extend(match (asked.request(name), asked.limit(name)) {
                (None, _) => Some(format!("{rule}. No request is specified")),
                (Some(request), _) if request < bound => Some(format!("{rule}, but request is {request}")),
                (_, Some(limit)) if limit < bound => Some(format!("{rule}, but limit is {limit}")),
                _ => None,
            });
        }
        for (name, bound) in self.bounds("max") {
            let rule = format!("maximum {name} usage per {noun} is {bound}");
            errors.extend(match (asked.limit(name), asked.request(name)) {
                (None, _) => Some(format!("{rule}. No limit is specified")),
                (Some(limit), _) if limit > bound => Some(format!("{rule}, but limit is {limit}")),
                (_, Some(request)) if request > bound => Some(format!("{rule}, but request is {request}")),
                _ => None,
            });
        }
        for (name, bound) in self.bounds("maxLimitRequestRatio") {
            let rule = format!("{name} max limit to request ratio per {noun} is {bound}");
            let some = |amount: Option<Quantity>| amount.filter(|amount| !amount.is_zero());
            errors.extend(match (some(asked.request(name)), some(asked.limit(name))) {
                (None, _) => Some(format!("{rule}, but no request is specified or request is 0")),
                (_, None) => Some(format!("{rule}, but no limit is specified or limit is 0")),
                (Some(request), Some(limit)) => {
                    let ratio = limit.milli() as f64 / request.milli() as f64;
                    let is_above = limit.milli() * 1_000 > bound.milli() * request.milli();
                    is_above.then(|| format!("{rule}, but provided ratio is {ratio:.6}"))
                }
            });
        }
    }

    /// A claim has requests only.
    fn judge_claim(&self, asked: &Amounts, errors: &mut Vec<String>) {
        let noun = self.noun;
        for (field, word) in [("min", "minimum"), ("max", "maximum")] {
            for (name, bound) in self.bounds(field) {
                let rule = format!("{word} {name} usage per {noun} is {bound}");
                errors.extend(match asked.request(name) {
                    None => Some(format!("{rule}. No request is specified")),
                    Some(request)
                        if (field == "min" && request < bound) || (field == "max" && request > bound) =>
                    {
                        Some(format!("{rule}, but request is {request}"))
                    }
                    Some(_) => None,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: Value, resources: Value, expected: &[&str]) {
        let mut errors = Vec::new();
        let noun = text(&limit, "type");
        Limit { limit: &limit, noun }.judge(&Amounts::of(Some(&resources)), &mut errors);
        assert_eq!(errors, expected);
    }

    #[test]
    fn bounds_are_judged_in_upstreams_words() {
        let max = json!({"type": "Container", "max": {"cpu": "500m"}});
        check(
            max.clone(),
            json!({"limits": {"cpu": "1"}}),
            &["maximum cpu usage per Container is 500m, but limit is 1"],
        );
        check(max.clone(), json!({}), &["maximum cpu usage per Container is 500m. No limit is specified"]);
        check(max, json!({"limits": {"cpu": "500m"}}), &[]);
        let min = json!({"type": "Pod", "min": {"memory": "64Mi"}});
        check(min.clone(), json!({}), &["minimum memory usage per Pod is 64Mi. No request is specified"]);
        check(
            min,
            json!({"requests": {"memory": "32Mi"}}),
            &["minimum memory usage per Pod is 64Mi, but request is 32Mi"],
        );
        let ratio = json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}});
        check(
            ratio.clone(),
            json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "300m"}}),
            &["cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"],
        );
        check(ratio, json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}), &[]);
    }

    #[test]
    fn a_pod_asks_for_its_containers_together_or_its_largest_init_container() {
        let of = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let pod = |init: &str| {
            let spec = json!({"containers": [of("100m"), of("200m")], "initContainers": [of(init)]});
            Object::from_value(json!({"spec": spec})).unwrap()
        };
        let request = |init: &str| Amounts::of_pod(&pod(init)).request("cpu").unwrap().to_string();
        assert_eq!((request("1").as_str(), request("50m").as_str()), ("1", "300m"));
    }
}
