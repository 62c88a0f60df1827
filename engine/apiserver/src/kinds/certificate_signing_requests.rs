//! CertificateSigningRequests. Counterpart: `pkg/registry/certificates/certificates`,
//! `pkg/apis/certificates/validation`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use labkit_api::{Object, StatusCause, UserInfo};
use labkit_pki::SigningRequest;
use serde_json::{Value, json};

use crate::field;
use crate::kinds::kind::keep;
use crate::kinds::{Kind, Strategy, Subresource};
use crate::pod_spec::{list, text as text_of};
use crate::table::{self, AGE, or_none, text};

pub(crate) static KIND: Kind = Kind {
    short_names: &["csr"],
    columns: &[
        AGE,
        text("SignerName", "Who is to sign it."),
        text("Requestor", "Who asks for it."),
        text("RequestedDuration", "How long the certificate shall be valid."),
        text("Condition", "What became of it."),
    ],
    subresources: &[Subresource::Approval, Subresource::Status],
    selectable_fields: &["spec.signerName"],
    ..Kind::of::<CertificateSigningRequest>(&CertificateSigningRequests)
};

/// The shortest life that can be asked for.
const SECONDS_MIN: i64 = 600;
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

struct CertificateSigningRequests;

impl Strategy for CertificateSigningRequests {
    fn set_defaults(&self, object: &mut Object) {
        let conditions = object.rest.get_mut("status").and_then(|status| status.get_mut("conditions"));
        for condition in conditions.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(condition) = condition.as_object_mut() {
                condition.entry("status").or_insert(json!("True"));
            }
        }
    }

    fn new_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    fn set_requester(&self, object: &mut Object, user: &UserInfo) {
        object.set_at(&["spec", "username"], json!(user.name));
        object.set_at(&["spec", "groups"], json!(user.groups));
        for (name, value, is_empty) in [
            ("uid", json!(user.uid), user.uid.is_empty()),
            ("extra", json!(user.extra), user.extra.is_empty()),
        ] {
            match is_empty {
                true => drop(object.remove_at(&["spec", name])),
                false => object.set_at(&["spec", name], value),
            }
        }
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "spec");
        keep(object, old, "status");
    }

    fn prepare_for_status_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "spec");
        // Approval and denial are written through `approval` alone.
        let is_verdict = |condition: &&Value| matches!(text_of(condition, "type"), "Approved" | "Denied");
        let own = conditions(object).iter().filter(|condition| !is_verdict(condition)).cloned();
        let kept = conditions(old).iter().filter(is_verdict).cloned();
        let all: Vec<Value> = kept.chain(own).collect();
        if !all.is_empty() {
            object.set_at(&["status", "conditions"], Value::Array(all));
        }
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = object.rest.get("spec").unwrap_or(&Value::Null);
        let mut errors = Vec::new();
        if let Err(why) = parse(object) {
            errors.push(field::invalid("spec.request", text_of(spec, "request"), &why));
        }
        if list(spec, "usages").is_empty() {
            errors.push(field::required("spec.usages", ""));
        }
        match text_of(spec, "signerName") {
            "" => errors.push(field::required("spec.signerName", "")),
            name if !name
                .split_once('/')
                .is_some_and(|(domain, path)| domain.contains('.') && !path.is_empty()) =>
            {
                let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
                errors.push(field::invalid("spec.signerName", name, why));
            }
            _ => {}
        }
        let seconds = object.i64_at(&["spec", "expirationSeconds"]);
        if let Some(seconds) = seconds.filter(|seconds| *seconds < SECONDS_MIN) {
            let why = "may not specify a duration less than 600 seconds (10 minutes)";
            errors.push(field::invalid("spec.expirationSeconds", seconds, why));
        }
        errors
    }

    fn validate_approval(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let has =
            |object: &Object, kind: &str| conditions(object).iter().any(|own| text_of(own, "type") == kind);
        let mut errors = Vec::new();
        for kind in ["Approved", "Denied"] {
            if has(old, kind) && !has(object, kind) {
                let why = format!("updates may not remove a condition of type {kind:?}");
                errors.push(field::forbidden("status.conditions", &why));
            }
        }
        if has(object, "Approved") && has(object, "Denied") {
            let why = "Approved and Denied conditions are mutually exclusive";
            errors.push(field::invalid("status.conditions", "Denied", why));
        }
        errors
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = |name: &str| object.str_at(&["spec", name]).unwrap_or_default();
        let duration =
            object.i64_at(&["spec", "expirationSeconds"]).and_then(|seconds| u64::try_from(seconds).ok());
        let duration = duration
            .map(|seconds| labkit_api::duration::human_duration(std::time::Duration::from_secs(seconds)))
            .unwrap_or_default();
        vec![
            table::age(object, now),
            json!(spec("signerName")),
            json!(spec("username")),
            or_none(&duration),
            json!(condition(object)),
        ]
    }
}

fn conditions(object: &Object) -> &[Value] {
    object.at(&["status", "conditions"]).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `Pending`, or `Approved,Issued`.
fn condition(object: &Object) -> String {
    let has = |kind: &str| conditions(object).iter().any(|own| text_of(own, "type") == kind);
    let is_issued = object.str_at(&["status", "certificate"]).is_some_and(|pem| !pem.is_empty());
    let verdict = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    format!("{verdict}{failed}{}", if is_issued { ",Issued" } else { "" })
}

/// The request itself.
fn parse(object: &Object) -> Result<SigningRequest, String> {
    let request = object.str_at(&["spec", "request"]).unwrap_or_default();
    let pem = STANDARD.decode(request).ok().and_then(|pem| String::from_utf8(pem).ok());
    SigningRequest::parse(&pem.unwrap_or_default())
}

/// Whether it asks to become one of those who may do everything.
pub(crate) fn asks_for_masters(object: &Object) -> bool {
    object.str_at(&["spec", "signerName"]) == Some(CLIENT_SIGNER)
        && parse(object)
            .is_ok_and(|request| request.organizations.iter().any(|group| group == "system:masters"))
}
