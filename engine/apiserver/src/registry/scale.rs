//! The scale of a workload: its replicas as an autoscaling/v1 Scale.

use jiff::Timestamp;
use labkit_api::managed_fields::ApplyError;
use labkit_api::selector::LabelSelector;
use labkit_api::{Object, Status, StatusCause};
use serde_json::{Value, json};

use crate::custom::ScalePaths;
use crate::field;
use crate::kinds::Kind;

/// The workload seen as a Scale, as a client reads it: a custom resource must have its replicas.
pub(crate) fn shown(kind: &Kind, workload: &Object) -> Result<Object, Status> {
    let lacks = |paths: &&ScalePaths| at(workload, &paths.spec_replicas).is_none();
    match kind.strategy.scale_paths().filter(lacks) {
        Some(paths) => {
            let path = paths.spec_replicas.join(".");
            Err(Status::internal(format!("the spec replicas field \".{path}\" does not exist")))
        }
        None => Ok(of(kind, workload)),
    }
}

fn at<'a>(object: &'a Object, path: &[String]) -> Option<&'a Value> {
    object.at(&path.iter().map(String::as_str).collect::<Vec<&str>>())
}

/// The workload seen as a Scale.
pub(crate) fn of(kind: &Kind, workload: &Object) -> Object {
    match kind.strategy.scale_paths() {
        Some(paths) => of_custom(paths, workload),
        None => of_workload(workload),
    }
}

fn of_custom(paths: &ScalePaths, workload: &Object) -> Object {
    let number = |path: &[String]| at(workload, path).and_then(Value::as_i64).unwrap_or_default();
    let mut status = json!({"replicas": number(&paths.status_replicas)});
    let selector = paths.selector.as_ref().and_then(|path| at(workload, path)?.as_str());
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        status["selector"] = json!(selector);
    }
    scale(workload, number(&paths.spec_replicas), status)
}

fn of_workload(workload: &Object) -> Object {
    let selector = workload.at(&["spec", "selector"]).map(|selector| match selector.as_object() {
        // A ReplicationController's selector is the labels themselves.
        Some(labels) if labels.values().all(Value::is_string) => {
            LabelSelector::from_value(&json!({"matchLabels": labels}))
        }
        _ => LabelSelector::from_value(selector),
    });
    let mut status = json!({"replicas": workload.i64_at(&["status", "replicas"]).unwrap_or_default()});
    if let Some(Ok(selector)) = selector {
        status["selector"] = json!(selector.to_string());
    }
    scale(workload, workload.i64_at(&["spec", "replicas"]).unwrap_or_default(), status)
}

fn scale(workload: &Object, replicas: i64, status: Value) -> Object {
    let meta = &workload.metadata;
    let value = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {
            "name": meta.name, "namespace": meta.namespace, "uid": meta.uid,
            "resourceVersion": meta.resource_version, "creationTimestamp": meta.creation_timestamp,
        },
        "spec": {"replicas": replicas},
        "status": status,
    });
    Object::from_value(value).expect("made of valid metadata just above")
}

/// A Scale as `kubectl get --subresource=scale` shows it.
pub(crate) fn table(scale: &Object, now: Timestamp) -> Value {
    let column = |name: &str, kind: &str, format: &str| json!({"name": name, "type": kind, "format": format, "description": "", "priority": 0});
    let replicas = |part: &str| scale.i64_at(&[part, "replicas"]).unwrap_or_default();
    let cells =
        json!([scale.metadata.name, replicas("spec"), replicas("status"), crate::table::age(scale, now)]);
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": scale.metadata.resource_version},
        "columnDefinitions": [
            column("Name", "string", "name"), column("Desired", "integer", ""),
            column("Available", "integer", ""), column("Age", "string", ""),
        ],
        "rows": [{"cells": cells, "object": crate::table::partial_object(scale)}],
    })
}

/// What a configuration of a Scale says, as a configuration of the workload: its replicas, and which object is meant.
pub(crate) fn configuration(kind: &Kind, scale: &Value) -> Value {
    let mut value = json!({"apiVersion": kind.api_version(), "kind": kind.kind});
    if let Some(metadata) = scale.get("metadata").and_then(Value::as_object) {
        let of_object = ["name", "namespace", "uid", "resourceVersion"];
        value["metadata"] =
            metadata.iter().filter(|(name, _)| of_object.contains(&name.as_str())).map(owned).collect();
    }
    if let Some(replicas) = scale.pointer("/spec/replicas") {
        let mut place = &mut value;
        for part in spec_replicas(kind) {
            place = &mut place[part];
        }
        *place = replicas.clone();
    }
    value
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// Where the kind has its replicas.
fn spec_replicas(kind: &Kind) -> Vec<String> {
    match kind.strategy.scale_paths() {
        Some(paths) => paths.spec_replicas.clone(),
        None => vec!["spec".to_owned(), "replicas".to_owned()],
    }
}

/// Conflicts as whoever applies a Scale sees them: wherever the workload has them, they are about its replicas.
pub(crate) fn seen_from_outside(error: ApplyError) -> ApplyError {
    let ApplyError::Conflicts(mut conflicts) = error else { return error };
    for conflict in &mut conflicts {
        if let Some((manager, _)) = conflict.manager.split_once(" using ") {
            conflict.manager = format!("{manager} using autoscaling/v1");
        }
        conflict.field = ".spec.replicas".to_owned();
    }
    ApplyError::Conflicts(conflicts)
}

/// The workload with the replicas that a Scale asks for.
pub(crate) fn apply(kind: &Kind, workload: &Object, scale: &Object) -> Result<Object, Status> {
    let replicas = scale.i64_at(&["spec", "replicas"]).unwrap_or_default();
    let errors: Vec<StatusCause> = field::non_negative("spec.replicas", Some(replicas)).into_iter().collect();
    if !errors.is_empty() {
        let gvk = labkit_api::GroupVersionKind::new("autoscaling", "v1", "Scale");
        return Err(Status::invalid(&gvk, &workload.metadata.name, errors));
    }
    let (asked, now) = (&scale.metadata.resource_version, &workload.metadata.resource_version);
    if !asked.is_empty() && asked != now {
        return Err(Status::modified(&kind.resource(), &workload.metadata.name));
    }
    let mut scaled = workload.clone();
    match kind.strategy.scale_paths() {
        Some(paths) => {
            let path: Vec<&str> = paths.spec_replicas.iter().map(String::as_str).collect();
            scaled.set_at(&path, Value::from(replicas));
        }
        None => scaled.set_at(&["spec", "replicas"], Value::from(replicas)),
    }
    Ok(scaled)
}
