//! What rules may cost, and what is wrong with them, when a definition comes in. The limits are upstream's; the prices are
//! estimates of `labkit_expr`, which upstream reckons somewhat differently. Counterparts: `cel_validation.go`,
//! `schema/cel/compilation.go`.

use std::collections::BTreeMap;

use labkit_api::StatusCause;
use labkit_expr::{ExprError, Type};
use serde_json::Value;

use super::rules::{ENVIRONMENT, escaped};
use super::schema::{Additional, Rule, Schema};
use super::structural::{flag, text};
use crate::field::{self, Shown};

/// `StaticEstimatedCostLimit`, `StaticEstimatedCRDCostLimit`.
const RULE_COST_MAX: f64 = 1e7;
const SCHEMA_COST_MAX: f64 = 1e8;
/// No object is larger, so no part of one is.
const REQUEST_BYTES: f64 = 3.0 * 1024.0 * 1024.0;

/// What the rules of one schema may cost together.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    total: f64,
    most: Vec<(String, f64)>,
}

impl Costs {
    fn add(&mut self, path: String, cost: f64) {
        self.total += cost;
        self.most.push((path, cost));
        self.most.sort_by(|left, right| right.1.total_cmp(&left.1));
        self.most.truncate(4);
    }

    /// The complaints if that is too much.
    pub fn over(&self, path: &str) -> Vec<StatusCause> {
        if self.total <= SCHEMA_COST_MAX {
            return Vec::new();
        }
        let detail =
            "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
        let mut errors: Vec<StatusCause> =
            self.most.iter().map(|(path, _)| field::forbidden(path.as_str(), detail)).collect();
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push(field::forbidden(path, &over_budget(what, self.total, SCHEMA_COST_MAX)));
        errors
    }
}

fn over_budget(what: &str, cost: f64, limit: f64) -> String {
    let factor = cost / limit;
    let factor = match factor {
        factor if factor > 100.0 => "more than 100x".to_owned(),
        factor if factor < 1.5 => format!("{factor:.6}x"),
        factor => format!("{factor:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

/// Where rules stand in a schema.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub path: &'a str,
    pub is_root: bool,
    pub uncorrelated: Option<&'a str>,
    /// How often this place may occur in one object.
    pub cardinality: f64,
}

/// How many elements a list or map of a schema may have.
pub(crate) fn count_of(schema: &Value, limit: &str, element: &Value) -> f64 {
    let most = REQUEST_BYTES / (bytes_min(element) + 1.0);
    schema.get(limit).and_then(Value::as_f64).map_or(most, |limit| limit.min(most))
}

/// The shortest JSON that a schema allows.
fn bytes_min(schema: &Value) -> f64 {
    match text(schema, "type") {
        "string" | "array" => 2.0,
        "boolean" => 4.0,
        "object" => {
            let required = super::schema::texts(schema, "required");
            let field = |name: &String| name.len() as f64 + 4.0 + bytes_min(&schema["properties"][name]);
            2.0 + required.iter().map(field).sum::<f64>()
        }
        _ if flag(schema, "x-kubernetes-int-or-string") => 1.0,
        _ => 1.0,
    }
}

/// What a rule knows of the values that a schema allows.
fn type_of(schema: &Schema, is_root: bool) -> Type {
    let of = match schema.kind.as_str() {
        _ if schema.is_int_or_string => Type::any(REQUEST_BYTES),
        "string" => {
            let bytes = schema.limits.length_max.map_or(REQUEST_BYTES, |most| most as f64 * 4.0);
            let listed = schema.limits.enumeration.iter().filter_map(Value::as_str).map(str::len).max();
            Type::text(listed.map_or(bytes, |listed| listed as f64))
        }
        "integer" => Type::int(),
        "number" => Type::double(),
        "boolean" => Type::bool(),
        "array" => match schema.items.as_deref() {
            Some(items) => Type::list(type_of(items, false), limit(schema.limits.items_max, items)),
            None => Type::any(REQUEST_BYTES),
        },
        "object" => match &schema.additional {
            Additional::Of(value) => {
                Type::map(type_of(value, false), limit(schema.limits.properties_max, value))
            }
            _ if schema.properties.is_empty()
                && schema.preserves_unknown
                && !schema.is_embedded
                && !is_root =>
            {
                Type::any(REQUEST_BYTES)
            }
            _ => {
                let known = |(name, inner): (&String, &Schema)| {
                    // What has no type is not known to rules.
                    let is_typed = !inner.kind.is_empty() || inner.is_int_or_string;
                    is_typed.then(|| (escaped(name), type_of(inner, false)))
                };
                let mut fields: BTreeMap<String, Type> = schema.properties.iter().filter_map(known).collect();
                if is_root || schema.is_embedded {
                    let text = || Type::text(253.0);
                    let names = ["name", "generateName"].map(|name| (name.to_owned(), text()));
                    fields.insert("metadata".to_owned(), Type::object(BTreeMap::from(names)));
                    fields.insert("apiVersion".to_owned(), text());
                    fields.insert("kind".to_owned(), text());
                }
                Type::object(fields)
            }
        },
        _ => Type::any(REQUEST_BYTES),
    };
    of.at_most(REQUEST_BYTES)
}

fn limit(most: Option<u64>, element: &Schema) -> f64 {
    let shortest = match element.kind.as_str() {
        "string" | "array" | "object" => 2.0,
        "boolean" => 4.0,
        _ => 1.0,
    };
    let possible = REQUEST_BYTES / (shortest + 1.0);
    most.map_or(possible, |most| (most as f64).min(possible))
}

/// The complaints about the rules of a place, none of which is evaluated yet.
pub(crate) fn judge(schema: &Schema, site: &Site<'_>, costs: &mut Costs) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    if schema.rules.is_empty() {
        return errors;
    }
    let of = type_of(schema, site.is_root);
    let cardinality = site.cardinality.clamp(1.0, REQUEST_BYTES);
    for (index, rule) in schema.rules.iter().enumerate() {
        let path = format!("{}.x-kubernetes-validations[{index}]", site.path);
        let optional = rule.optional_old_self == Some(true);
        let old = if optional { Type::any(of.weight()) } else { of.clone() };
        let variables = [("self", of.clone()), ("oldSelf", old)];
        let mut price = |source: &str, name: &str, what: &str, errors: &mut Vec<StatusCause>| {
            let checked = ENVIRONMENT.compile(source).and_then(|compiled| {
                let estimate = compiled.estimate(&variables)?;
                Ok((compiled, estimate))
            });
            let at = format!("{path}.{name}");
            match checked {
                Err(error) => {
                    let detail = compilation_failed(source, &error);
                    let detail = if name == "rule" { detail } else { format!("messageExpression {detail}") };
                    errors.push(field::invalid(at, shown(rule), &detail));
                    None
                }
                Ok((compiled, estimate)) => {
                    let cost = estimate.cost * cardinality;
                    if cost > RULE_COST_MAX {
                        errors.push(field::forbidden(at.as_str(), &over_budget(what, cost, RULE_COST_MAX)));
                    }
                    costs.add(at, cost);
                    Some((compiled, estimate.value))
                }
            }
        };
        if let Some((compiled, value)) = price(&rule.rule, "rule", "estimated rule cost", &mut errors) {
            if value.is_no_bool() {
                let detail = "cel expression must evaluate to a bool";
                errors.push(field::invalid(format!("{path}.rule"), shown(rule), detail));
            }
            let uses_old = compiled.variables().iter().any(|name| name == "oldSelf");
            match site.uncorrelated.filter(|_| uses_old) {
                Some(above) => {
                    let detail = format!(
                        "oldSelf cannot be used on the uncorrelatable portion of the schema within {above}"
                    );
                    errors.push(field::invalid(format!("{path}.rule"), &rule.rule, &detail));
                }
                None if !uses_old && rule.optional_old_self.is_some() => {
                    let detail = "may not be set if oldSelf is not used in rule";
                    errors.push(field::invalid(format!("{path}.optionalOldSelf"), optional, detail));
                }
                None => {}
            }
        }
        let source = &rule.message_expression;
        if !source.is_empty()
            && let Some((_, value)) =
                price(source, "messageExpression", "estimated messageExpression cost", &mut errors)
            && value.is_no_text()
        {
            let detail = "messageExpression must evaluate to a string";
            errors.push(field::invalid(format!("{path}.messageExpression"), shown(rule), detail));
        }
    }
    errors
}

/// The rule as Go prints it.
fn shown(rule: &Rule) -> Shown {
    let Rule { rule: source, message, message_expression, field_path, .. } = rule;
    let quoted = field::quoted;
    Shown::literal(format!(
        "apiextensions.ValidationRule{{Rule:{}, Message:{}, MessageExpression:{}, \
         Reason:(*apiextensions.FieldValueErrorReason)(nil), FieldPath:{}, OptionalOldSelf:(*bool)(nil)}}",
        quoted(source),
        quoted(message),
        quoted(message_expression),
        quoted(field_path)
    ))
}

fn compilation_failed(source: &str, error: &ExprError) -> String {
    let ExprError::Compile { message, offset: Some(offset) } = error else {
        return format!("compilation failed: {error}");
    };
    let offset = (*offset).min(source.len());
    let before = &source[..source.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let (line, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count());
    let text = source[line_start..].lines().next().unwrap_or_default();
    format!(
        "compilation failed: ERROR: <input>:{line}:{}: {message}\n | {text}\n | {}^",
        column + 1,
        ".".repeat(column)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(errors: Vec<StatusCause>) -> Vec<String> {
        errors.into_iter().map(|error| format!("{}: {}", error.field, error.message)).collect()
    }

    fn sized(rule: Value) -> Value {
        json!({"type": "object", "x-kubernetes-validations": [rule], "properties": {
            "min": {"type": "integer"}, "size": {"type": "integer"}, "ratio": {"type": "number"}, "namespace": {"type": "string"},
            "a-b": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}}}})
    }

    #[track_caller]
    fn judged(schema: Value, is_root: bool, expected: &[&str]) {
        let site = Site { path: "s", is_root, uncorrelated: None, cardinality: 1.0 };
        let found = messages(judge(&Schema::parse(&schema), &site, &mut Costs::default()));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn rules_are_judged_when_a_definition_comes_in() {
        judged(sized(json!({"rule": "self.min <= self.size && self == oldSelf"})), false, &[]);
        judged(
            sized(json!({"rule": "self.mni <= self.size"})),
            false,
            &[
                "compilation failed: ERROR: <input>:1:5: undefined field 'mni'\n | self.mni <= self.size\n | ....^",
            ],
        );
        judged(sized(json!({"rule": "self.min <="})), false, &["compilation failed: ERROR: <input>:1:"]);
        judged(sized(json!({"rule": "self.size"})), false, &["cel expression must evaluate to a bool"]);
        judged(
            sized(json!({"rule": "true", "optionalOldSelf": true})),
            false,
            &["may not be set if oldSelf is not used in rule"],
        );
        judged(sized(json!({"rule": "self.metadata.name == 'a'"})), true, &[]);
        let costly = json!({"rule": "self.list.all(x, self.list.all(y, x != y || x == 'a'))"});
        judged(sized(costly), false, &["estimated rule cost exceeds budget by factor of more than 100x"]);
    }
}
