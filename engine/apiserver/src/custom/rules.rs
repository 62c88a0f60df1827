//! Rules in CEL (`x-kubernetes-validations`), evaluated when an object comes in. Counterpart:
//! `apiextensions-apiserver/pkg/apiserver/schema/cel`.
//!
//! An evaluation is priced with the sizes of its object beforehand, as the evaluator cannot be stopped.

use std::sync::{LazyLock, OnceLock};

use labkit_api::StatusCause;
use labkit_expr::{Binding, Environment, ExprError, Expression, Type};
use serde_json::{Map, Value, json};

use super::open_api::resolve;
use super::schema::{Additional, META_FIELDS, Rule, Schema};
use super::validate::old_item;
use crate::field;

/// `RuntimeCELCostBudget`: for all rules of one object; `PerCallLimit`: for one evaluation.
pub(crate) const BUDGET: f64 = 1e7;
const CALL_COST_MAX: f64 = 1e6;
/// `MaxEvaluatedMessageExpressionSizeBytes`.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

pub(super) static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(Environment::rules);

/// A rule, ready to be evaluated.
#[derive(Debug, Clone)]
struct Compiled {
    rule: Result<Expression, String>,
    message: Option<Expression>,
    uses_old: bool,
    /// The rule's `fieldPath` as errors have it.
    field: String,
}

/// Compiled when it is first needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot(OnceLock<Box<Compiled>>);

/// A field's name as CEL takes it. Counterpart: `cel.Escape`.
pub(super) fn escaped(name: &str) -> String {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    let name = name.replace("__", "__underscores__");
    name.replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

/// The complaints of the rules about a value and all within it. `budget` is what evaluations may still cost.
pub(crate) fn evaluate(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    is_root: bool,
    budget: &mut f64,
) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    visit(schema, value, old, path, is_root, budget, &mut errors);
    errors
}

/// Whether there is anything to evaluate.
pub(crate) fn has_rules(schema: &Schema) -> bool {
    schema.any(&mut |schema| !schema.rules.is_empty())
}

fn visit(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    is_root: bool,
    budget: &mut f64,
    errors: &mut Vec<StatusCause>,
) {
    if value.is_null() || *budget < 0.0 {
        return;
    }
    own_rules(schema, value, old, path, is_root, budget, errors);
    match value {
        Value::Array(items) => {
            let Some(inner) = schema.items.as_deref() else { return };
            for (index, item) in items.iter().enumerate() {
                let before = old_item(schema, item, old);
                visit(inner, item, before, &format!("{path}[{index}]"), inner.is_embedded, budget, errors);
            }
        }
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            for name in names {
                let Some(inner) = schema.field(name) else { continue };
                let before = old.and_then(|old| old.get(name));
                let at = match schema.properties.contains_key(name) {
                    true if path.is_empty() => name.clone(),
                    true => format!("{path}.{name}"),
                    false => format!("{path}[{name}]"),
                };
                visit(inner, &fields[name], before, &at, inner.is_embedded, budget, errors);
            }
        }
        _ => {}
    }
}

fn own_rules(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    is_root: bool,
    budget: &mut f64,
    errors: &mut Vec<StatusCause>,
) {
    if schema.rules.is_empty() {
        return;
    }
    let at = if path.is_empty() { "<nil>" } else { path };
    let kind = schema.kind.as_str();
    let own = dressed(value, schema, is_root);
    let before = old.map(|old| dressed(old, schema, is_root));
    let sizes =
        [("self", Type::of(&own)), ("oldSelf", before.as_ref().map_or_else(|| Type::any(1.0), Type::of))];
    for rule in &schema.rules {
        if *budget <= 0.0 {
            let detail = "validation failed due to running out of cost budget, no further validation rules will be run";
            errors.push(field::invalid(at, kind, detail));
            *budget = -1.0;
            return;
        }
        let compiled = rule.compiled.0.get_or_init(|| Box::new(compile(rule, schema)));
        let expression = match &compiled.rule {
            Ok(expression) => expression,
            Err(why) => {
                errors.push(field::invalid(at, kind, &format!("rule compile error: {why}")));
                continue;
            }
        };
        let optional = rule.optional_old_self == Some(true);
        if compiled.uses_old && before.is_none() && !optional {
            continue;
        }
        let mut variables = vec![("self", Binding::Value(&own))];
        match (&before, optional) {
            (before, true) => variables.push(("oldSelf", Binding::Optional(before.as_ref()))),
            (Some(before), false) => variables.push(("oldSelf", Binding::Value(before))),
            (None, false) => {}
        }
        let cost = expression.bound(&sizes);
        if cost > CALL_COST_MAX {
            let why = "operation cancelled: actual cost limit exceeded";
            let detail = format!(
                "'{why}': no further validation rules will be run due to call cost exceeds limit for rule: {}",
                rule.shown()
            );
            errors.push(field::invalid(at, kind, &detail));
            *budget = -1.0;
            return;
        }
        *budget -= cost;
        match expression.eval_rule(&variables) {
            Ok(Value::Bool(true)) => {}
            Err(ExprError::Evaluate(why)) if why == "no such overload" => {
                let detail = format!(
                    "'{why}': call arguments did not match a supported operator, function or macro signature for rule: {}",
                    rule.shown()
                );
                errors.push(field::invalid(at, kind, &detail));
            }
            Err(error) => {
                let detail = format!("{error} evaluating rule: {}", rule.shown());
                errors.push(field::invalid(at, kind, &detail));
            }
            // What was so before is not held against an update.
            Ok(_) if !compiled.uses_old && old == Some(value) => {}
            Ok(_) => {
                let message = message(compiled, &variables, &sizes, budget);
                let detail = message.unwrap_or_else(|| match rule.message.trim() {
                    "" => format!("failed rule: {}", rule.rule.trim()),
                    message => message.to_owned(),
                });
                let at = match (path, compiled.field.as_str()) {
                    (_, "") => at.to_owned(),
                    ("", field) => field.to_owned(),
                    (path, field) => format!("{path}.{field}"),
                };
                errors.push(match rule.reason.as_str() {
                    "FieldValueForbidden" => field::forbidden(at, &detail),
                    "FieldValueRequired" => field::required(at, &detail),
                    "FieldValueDuplicate" => field::duplicate(at, kind),
                    _ => field::invalid(at, kind, &detail),
                });
            }
        }
    }
}

fn compile(rule: &Rule, schema: &Schema) -> Compiled {
    let expression = ENVIRONMENT.compile(&rule.rule).map_err(|error| error.to_string());
    let uses_old = expression
        .as_ref()
        .is_ok_and(|expression| expression.variables().iter().any(|name| name == "oldSelf"));
    let message = Some(rule.message_expression.trim()).filter(|source| !source.is_empty());
    Compiled {
        rule: expression,
        message: message.and_then(|source| ENVIRONMENT.compile(source).ok()),
        uses_old,
        field: resolve(schema, &rule.field_path).map(|(path, _)| path).unwrap_or_default(),
    }
}

/// What a rule's own expression says; nothing where that is no short line of text.
fn message(
    compiled: &Compiled,
    variables: &[(&str, Binding<'_>)],
    sizes: &[(&str, Type)],
    budget: &mut f64,
) -> Option<String> {
    let expression = compiled.message.as_ref()?;
    let cost = expression.bound(sizes);
    if cost > CALL_COST_MAX.min(*budget) {
        return None;
    }
    *budget -= cost;
    let value = expression.eval_rule(variables).ok()?;
    let text = value.as_str()?.trim();
    let is_short_line = !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n');
    is_short_line.then(|| text.to_owned())
}

/// The value as rules see it: fields that the schema knows, under names that CEL takes, and numbers of their type.
fn dressed(value: &Value, schema: &Schema, is_root: bool) -> Value {
    match value {
        Value::Number(number) if schema.kind == "number" => json!(number.as_f64().unwrap_or_default()),
        Value::Array(items) => match schema.items.as_deref() {
            Some(inner) => items.iter().map(|item| dressed(item, inner, inner.is_embedded)).collect(),
            None => value.clone(),
        },
        Value::Object(fields) if matches!(schema.additional, Additional::Of(_)) => {
            let dress = |(name, field): (&String, &Value)| {
                let inner = schema.field(name)?;
                Some((name.clone(), dressed(field, inner, inner.is_embedded)))
            };
            Value::Object(fields.iter().filter_map(dress).collect())
        }
        Value::Object(fields) if schema.properties.is_empty() && schema.preserves_unknown && !is_root => {
            Value::Object(fields.clone())
        }
        Value::Object(fields) => {
            let mut known = Map::new();
            for (name, field) in fields {
                if META_FIELDS.contains(&name.as_str()) && (is_root || schema.is_embedded) {
                    known.insert(
                        name.clone(),
                        if name == "metadata" { names_of(field) } else { field.clone() },
                    );
                } else if let Some(inner) = schema.field(name) {
                    known.insert(escaped(name), dressed(field, inner, inner.is_embedded));
                }
            }
            Value::Object(known)
        }
        other => other.clone(),
    }
}

fn names_of(metadata: &Value) -> Value {
    let names = ["name", "generateName"].into_iter();
    names
        .filter_map(|name| Some((name.to_owned(), metadata.get(name)?.clone())))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(errors: Vec<StatusCause>) -> Vec<String> {
        errors.into_iter().map(|error| format!("{}: {}", error.field, error.message)).collect()
    }

    fn rooted(spec: Value) -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {"spec": spec}}))
    }

    #[track_caller]
    fn check(spec: Value, value: Value, old: Option<Value>, expected: &[&str]) {
        let (root, value) = (rooted(spec), json!({"metadata": {"name": "a"}, "spec": value}));
        let old = old.map(|old| json!({"metadata": {"name": "a"}, "spec": old}));
        let mut budget = BUDGET;
        assert_eq!(messages(evaluate(&root, &value, old.as_ref(), "", true, &mut budget)), expected);
    }

    fn sized(rule: Value) -> Value {
        json!({"type": "object", "x-kubernetes-validations": [rule], "properties": {
            "min": {"type": "integer"}, "size": {"type": "integer"}, "ratio": {"type": "number"}, "namespace": {"type": "string"},
            "a-b": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}}}})
    }

    #[test]
    fn a_broken_rule_is_told_with_its_message() {
        let rule = json!({"rule": "self.min <= self.size"});
        check(
            sized(rule),
            json!({"min": 3, "size": 2}),
            None,
            &["spec: Invalid value: \"object\": failed rule: self.min <= self.size"],
        );
        let rule = json!({"rule": "self.min <= self.size", "message": "too small", "fieldPath": ".size", "reason": "FieldValueForbidden"});
        check(sized(rule), json!({"min": 3, "size": 2}), None, &["spec.size: Forbidden: too small"]);
        let rule = json!({"rule": "self.size < 1", "messageExpression": "'size is ' + string(self.size)"});
        check(sized(rule), json!({"size": 2}), None, &["spec: Invalid value: \"object\": size is 2"]);
        let rule = json!({"rule": "self.size < 1"});
        check(
            sized(rule),
            json!({}),
            None,
            &["spec: Invalid value: \"object\": no such key: size evaluating rule: self.size < 1"],
        );
    }

    #[test]
    fn numbers_and_names_are_those_of_the_schema() {
        check(sized(json!({"rule": "self.ratio / 2.0 == 0.5"})), json!({"ratio": 1}), None, &[]);
        check(
            sized(json!({"rule": "self.__namespace__ == 'x' && self.a__dash__b == 'y'"})),
            json!({"namespace": "x", "a-b": "y"}),
            None,
            &[],
        );
    }

    #[test]
    fn transitions_are_judged_where_there_is_an_old_value() {
        let rule = json!({"rule": "self.size >= oldSelf.size", "message": "may only grow"});
        check(sized(rule.clone()), json!({"size": 1}), None, &[]);
        check(
            sized(rule),
            json!({"size": 1}),
            Some(json!({"size": 2})),
            &["spec: Invalid value: \"object\": may only grow"],
        );
        let rule = json!({"rule": "oldSelf.hasValue() || self.size == 0", "optionalOldSelf": true, "message": "starts at 0"});
        check(
            sized(rule.clone()),
            json!({"size": 1}),
            None,
            &["spec: Invalid value: \"object\": starts at 0"],
        );
        check(sized(rule), json!({"size": 1}), Some(json!({"size": 0})), &[]);
        let rule = json!({"rule": "self.size < 1"});
        check(sized(rule), json!({"size": 2}), Some(json!({"size": 2})), &[]);
    }

    #[test]
    fn an_evaluation_that_would_take_too_long_is_not_begun() {
        let rule = json!({"rule": "self.list.all(x, self.list.all(y, self.list.all(z, x + y != z)))"});
        let many: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
        let (root, value) = (rooted(sized(rule)), json!({"spec": {"list": many}}));
        let mut budget = BUDGET;
        let errors = messages(evaluate(&root, &value, None, "", true, &mut budget));
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains("actual cost limit exceeded"), "{errors:?}");
    }
}
