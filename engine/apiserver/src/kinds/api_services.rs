//! APIServices: who answers for a group and version. Counterpart: `kube-aggregator/pkg/registry/apiservice`.

use jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use labkit_api::validation::{
    is_dns1035_label, is_dns1123_subdomain, is_path_segment_name, is_valid_port_num,
};
use labkit_api::{Object, StatusCause, Time};
use serde_json::{Value, json};

use crate::custom::status::{self, Condition};
use crate::field;
use crate::kinds::kind::{fill, keep};
use crate::kinds::{Kind, Strategy, Subresource};
use crate::table::{self, AGE, text};

pub(crate) static KIND: Kind = Kind {
    categories: &["api-extensions"],
    prefix: "apiregistration.k8s.io/apiservices",
    columns: &[
        text("Service", "The reference to the service that hosts this API endpoint."),
        text("Available", "Whether this service is available."),
        AGE,
    ],
    subresources: &[Subresource::Status],
    ..Kind::of::<APIService>(&ApiServices)
};

/// The condition that says whether requests can be passed on.
pub(crate) const AVAILABLE: &str = "Available";

struct ApiServices;

impl Strategy for ApiServices {
    fn set_defaults(&self, object: &mut Object) {
        fill(object, &["spec", "service"], json!({"port": 443}));
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        is_path_segment_name(name)
    }

    /// What is served here is available from the start.
    fn prepare_for_create(&self, object: &mut Object) {
        object.rest.insert("status".to_owned(), json!({}));
        if let Some(Time(now)) = object.metadata.creation_timestamp
            && object.at(&["spec", "service"]).is_none()
        {
            let message = "Local APIServices are always available";
            let condition = Condition { name: AVAILABLE, is_true: true, reason: "Local", message };
            status::set(object, condition, Time(now));
        }
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        keep(object, old, "status");
    }

    fn prepare_for_status_update(&self, object: &mut Object, old: &Object) {
        crate::kinds::kind::keep_all_but(object, old, "status");
        object.metadata.labels = old.metadata.labels.clone();
        object.metadata.annotations = old.metadata.annotations.clone();
        object.metadata.owner_references = old.metadata.owner_references.clone();
        object.metadata.finalizers = old.metadata.finalizers.clone();
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let spec = |name: &str| object.str_at(&["spec", name]).unwrap_or_default();
        let (group, version) = (spec("group"), spec("version"));
        let mut errors = Vec::new();
        let expected = format!("{version}.{group}");
        if object.metadata.name != expected && !object.metadata.name.is_empty() {
            let why = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
            errors.push(field::invalid("metadata.name", &object.metadata.name, &why));
        }
        if group.is_empty() && version != "v1" {
            let why = "only v1 may have an empty group and it better be legacy kube";
            errors.push(field::required("spec.group", why));
        }
        if !group.is_empty() {
            errors.extend(field::invalid_all("spec.group", group, is_dns1123_subdomain(group)));
        }
        errors.extend(field::invalid_all("spec.version", version, is_dns1035_label(version)));
        for (name, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
            let priority = object.i64_at(&["spec", name]).unwrap_or_default();
            if !(1..=most).contains(&priority) {
                let why = format!("must be positive and less than {most}");
                errors.push(field::invalid(format!("spec.{name}"), priority, &why));
            }
        }
        errors.extend(validate_service(object));
        errors
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let service = |name: &str| object.str_at(&["spec", "service", name]);
        let host = match (service("namespace"), service("name")) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            _ => "Local".to_owned(),
        };
        let available = match status::find(object, AVAILABLE) {
            None => "Unknown".to_owned(),
            Some(condition) => {
                let text = |name: &str| condition[name].as_str().unwrap_or_default();
                match text("status") {
                    "True" => "True".to_owned(),
                    status => format!("{status} ({})", text("reason")),
                }
            }
        };
        vec![json!(host), json!(available), table::age(object, now)]
    }
}

fn validate_service(object: &Object) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let bundle = object.str_at(&["spec", "caBundle"]).unwrap_or_default();
    let is_insecure = object.at(&["spec", "insecureSkipTLSVerify"]) == Some(&json!(true));
    let Some(service) = object.at(&["spec", "service"]) else {
        if !bundle.is_empty() {
            let shown = format!("{} bytes", bundle.len() / 4 * 3);
            let why = "local APIServices may not have a caBundle";
            errors.push(field::invalid("spec.caBundle", shown.as_str(), why));
        }
        if is_insecure {
            let why = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(field::invalid("spec.insecureSkipTLSVerify", true, why));
        }
        return errors;
    };
    for name in ["namespace", "name"] {
        if service[name].as_str().unwrap_or_default().is_empty() {
            errors.push(field::required(format!("spec.service.{name}"), ""));
        }
    }
    let port = service["port"].as_i64().unwrap_or_default();
    let complaints = is_valid_port_num(port);
    if !complaints.is_empty() {
        let why = format!("port is not valid: {}", complaints.join(", "));
        errors.push(field::invalid("spec.service.port", port, &why));
    }
    if is_insecure && !bundle.is_empty() {
        let why = "may not be true if caBundle is present";
        errors.push(field::invalid("spec.insecureSkipTLSVerify", true, why));
    }
    errors
}
