//! LimitRanges. Counterpart: `pkg/registry/core/limitrange`, `pkg/apis/core/v1/defaults.go`.

use k8s_openapi::api::core::v1::LimitRange;
use labkit_api::{Object, Quantity, StatusCause};
use serde_json::{Value, json};

use crate::field;
use crate::kinds::{Kind, Strategy, workload};
use crate::pod_spec::text as text_of;

pub(crate) static KIND: Kind =
    Kind { short_names: &["limits"], is_eager: true, ..Kind::of::<LimitRange>(&LimitRanges) };

struct LimitRanges;

impl Strategy for LimitRanges {
    fn set_defaults(&self, object: &mut Object) {
        let limits = object.rest.get_mut("spec").and_then(|spec| spec.get_mut("limits"));
        let limits = limits.and_then(Value::as_array_mut).into_iter().flatten();
        for limit in limits.filter(|limit| text_of(limit, "type") == "Container") {
            // Who says only a maximum means it as the limit; who says only a limit means it as the request.
            for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
                let Some(given) = limit.get(from).and_then(Value::as_object).cloned() else { continue };
                if limit.get(to).is_none() {
                    limit[to] = json!({});
                }
                for (name, quantity) in given {
                    if limit[to].get(&name).is_none() {
                        limit[to][name] = quantity;
                    }
                }
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        let mut types = std::collections::BTreeSet::new();
        for (index, limit) in workload::list(object.rest.get("spec"), "limits").iter().enumerate() {
            let path = format!("spec.limits[{index}]");
            let kind = text_of(limit, "type");
            if kind.is_empty() {
                errors.push(field::required(format!("{path}.type"), ""));
            }
            if !types.insert(kind) {
                errors.push(field::duplicate(format!("{path}.type"), kind));
            }
            for (low, high) in [
                ("min", "max"),
                ("min", "default"),
                ("min", "defaultRequest"),
                ("default", "max"),
                ("defaultRequest", "max"),
                ("defaultRequest", "default"),
            ] {
                errors.extend(validate_order(limit, low, high, &path));
            }
        }
        errors
    }
}

/// No resource has a `low` above its `high`.
fn validate_order(limit: &Value, low: &str, high: &str, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    for (name, below) in limit.get(low).and_then(Value::as_object).into_iter().flatten() {
        let Some(above) = limit.get(high).and_then(|all| all.get(name)) else { continue };
        let amounts = (Quantity::from_value(below), Quantity::from_value(above));
        if matches!(&amounts, (Ok(below), Ok(above)) if below.milli() > above.milli()) {
            let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let detail =
                format!("{low} value {} is greater than {high} value {}", shown(below), shown(above));
            errors.push(field::invalid(format!("{path}.{low}[{name}]"), below, &detail));
        }
    }
    errors
}
