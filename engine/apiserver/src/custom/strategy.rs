//! What is done to custom resources on their way in and out. Counterpart: `registry/customresource/strategy.go`.

use jiff::Timestamp;
use labkit_api::managed_fields::FieldSchema;
use labkit_api::{GroupVersionKind, Object, StatusCause};
use serde_json::Value;

use super::kind::{Custom, ScalePaths};
use super::schema::{Additional, META_FIELDS, Schema};
use super::{prune, rules, validate};
use crate::field;
use crate::kinds::Strategy;
use crate::kinds::kind::{keep, keep_all_but};

const UNCHECKED: &str = "some validation rules were not checked because the object was invalid; correct the existing \
                         errors to complete validation";
/// Errors after which rules would judge what is not what they take it for.
const BLOCKING: [&str; 5] = [
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
];

impl Strategy for Custom {
    fn coerce(&self, gvk: &GroupVersionKind, value: &mut Value) -> Result<Vec<String>, String> {
        if gvk.kind != self.kind || gvk.api_version() != self.api_version {
            return crate::decode::coerce_built_in(gvk, value);
        }
        if !value.is_object() {
            return Err("json: cannot unmarshal the body into an object".to_owned());
        }
        let mut unknown = crate::decode::coerce_metadata(value)?;
        let pruned = prune::prune(value, &self.schema);
        prune::drop_nulls(value, &self.schema);
        unknown.extend(pruned.into_iter().map(|path| format!("unknown field {path:?}")));
        Ok(unknown)
    }

    fn set_defaults(&self, object: &mut Object) {
        fill(object, &self.schema);
    }

    fn prepare_for_create(&self, object: &mut Object) {
        if self.has_status {
            object.rest.shift_remove("status");
        }
        object.metadata.generation = 1;
    }

    fn prepare_for_update(&self, object: &mut Object, old: &Object) {
        if self.has_status {
            keep(object, old, "status");
        }
        if object.rest != old.rest {
            object.metadata.generation = old.metadata.generation + 1;
        }
    }

    fn prepare_for_status_update(&self, object: &mut Object, old: &Object) {
        keep_all_but(object, old, "status");
        let managers = std::mem::take(&mut object.metadata.managed_fields);
        object.metadata = old.metadata.clone();
        object.metadata.managed_fields = managers;
    }

    fn validate(&self, object: &Object) -> Vec<StatusCause> {
        self.judge(object, None)
    }

    fn validate_replacement(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        self.judge(object, Some(old))
    }

    fn validate_status_update(&self, object: &Object, old: &Object) -> Vec<StatusCause> {
        let mut errors = Vec::new();
        if let (Some(status), Some(schema)) =
            (object.rest.get("status"), self.schema.properties.get("status"))
        {
            let found = validate::validate(schema, status, old.rest.get("status"), "");
            errors.extend(found.into_iter().map(|mut error| {
                error.field = match error.field.as_str() {
                    "<nil>" => "status".to_owned(),
                    inner => format!("status.{inner}"),
                };
                error
            }));
        }
        errors.extend(self.scale_errors(object, false));
        let (value, before) = (object.to_value(), old.to_value());
        if validate::duplicates(&self.schema, &before, "").is_empty() {
            errors.extend(validate::duplicates(&self.schema, &value, ""));
        }
        self.add_rules(&value, Some(&before), &mut errors);
        errors
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn supports_strategic_merge(&self) -> bool {
        false
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let value = object.to_value();
        self.columns.iter().map(|column| column.cell(&value, now)).collect()
    }

    fn to_stored(&self, mut object: Object) -> Object {
        object.api_version.clone_from(&self.storage_version);
        object
    }

    fn to_served(&self, mut object: Object) -> Object {
        object.api_version.clone_from(&self.api_version);
        let mut value = Value::Object(std::mem::take(&mut object.rest));
        prune::prune(&mut value, &self.schema);
        prune::drop_nulls(&mut value, &self.schema);
        prune::fill_defaults(&mut value, &self.schema);
        if let Value::Object(rest) = value {
            object.rest = rest;
        }
        object
    }

    fn field_schema(&self) -> Option<FieldSchema> {
        Some(Custom::field_schema(self))
    }

    fn scale_paths(&self) -> Option<&ScalePaths> {
        self.scale.as_ref()
    }
}

fn fill(object: &mut Object, schema: &Schema) {
    let mut value = Value::Object(std::mem::take(&mut object.rest));
    prune::fill_defaults(&mut value, schema);
    if let Value::Object(rest) = value {
        object.rest = rest;
    }
}

impl Custom {
    fn judge(&self, object: &Object, old: Option<&Object>) -> Vec<StatusCause> {
        let value = object.to_value();
        let before = old.map(Object::to_value);
        let mut errors = validate::validate(&self.schema, &value, before.as_ref(), "");
        errors.extend(self.scale_errors(object, true));
        errors.extend(self.scale_errors(object, false));
        embedded(&self.schema, &value, "", true, &mut errors);
        let was_unique =
            before.as_ref().is_none_or(|before| validate::duplicates(&self.schema, before, "").is_empty());
        if was_unique {
            errors.extend(validate::duplicates(&self.schema, &value, ""));
        }
        self.add_rules(&value, before.as_ref(), &mut errors);
        errors
    }

    fn add_rules(&self, value: &Value, before: Option<&Value>, errors: &mut Vec<StatusCause>) {
        if !self.has_rules {
            return;
        }
        if errors.iter().any(|error| BLOCKING.contains(&error.reason.as_str())) {
            errors.push(field::invalid("<nil>", "null", UNCHECKED));
            return;
        }
        let mut budget = rules::BUDGET;
        errors.extend(rules::evaluate(&self.schema, value, before, "", true, &mut budget));
    }

    /// The replicas that a Scale shows are numbers, and a selector is text.
    fn scale_errors(&self, object: &Object, of_spec: bool) -> Vec<StatusCause> {
        let Some(scale) = &self.scale else { return Vec::new() };
        let at = |path: &[String]| object.at(&path.iter().map(String::as_str).collect::<Vec<&str>>());
        let mut errors = Vec::new();
        let path = if of_spec { &scale.spec_replicas } else { &scale.status_replicas };
        let name = format!(".{}", path.join("."));
        match at(path) {
            None => {}
            Some(value) => match value.as_i64() {
                None => {
                    let detail = format!(
                        "{name} accessor error: {value} is of the type {}, expected int64",
                        go_type(value)
                    );
                    errors.push(field::invalid(name, 0, &detail));
                }
                Some(replicas) if replicas < 0 => {
                    errors.push(field::invalid(name, replicas, "should be a non-negative integer"));
                }
                Some(replicas) if replicas > i64::from(i32::MAX) => {
                    let detail = format!("should be less than or equal to {}", i32::MAX);
                    errors.push(field::invalid(name, replicas, &detail));
                }
                Some(_) => {}
            },
        }
        if let Some(path) = scale.selector.as_ref().filter(|_| !of_spec)
            && let Some(value) = at(path).filter(|value| !value.is_string())
        {
            let name = format!(".{}", path.join("."));
            let detail =
                format!("{name} accessor error: {value} is of the type {}, expected string", go_type(value));
            errors.push(field::invalid(name, "", &detail));
        }
        errors
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// An object within the object says what it is.
fn embedded(schema: &Schema, value: &Value, path: &str, is_root: bool, errors: &mut Vec<StatusCause>) {
    match value {
        Value::Object(fields) => {
            if schema.is_embedded && !is_root {
                for name in ["apiVersion", "kind"] {
                    if fields.get(name).and_then(Value::as_str).unwrap_or_default().is_empty() {
                        errors.push(field::required(format!("{path}.{name}"), "must not be empty"));
                    }
                }
            }
            for (name, inner) in &schema.properties {
                let Some(value) = fields.get(name).filter(|_| !META_FIELDS.contains(&name.as_str())) else {
                    continue;
                };
                let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                embedded(inner, value, &at, false, errors);
            }
            if let Additional::Of(inner) = &schema.additional {
                for (name, value) in fields.iter().filter(|(name, _)| !schema.properties.contains_key(*name))
                {
                    embedded(inner, value, &format!("{path}[{name}]"), false, errors);
                }
            }
        }
        Value::Array(items) => {
            let Some(inner) = schema.items.as_deref() else { return };
            for (index, item) in items.iter().enumerate() {
                embedded(inner, item, &format!("{path}[{index}]"), false, errors);
            }
        }
        _ => {}
    }
}
