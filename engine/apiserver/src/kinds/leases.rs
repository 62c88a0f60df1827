//! Leases of coordination.k8s.io: heartbeats of nodes and locks of leaders; no leases of etcd.
//! Counterpart: `pkg/registry/coordination/lease`.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use labkit_api::{Object, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy};
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    columns: &[text("Holder", "holderIdentity contains the identity of the holder of a current lease."), AGE],
    is_eager: true,
    ..Kind::of::<Lease>(&Leases)
};

struct Leases;

impl Strategy for Leases {
    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        let duration = object.i64_at(&["spec", "leaseDurationSeconds"]);
        if let Some(seconds) = duration.filter(|seconds| *seconds <= 0) {
            errors.push(field::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
        }
        errors.extend(field::non_negative(
            "spec.leaseTransitions",
            object.i64_at(&["spec", "leaseTransitions"]),
        ));
        errors
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![json!(object.str_at(&["spec", "holderIdentity"]).unwrap_or_default()), table::age(object, now)]
    }
}
