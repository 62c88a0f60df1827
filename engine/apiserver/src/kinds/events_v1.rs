//! Events as events.k8s.io/v1 names their fields; stored as core ones. Counterpart: `pkg/apis/events/v1`.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::kinds::{Kind, Strategy, events};

pub(crate) static KIND: Kind = Kind {
    short_names: &["ev"],
    columns: events::COLUMNS,
    selectable_fields: &[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ],
    is_eager: true,
    ..Kind::of::<Event>(&EventsV1)
};

/// Field here, field of the core kind.
const RENAMED: &[(&str, &str)] = &[
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

struct EventsV1;

impl Strategy for EventsV1 {
    fn set_defaults(&self, object: &mut Object) {
        object.rest.entry("type").or_insert(json!("Normal"));
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        events::KIND.strategy.validate(object)
    }

    fn field(&self, object: &Object, path: &str) -> String {
        let (head, tail) = path.split_once('.').unwrap_or((path, ""));
        let head = RENAMED.iter().find(|(here, _)| *here == head).map_or(head, |(_, there)| there);
        let path = if tail.is_empty() { head.to_owned() } else { format!("{head}.{tail}") };
        events::KIND.strategy.field(object, &path)
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        events::cells(object, now)
    }

    fn to_stored(&self, mut object: Object) -> Object {
        object.api_version = events::KIND.api_version();
        rename(&mut object, |pair| *pair);
        object
    }

    fn to_served(&self, mut object: Object) -> Object {
        object.api_version = KIND.api_version();
        rename(&mut object, |(here, there)| (*there, *here));
        object
    }

    fn expires(&self) -> bool {
        true
    }
}

fn rename(
    object: &mut Object,
    direction: impl Fn(&(&'static str, &'static str)) -> (&'static str, &'static str),
) {
    for (from, to) in RENAMED.iter().map(direction) {
        if let Some(value) = object.rest.shift_remove(from) {
            object.rest.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_way_to_the_store_and_back() {
        let served = Object::from_value(json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "a", "namespace": "default"},
            "reason": "Scheduled", "type": "Normal", "note": "Successfully assigned",
            "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "reportingController": "default-scheduler"
        }))
        .unwrap();
        let stored = KIND.strategy.to_stored(served.clone());
        assert_eq!(stored.api_version, "v1");
        assert_eq!(stored.str_at(&["message"]), Some("Successfully assigned"));
        assert_eq!(KIND.strategy.field(&stored, "regarding.kind"), "Pod");
        assert_eq!(KIND.strategy.to_served(stored).rest.len(), served.rest.len());
    }
}
