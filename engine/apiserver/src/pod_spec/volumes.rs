//! Volumes and their mounts.

use std::collections::BTreeSet;

use labkit_api::StatusCause;
use labkit_api::validation::is_dns1123_label;
use serde_json::Value;

use crate::field;
use crate::pod_spec::{list, text};

/// The volumes of a pod spec. Gives their names too, against which mounts are checked.
pub(crate) fn validate(spec: &Value, path: &str) -> (BTreeSet<String>, Vec<StatusCause>) {
    let (mut names, mut errors) = (BTreeSet::new(), Vec::new());
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let at = format!("{path}.volumes[{index}]");
        match text(volume, "name") {
            "" => errors.push(field::required(format!("{at}.name"), "")),
            name => {
                errors.extend(field::invalid_all(&format!("{at}.name"), name, is_dns1123_label(name)));
                if !names.insert(name.to_owned()) {
                    errors.push(field::duplicate(format!("{at}.name"), name));
                }
            }
        }
        errors.extend(validate_source(volume, &at));
    }
    (names, errors)
}

fn validate_source(volume: &Value, path: &str) -> Vec<StatusCause> {
    let sources: Vec<&String> = volume
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .filter(|name| *name != "name")
        .collect();
    match sources.as_slice() {
        [] => return vec![field::required(path, "must specify a volume type")],
        [_] => {}
        [_, more @ ..] => {
            let refusal = |name: &&String| {
                field::forbidden(format!("{path}.{name}"), "may not specify more than 1 volume type")
            };
            return more.iter().map(refusal).collect();
        }
    }
    let needed: &[(&str, &str)] = &[
        ("secret", "secretName"),
        ("configMap", "name"),
        ("hostPath", "path"),
        ("persistentVolumeClaim", "claimName"),
        ("nfs", "server"),
    ];
    let missing = needed
        .iter()
        .filter(|(source, field)| volume.get(source).is_some_and(|source| text(source, field).is_empty()));
    missing.map(|(source, field)| field::required(format!("{path}.{source}.{field}"), "")).collect()
}

/// The mounts of one container.
pub(crate) fn validate_mounts(container: &Value, volumes: &BTreeSet<String>, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let mut mount_paths = BTreeSet::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let at = format!("{path}.volumeMounts[{index}]");
        let (name, mount_path) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            errors.push(field::required(format!("{at}.name"), ""));
        } else if !volumes.contains(name) {
            errors.push(field::not_found(format!("{at}.name"), name));
        }
        if mount_path.is_empty() {
            errors.push(field::required(format!("{at}.mountPath"), ""));
        } else if !mount_paths.insert(mount_path) {
            errors.push(field::invalid(format!("{at}.mountPath"), mount_path, "must be unique"));
        }
    }
    errors
}
