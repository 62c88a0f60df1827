//! Requests and limits.

use labkit_api::StatusCause;
use labkit_api::quantity::Quantity;
use labkit_api::validation::is_qualified_name;
use serde_json::Value;

use crate::field;

/// Upstream's words for a quantity that cannot be read.
pub(crate) const QUANTITY_RULE: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const STANDARD: &[&str] = &["cpu", "memory", "ephemeral-storage", "storage"];

/// `resources` of a container.
pub(crate) fn validate(resources: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let part = |field: &str| resources.get(field).and_then(Value::as_object).into_iter().flatten();
    for field in ["limits", "requests"] {
        for (name, value) in part(field) {
            let at = format!("{path}.{field}[{name}]");
            errors.extend(validate_name(name, &format!("{path}.{field}")));
            match Quantity::from_value(value) {
                Err(_) => errors.push(field::invalid(at, value, QUANTITY_RULE)),
                Ok(quantity) if quantity.milli() < 0 => {
                    errors.push(field::invalid(
                        at,
                        quantity.to_string().as_str(),
                        "must be greater than or equal to 0",
                    ));
                }
                Ok(_) => {}
            }
        }
    }
    for (name, request) in part("requests") {
        let limit = resources.get("limits").and_then(|limits| limits.get(name));
        let (Ok(request), Some(Ok(limit))) = (Quantity::from_value(request), limit.map(Quantity::from_value))
        else {
            continue;
        };
        if request.milli() > limit.milli() {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            errors.push(field::invalid(format!("{path}.requests"), request.to_string().as_str(), &detail));
        }
    }
    errors
}

fn validate_name(name: &str, path: &str) -> Vec<StatusCause> {
    let mut errors = field::invalid_all(path, name, is_qualified_name(name));
    let is_standard = STANDARD.contains(&name) || name.starts_with("hugepages-");
    if errors.is_empty() && !name.contains('/') && !is_standard {
        errors.push(field::invalid(path, name, "must be a standard resource type or fully qualified"));
        errors.push(field::invalid(path, name, "must be a standard resource for containers"));
    }
    errors
}
