//! ControllerRevisions: the past templates of DaemonSets and StatefulSets.
//! Counterpart: `pkg/registry/apps/controllerrevision`.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::table::{self, AGE, number, or_none, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[
        text("Controller", "The object whose revision this is."),
        number("Revision", "The number of the revision."),
        AGE,
    ],
    ..Kind::of::<ControllerRevision>(&ControllerRevisions)
};

struct ControllerRevisions;

impl Strategy for ControllerRevisions {
    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let revision = object.i64_at(&["revision"]);
        field::non_negative("revision", revision).into_iter().collect()
    }

    fn validate_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let null = Value::Null;
        let data = |object: &Object| object.rest.get("data").unwrap_or(&null).clone();
        field::immutable("data", &data(object), &data(old)).into_iter().collect()
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let owner = object.metadata.owner_references.iter().find(|owner| owner.controller == Some(true));
        let controller = owner.map(|owner| {
            let kind = owner.kind.to_lowercase();
            match owner.api_version.split_once('/') {
                Some((group, _)) => format!("{kind}.{group}/{}", owner.name),
                None => format!("{kind}/{}", owner.name),
            }
        });
        let revision = object.i64_at(&["revision"]).unwrap_or_default();
        vec![or_none(&controller.unwrap_or_default()), json!(revision), table::age(object, now)]
    }
}
