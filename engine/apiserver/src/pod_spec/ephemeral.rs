//! Ephemeral containers: what may be in one, and that they are only ever added. Counterparts:
//! `validateEphemeralContainers`, `ValidatePodEphemeralContainersUpdate`.

use std::collections::BTreeSet;

use labkit_api::StatusCause;
use serde_json::Value;

use crate::field;
use crate::pod_spec::{containers, list, text, volumes};

const PATH: &str = "spec.ephemeralContainers";

/// What no ephemeral container has, in the order in which upstream complains.
const ABSENT: &[&str] = &[
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// Of a pod that is made.
pub(crate) fn validate_new(spec: &Value) -> Option<StatusCause> {
    let has_some = !list(spec, "ephemeralContainers").is_empty();
    has_some.then(|| field::forbidden(PATH, "cannot be set on create"))
}

/// Of a pod that gets more of them.
pub(crate) fn validate_update(new: &Value, old: &Value) -> Vec<StatusCause> {
    let mut errors = validate(new);
    for before in list(old, "ephemeralContainers") {
        let name = text(before, "name");
        match list(new, "ephemeralContainers").iter().find(|after| text(after, "name") == name) {
            None => {
                let why = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.push(field::forbidden(PATH, &why));
            }
            Some(after) if after != before => {
                let why = format!("existing ephemeral containers {name:?} may not be changed\n");
                errors.push(field::forbidden(PATH, &why));
            }
            Some(_) => {}
        }
    }
    errors
}

fn validate(spec: &Value) -> Vec<StatusCause> {
    let volume_names = volumes::validate(spec, "spec").0;
    let others: BTreeSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|field| list(spec, field))
        .map(|own| text(own, "name"))
        .collect();
    let mut names = others.clone();
    let mut errors = Vec::new();
    for (index, container) in list(spec, "ephemeralContainers").iter().enumerate() {
        let at = format!("{PATH}[{index}]");
        errors.extend(containers::validate(container, &volume_names, &at));
        let name = text(container, "name");
        if !name.is_empty() && !names.insert(name) {
            errors.push(field::duplicate(format!("{at}.name"), name));
        }
        let target = text(container, "targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.push(field::not_found(format!("{at}.targetContainerName"), target));
        }
        for absent in ABSENT {
            let is_set = match container.get(*absent) {
                None | Some(Value::Null) => false,
                Some(Value::Object(fields)) => *absent != "resources" || !fields.is_empty(),
                Some(Value::Array(items)) => !items.is_empty(),
                Some(_) => true,
            };
            if is_set {
                errors.push(field::forbidden(
                    format!("{at}.{absent}"),
                    "cannot be set for an Ephemeral Container",
                ));
            }
        }
        for (mount, own) in list(container, "volumeMounts").iter().enumerate() {
            for path in ["subPath", "subPathExpr"] {
                if !text(own, path).is_empty() {
                    let at = format!("{at}.volumeMounts[{mount}].{path}");
                    errors.push(field::forbidden(at, "cannot be set for an Ephemeral Container"));
                }
            }
        }
    }
    errors
}
