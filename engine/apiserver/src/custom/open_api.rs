//! The rules for schemas beside structure: which words of OpenAPI are allowed where, lists with keys, and rules in CEL.
//! Counterpart: `ValidateCustomResourceDefinitionOpenAPISchema`.

use labkit_api::StatusCause;
use serde_json::Value;

use super::rule_prices::{self, Costs};
use super::schema::{META_FIELDS, Schema};
use super::structural::{flag, list, properties, text};
use crate::field;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// Where in the schema we are.
#[derive(Clone, Default)]
struct Place {
    is_root: bool,
    /// Why no default may stand here.
    no_defaults: Option<String>,
    is_inside_meta: bool,
    /// The first place on the way below which old and new values cannot be told to belong together.
    uncorrelated: Option<String>,
    /// Whether rules are looked at: not within `allOf` and its like.
    has_rules: bool,
}

/// What is wrong: with schemas, and with rules, which come last.
#[derive(Default)]
struct Found {
    schema: Vec<StatusCause>,
    rules: Vec<StatusCause>,
}

/// The complaints about a whole schema. Rules are only judged where it is structural.
pub(crate) fn validate(
    schema: &Value,
    path: &str,
    judges_rules: bool,
    costs: &mut Costs,
) -> Vec<StatusCause> {
    let place = Place { is_root: true, has_rules: judges_rules, ..Place::default() };
    let mut found = Found::default();
    visit(schema, path, &place, 1.0, costs, &mut found);
    found.schema.append(&mut found.rules);
    found.schema
}

/// `cardinality` is how often this place may occur in one object.
fn visit(schema: &Value, path: &str, place: &Place, cardinality: f64, costs: &mut Costs, found: &mut Found) {
    let mut own = Found::default();
    let errors = &mut own.schema;
    words(schema, path, place, errors);
    if flag(schema, "uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(field::forbidden(format!("{path}.uniqueItems"), detail));
    }
    let below = Place { is_root: false, ..place.clone() };
    if let Some(additional) = schema.get("additionalProperties") {
        if !properties(schema).is_empty() && *additional != Value::Bool(true) {
            let detail = "additionalProperties and properties are mutual exclusive";
            errors.push(field::forbidden(format!("{path}.additionalProperties"), detail));
        }
        if additional.is_object() {
            let mut below = below.clone();
            if place.is_inside_meta {
                below.no_defaults =
                    Some("inside additionalProperties applying to object metadata".to_owned());
            }
            let many = cardinality * rule_prices::count_of(schema, "maxProperties", additional);
            visit(additional, &format!("{path}.additionalProperties"), &below, many, costs, &mut own);
        }
    }
    for (name, property) in properties(schema) {
        let mut below = below.clone();
        let is_meta = META_FIELDS.contains(&name.as_str());
        if is_meta && (place.is_root || flag(schema, "x-kubernetes-embedded-resource")) {
            below.is_inside_meta = true;
            if place.is_root {
                below.no_defaults = Some(format!("in top-level {name}"));
            }
        }
        visit(property, &format!("{path}.properties[{name}]"), &below, cardinality, costs, &mut own);
    }
    let unruled = Place { has_rules: false, ..below.clone() };
    if let Some(not) = schema.get("not") {
        visit(not, &format!("{path}.not"), &unruled, cardinality, costs, &mut own);
    }
    for name in ["allOf", "oneOf", "anyOf"] {
        for (index, one) in list(schema, name).iter().enumerate() {
            visit(one, &format!("{path}.{name}[{index}]"), &unruled, cardinality, costs, &mut own);
        }
    }
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        let mut below = below;
        if text(schema, "x-kubernetes-list-type") != "map" && below.uncorrelated.is_none() {
            below.uncorrelated = Some(path.to_owned());
        }
        let many = cardinality * rule_prices::count_of(schema, "maxItems", items);
        visit(items, &format!("{path}.items"), &below, many, costs, &mut own);
    }
    extensions(schema, path, &mut own.schema);
    for (index, rule) in list(schema, "x-kubernetes-validations").iter().enumerate() {
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        own.schema.extend(rule_words(schema, rule, &path));
    }
    if place.has_rules && own.schema.is_empty() {
        let parsed = Schema::parse(schema);
        let site = rule_prices::Site {
            path,
            is_root: place.is_root,
            uncorrelated: place.uncorrelated.as_deref(),
            cardinality,
        };
        own.rules.extend(rule_prices::judge(&parsed, &site, costs));
    }
    found.schema.extend(own.schema);
    found.rules.extend(own.rules);
}

fn words(schema: &Value, path: &str, place: &Place, errors: &mut Vec<StatusCause>) {
    let kind = text(schema, "type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(field::not_supported(format!("{path}.type"), kind, &TYPES));
    }
    if let (Some(reason), true) =
        (&place.no_defaults, schema.get("default").is_some_and(|default| !default.is_null()))
    {
        errors.push(field::forbidden(format!("{path}.default"), &format!("must not be set {reason}")));
    }
    let is_set = |name: &str| match schema.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty() || name == "dependencies",
        Some(_) => true,
    };
    for name in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if is_set(name) {
            errors.push(field::forbidden(format!("{path}.{name}"), &format!("{name} is not supported")));
        }
    }
    if kind == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(field::forbidden(format!("{path}.type"), detail));
    }
    if !list(schema, "items").is_empty() {
        errors.push(field::forbidden(
            format!("{path}.items"),
            "items must be a schema object and not an array",
        ));
    }
    if place.is_inside_meta && flag(schema, "x-kubernetes-embedded-resource") {
        let path = format!("{path}.x-kubernetes-embedded-resource");
        errors.push(field::forbidden(path, "must not be used inside of resource meta"));
    }
}

fn extensions(schema: &Value, path: &str, errors: &mut Vec<StatusCause>) {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let path = format!("{path}.x-kubernetes-preserve-unknown-fields");
        errors.push(field::invalid(path, false, "must be true or undefined"));
    }
    let kind = text(schema, "type");
    for (extension, wanted, allowed) in [
        ("x-kubernetes-map-type", "object", &["atomic", "granular"][..]),
        ("x-kubernetes-list-type", "array", &["atomic", "set", "map"]),
    ] {
        let Some(value) = schema.get(extension).and_then(Value::as_str) else { continue };
        if kind != wanted {
            let (at, detail) =
                (format!("{path}.type"), format!("must be {wanted} if {extension} is specified"));
            errors.push(match kind {
                "" => field::required(at, &detail),
                kind => field::invalid(at, kind, &detail),
            });
        }
        if !allowed.contains(&value) {
            errors.push(field::not_supported(format!("{path}.{extension}"), value, allowed));
        }
    }
    list_keys(schema, path, errors);
}

fn list_keys(schema: &Value, path: &str, errors: &mut Vec<StatusCause>) {
    let keys = super::schema::texts(schema, "x-kubernetes-list-map-keys");
    let list_type = text(schema, "x-kubernetes-list-type");
    let at = |name: &str| format!("{path}.{name}");
    if !keys.is_empty() && list_type != "map" {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        let at = at("x-kubernetes-list-type");
        errors.push(match list_type {
            "" => field::required(at, detail),
            other => field::invalid(at, other, detail),
        });
    }
    let items = schema.get("items").filter(|items| items.is_object());
    if list_type == "map" {
        if keys.is_empty() {
            let detail = "must not be empty if x-kubernetes-list-type is map";
            errors.push(field::required(at("x-kubernetes-list-map-keys"), detail));
        }
        match items {
            None => errors
                .push(field::required(at("items"), "must have a schema if x-kubernetes-list-type is map")),
            Some(items) if text(items, "type") != "object" => {
                let detail = "must be object if parent array's x-kubernetes-list-type is map";
                errors.push(field::invalid(at("items.type"), text(items, "type"), detail));
            }
            Some(items) => map_keys(items, &keys, path, errors),
        }
    }
    let Some(items) = items.filter(|_| matches!(list_type, "set" | "map")) else { return };
    if list_type == "set" {
        let (extension, is_wrong) = match text(items, "type") {
            "array" => {
                ("x-kubernetes-list-type", !matches!(text(items, "x-kubernetes-list-type"), "" | "atomic"))
            }
            "object" => ("x-kubernetes-map-type", text(items, "x-kubernetes-map-type") != "atomic"),
            _ => ("", false),
        };
        if is_wrong {
            let found = items.get(extension).unwrap_or(&Value::Null);
            let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
            errors.push(field::invalid(at(&format!("items.{extension}")), found, detail));
        }
    }
    if flag(items, "nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(field::forbidden(at("items.nullable"), &detail));
    }
}

fn map_keys(items: &Value, keys: &[String], path: &str, errors: &mut Vec<StatusCause>) {
    let required = super::schema::texts(items, "required");
    let shown = || {
        let quoted: Vec<String> = keys.iter().map(|key| field::quoted(key)).collect();
        field::Shown::literal(format!("[]string{{{}}}", quoted.join(", ")))
    };
    let keys_path = format!("{path}.x-kubernetes-list-map-keys");
    for (index, key) in keys.iter().enumerate() {
        let at = |name: &str| format!("{path}.items.properties[{key}].{name}");
        match items.get("properties").and_then(|all| all.get(key)) {
            None => {
                errors.push(field::invalid(
                    keys_path.as_str(),
                    shown(),
                    "entries must all be names of item properties",
                ));
            }
            Some(property) => {
                if matches!(text(property, "type"), "array" | "object") {
                    let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                    errors.push(field::invalid(at("type"), text(items, "type"), detail));
                }
                if !required.contains(key) && property.get("default").is_none() {
                    let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a \
                                  required property";
                    errors.push(field::required(at("default"), detail));
                }
                if flag(property, "nullable") {
                    let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                    errors.push(field::forbidden(at("nullable"), detail));
                }
            }
        }
        if keys[..index].contains(key) {
            errors.push(field::invalid(keys_path.as_str(), shown(), "must not contain duplicate entries"));
        }
    }
}

fn rule_words(schema: &Value, rule: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    let of = |name: &str| text(rule, name);
    let at = |name: &str| format!("{path}.{name}");
    let breaks = |text: &str| text.contains(['\n', '\r']);
    let (source, message) = (of("rule").trim(), of("message").trim());
    if source.is_empty() {
        errors.push(field::required(at("rule"), "rule is not specified"));
    } else if !of("message").is_empty() && message.is_empty() {
        errors.push(field::invalid(at("message"), of("message"), "message must be non-empty if specified"));
    } else if breaks(message) {
        errors.push(field::invalid(at("message"), of("message"), "message must not contain line breaks"));
    } else if breaks(source) && message.is_empty() {
        errors.push(field::required(at("message"), "message must be specified if rule contains line breaks"));
    }
    if !of("messageExpression").is_empty() && of("messageExpression").trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(field::required(at("messageExpression"), detail));
    }
    if rule.get("reason").is_some() && !REASONS.contains(&of("reason")) {
        errors.push(field::not_supported(at("reason"), of("reason"), &REASONS));
    }
    let field_path = of("fieldPath");
    if !field_path.is_empty() {
        if field_path.trim().is_empty() {
            errors.push(field::invalid(
                at("fieldPath"),
                field_path,
                "fieldPath must be non-empty if specified",
            ));
        }
        if breaks(field_path) {
            errors.push(field::invalid(
                at("fieldPath"),
                field_path,
                "fieldPath must not contain line breaks",
            ));
        }
        if resolve(&Schema::parse(schema), field_path).is_err() {
            errors.push(field::invalid(at("fieldPath"), field_path, "fieldPath must be a valid path"));
        }
    }
    errors
}

/// What a path such as `.spec['a.b']` leads to, with the path as errors have it. Counterpart: `ValidFieldPath`.
pub(crate) fn resolve<'a>(mut schema: &'a Schema, path: &str) -> Result<(String, &'a Schema), String> {
    let mut shown = String::new();
    let mut rest = path;
    while !rest.is_empty() {
        let name = if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, more) = after.split_at(end);
            rest = more;
            if name.is_empty() {
                return Err("unexpected end of JSON path".to_owned());
            }
            name.to_owned()
        } else if let Some(after) = rest.strip_prefix("['") {
            let Some((name, more)) = after.split_once("']") else {
                return Err("unexpected end of JSON path".to_owned());
            };
            rest = more;
            name.replace("\\'", "'")
        } else {
            let token = rest.split(['.', '[']).next().unwrap_or_default();
            return Err(format!("expected [ or . but got: {token}"));
        };
        match schema.properties.get(&name) {
            Some(inner) => {
                shown.push_str(&format!(".{name}"));
                schema = inner;
            }
            None => match schema.field(&name).filter(|_| schema.properties.is_empty()) {
                Some(inner) => {
                    shown.push_str(&format!("[{name}]"));
                    schema = inner;
                }
                None => return Err("does not refer to a valid field".to_owned()),
            },
        }
    }
    Ok((shown.trim_start_matches('.').to_owned(), schema))
}
