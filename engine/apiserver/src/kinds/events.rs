//! Events; they expire. events.k8s.io/v1 shows the same ones. Counterpart: `pkg/registry/core/event`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::kind::field_text;
use crate::kinds::{Kind, Strategy};
use crate::table::{self, Column, number, since, text, wide};

pub(crate) static KIND: Kind = Kind {
    short_names: &["ev"],
    columns: COLUMNS,
    selectable_fields: &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ],
    is_eager: true,
    ..Kind::of::<Event>(&Events)
};

/// NAME comes last here and is wide: see [`crate::table::leads_with_name`].
pub(crate) const COLUMNS: &[Column] = &[
    text("Last Seen", "The time at which the most recent occurrence of this event was recorded."),
    text("Type", "Type of this event (Normal, Warning), new types could be added in the future"),
    text(
        "Reason",
        "This should be a short, machine understandable string that gives the reason for the transition into the object's current status.",
    ),
    text("Object", "The object that this event is about."),
    wide(
        "Subobject",
        "If referring to a piece of an object instead of an entire object, this string should contain a valid JSON/Go field access statement, such as desiredState.manifest.containers[2].",
    ),
    wide("Source", "The component reporting this event. Should be a short machine understandable string."),
    text("Message", "A human-readable description of the status of this operation."),
    wide(
        "First Seen",
        "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
    ),
    Column { priority: 1, ..number("Count", "The number of times this event has occurred.") },
    wide("Name", "Name must be unique within a namespace."),
];

struct Events;

impl Strategy for Events {
    fn set_defaults(&self, object: &mut Object) {
        object.rest.entry("type").or_insert(json!("Normal"));
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        validate(object)
    }

    fn field(&self, object: &Object, path: &str) -> String {
        match path {
            "source" => match object.str_at(&["source", "component"]).unwrap_or_default() {
                "" => object.str_at(&["reportingComponent"]).unwrap_or_default().to_owned(),
                source => source.to_owned(),
            },
            path => field_text(object, path),
        }
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        cells(object, now)
    }

    fn expires(&self) -> bool {
        true
    }
}

/// An event lives in the namespace of what it is about; events about cluster-scoped objects, in `default`.
fn validate(object: &Object) -> Vec<StatusCause> {
    let involved = object.str_at(&["involvedObject", "namespace"]).unwrap_or_default();
    let namespace = object.metadata.namespace.as_str();
    let fits = if involved.is_empty() {
        matches!(namespace, "default" | "kube-system")
    } else {
        involved == namespace
    };
    if fits {
        return Vec::new();
    }
    vec![field::invalid("involvedObject.namespace", involved, "does not match event.namespace")]
}

pub(crate) fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let text = |path: &[&str]| object.str_at(path).unwrap_or_default().to_owned();
    let when = |path: &[&str]| table::time(object.at(path));
    let first = since(when(&["firstTimestamp"]).or_else(|| when(&["eventTime"])), now);
    let mut last = match when(&["lastTimestamp"]) {
        None => first.clone(),
        time => since(time, now),
    };
    let mut count = object.i64_at(&["count"]).filter(|count| *count != 0).unwrap_or(1);
    if object.at(&["series"]).is_some() {
        last = since(when(&["series", "lastObservedTime"]), now);
        count = object.i64_at(&["series", "count"]).unwrap_or_default();
    }
    let kind = text(&["involvedObject", "kind"]).to_lowercase();
    let name = text(&["involvedObject", "name"]);
    let target = if kind.is_empty() { name } else { format!("{kind}/{name}") };
    vec![
        json!(last),
        json!(text(&["type"])),
        json!(text(&["reason"])),
        json!(target),
        json!(text(&["involvedObject", "fieldPath"])),
        json!(source(object)),
        json!(text(&["message"]).trim()),
        json!(first),
        json!(count),
        json!(object.metadata.name),
    ]
}

/// `kubelet, worker1`.
fn source(object: &Object) -> String {
    let text = |path: &[&str]| object.str_at(path).unwrap_or_default().to_owned();
    let component = match text(&["source", "component"]) {
        none if none.is_empty() => text(&["reportingComponent"]),
        component => component,
    };
    let host = match text(&["source", "host"]) {
        none if none.is_empty() => text(&["reportingInstance"]),
        host => host,
    };
    [component, host].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}
