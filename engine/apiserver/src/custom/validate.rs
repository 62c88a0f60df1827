//! Judges a custom resource by its schema, in upstream's order and words. Counterparts: `kube-openapi/pkg/validation`,
//! `apiextensions-apiserver/pkg/apiserver/validation`.
//!
//! The jsonschema crate knows JSON Schema, but neither these words nor the counting by which the best of several
//! alternatives is told. Where upstream walks a map at random, the order here is that of names.
//!
//! What an update leaves as it was is not judged again, even if the schema has become stricter meanwhile.

use labkit_api::StatusCause;
use serde_json::{Map, Value};

use super::format;
use super::schema::{Additional, ListType, Schema};
use crate::field::{self, Shown};

/// What is wrong, and how many checks were made: that tells which of several alternatives was meant.
#[derive(Debug, Default)]
struct Outcome {
    errors: Vec<StatusCause>,
    checks: usize,
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.errors.extend(other.errors);
        self.checks += other.checks;
    }
}

/// The complaints about a value, the place of which is called `path`. `old` is what stood there before an update.
pub(crate) fn validate(schema: &Schema, value: &Value, old: Option<&Value>, path: &str) -> Vec<StatusCause> {
    check(schema, value, old, path).errors
}

fn check(schema: &Schema, value: &Value, old: Option<&Value>, path: &str) -> Outcome {
    if old == Some(value) {
        return Outcome::default();
    }
    let mut outcome = Outcome::default();
    if value.is_null() {
        outcome.errors.extend(check_type(schema, value, path));
        outcome.errors.extend(check_enumeration(schema, value, path));
        return outcome;
    }
    if !types(schema).is_empty() || !schema.format.is_empty() {
        outcome.errors.extend(check_type(schema, value, path));
        outcome.checks += 1;
    }
    outcome.add(check_alternatives(schema, value, path));
    match value {
        Value::String(text) => {
            outcome.errors.extend(check_text(schema, text, path));
            if !schema.format.is_empty() {
                outcome.errors.extend(check_format(schema, text, path));
            }
        }
        Value::Number(_) => outcome.errors.extend(check_number(schema, value, path)),
        Value::Array(items) => outcome.add(check_items(schema, items, old, path)),
        _ => {}
    }
    outcome.errors.extend(check_enumeration(schema, value, path));
    if let Value::Object(fields) = value {
        outcome.add(check_fields(schema, fields, old, path));
    }
    outcome.checks += 3;
    outcome
}

/// The types that a schema allows.
fn types(schema: &Schema) -> &[&str] {
    match schema.kind.as_str() {
        _ if schema.is_int_or_string => &["integer", "string"],
        "object" => &["object"],
        "array" => &["array"],
        "string" => &["string"],
        "integer" => &["integer"],
        "number" => &["number"],
        "boolean" => &["boolean"],
        _ => &[],
    }
}

/// What a value is, with the format of numbers.
fn type_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(number) if number.is_f64() => ("number", "float64"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

fn check_type(schema: &Schema, value: &Value, path: &str) -> Option<StatusCause> {
    let types = types(schema);
    let (own, own_format) = type_of(value);
    let wrong = |wanted: &str, found: &str| {
        let detail = format!("{path} in body must be of type {wanted}: {}", field::quoted(found));
        Some(field::type_invalid(named(path), found, &detail))
    };
    if value.is_null() {
        let is_wrong = !types.is_empty() && !schema.is_nullable;
        return if is_wrong { wrong(&types.join(","), own) } else { None };
    }
    let is_whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let fits = types.contains(&own)
        || own == "number" && is_whole && types.contains(&"integer")
        || own == "integer" && types.contains(&"number");
    let format = format::known(&schema.format);
    let is_text = matches!(value, Value::String(_) | Value::Array(_));
    if !format.is_empty() && !is_text && !fits && own_format != format {
        return wrong(format, own_format);
    }
    let takes_numbers = types.iter().any(|name| matches!(*name, "number" | "integer"));
    if !takes_numbers && !format.is_empty() && is_text || types.is_empty() {
        return None;
    }
    if fits { None } else { wrong(&types.join(","), own) }
}

fn check_text(schema: &Schema, text: &str, path: &str) -> Vec<StatusCause> {
    let limits = &schema.limits;
    let length = text.chars().count() as u64;
    let mut errors = Vec::new();
    if let Some(most) = limits.length_max.filter(|most| length > *most) {
        errors.push(field::too_long(named(path), usize::try_from(most).unwrap_or(usize::MAX)));
        return errors;
    }
    if let Some(least) = limits.length_min.filter(|least| length < *least) {
        let detail = format!("{path} in body should be at least {least} chars long");
        errors.push(field::invalid(named(path), text, &detail));
        return errors;
    }
    if let Some(pattern) = &limits.pattern {
        let matches = pattern.regex.as_ref().is_ok_and(|regex| regex.is_match(text));
        if !matches {
            let detail = format!("{path} in body should match '{}'", pattern.text);
            errors.push(field::invalid(named(path), text, &detail));
        }
    }
    errors
}

fn check_format(schema: &Schema, text: &str, path: &str) -> Option<StatusCause> {
    if format::fits(&schema.format, text) {
        return None;
    }
    let detail = format!("{path} in body must be of type {}: {}", schema.format, field::quoted(text));
    Some(field::type_invalid(named(path), text, &detail))
}

fn check_number(schema: &Schema, value: &Value, path: &str) -> Vec<StatusCause> {
    let limits = &schema.limits;
    let number = value.as_f64().unwrap_or_default();
    let mut errors = Vec::new();
    let mut complain = |rule: &str, bound: f64| {
        let detail = format!("{path} in body should be {rule} {}", shown_number(bound));
        errors.push(field::invalid(named(path), value, &detail));
    };
    if let Some(factor) = limits.multiple_of.filter(|factor| *factor > 0.0) {
        let quotient = number / factor;
        if (quotient - quotient.round()).abs() > 1e-9 {
            complain("a multiple of", factor);
        }
    }
    match limits.minimum {
        Some(least) if limits.is_minimum_exclusive && number <= least => complain("greater than", least),
        Some(least) if !limits.is_minimum_exclusive && number < least => {
            complain("greater than or equal to", least);
        }
        _ => {}
    }
    match limits.maximum {
        Some(most) if limits.is_maximum_exclusive && number >= most => complain("less than", most),
        Some(most) if !limits.is_maximum_exclusive && number > most => {
            complain("less than or equal to", most)
        }
        _ => {}
    }
    errors
}

/// A number as Go's `%v` prints it.
fn shown_number(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |rest| ("-", rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    number.to_string()
}

fn check_enumeration(schema: &Schema, value: &Value, path: &str) -> Option<StatusCause> {
    let allowed = &schema.limits.enumeration;
    let is_same = |other: &&Value| *other == value || same_number(other, value);
    if allowed.is_empty() || allowed.iter().any(|other| is_same(&other)) {
        return None;
    }
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown: Vec<String> = allowed.iter().map(shown).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    Some(field::not_supported(named(path), value, &shown))
}

fn same_number(left: &Value, right: &Value) -> bool {
    left.is_number() && right.is_number() && left.as_f64() == right.as_f64()
}

fn check_items(schema: &Schema, items: &[Value], old: Option<&Value>, path: &str) -> Outcome {
    let mut outcome = Outcome { checks: 1, ..Outcome::default() };
    if let Some(inner) = &schema.items {
        for (index, item) in items.iter().enumerate() {
            let before = old_item(schema, item, old);
            outcome.add(check(inner, item, before, &format!("{path}[{index}]")));
        }
    }
    let count = items.len();
    if let Some(least) = schema.limits.items_min.filter(|least| (count as u64) < *least) {
        let detail = format!("{path} in body should have at least {least} items");
        outcome.errors.push(field::invalid(named(path), count as i64, &detail));
    }
    if let Some(most) = schema.limits.items_max.filter(|most| count as u64 > *most) {
        outcome.errors.push(field::too_many(named(path), count, most));
    }
    outcome
}

/// What an element was before an update: only those of lists with keys can be told apart.
pub(crate) fn old_item<'a>(schema: &Schema, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    let ListType::Map(keys) = &schema.list else { return None };
    let is_it = |other: &&Value| keys.iter().all(|key| other.get(key) == item.get(key));
    old?.as_array()?.iter().find(is_it)
}

fn check_fields(schema: &Schema, fields: &Map<String, Value>, old: Option<&Value>, path: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let count = fields.len();
    if let Some(least) = schema.limits.properties_min.filter(|least| (count as u64) < *least) {
        let detail = format!("{path} in body should have at least {least} properties");
        outcome.errors.push(field::invalid(named(path), count as i64, &detail));
    }
    if let Some(most) = schema.limits.properties_max.filter(|most| count as u64 > *most) {
        outcome.errors.push(field::too_many(named(path), count, most));
    }
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort();
    for name in names.iter().filter(|name| !schema.properties.contains_key(**name)) {
        match &schema.additional {
            Additional::Of(inner) => {
                let before = old.and_then(|old| old.get(*name));
                outcome.add(check(inner, &fields[*name], before, &format!("{path}.{name}")));
            }
            Additional::Allowed(false) => {
                let detail = format!("{path}.{name} in body is a forbidden property");
                outcome.errors.push(field::invalid(named(path), name.as_str(), &detail));
            }
            _ => {}
        }
    }
    for (name, inner) in &schema.properties {
        let Some(value) = fields.get(name) else { continue };
        let before = old.and_then(|old| old.get(name));
        outcome.add(check(inner, value, before, &within(path, name)));
    }
    for name in schema.limits.required.iter().filter(|name| !fields.contains_key(*name)) {
        outcome.errors.push(field::required(named(&format!("{path}.{name}")), ""));
    }
    outcome
}

fn check_alternatives(schema: &Schema, value: &Value, path: &str) -> Outcome {
    let mut outcome = Outcome { checks: 1, ..Outcome::default() };
    let tried = |all: &[Schema]| -> Vec<Outcome> {
        all.iter().map(|inner| check(inner, value, None, path)).collect()
    };
    let shown = field::quoted(path);
    let complain = |what: String| field::invalid("<nil>", "", &what);
    if !schema.any_of.is_empty() {
        let mut all = tried(&schema.any_of);
        match all.iter().position(|one| one.errors.is_empty()) {
            Some(first) => outcome.add(all.swap_remove(first)),
            None => {
                outcome.errors.push(complain(format!("{shown} must validate at least one schema (anyOf)")));
                outcome.add(best(all));
            }
        }
    }
    if !schema.one_of.is_empty() {
        let mut all = tried(&schema.one_of);
        let valid = all.iter().filter(|one| one.errors.is_empty()).count();
        if valid == 1 {
            all.retain(|one| one.errors.is_empty());
            outcome.add(best(all));
        } else {
            let found = match valid {
                0 => "Found none valid".to_owned(),
                many => format!("Found {many} valid alternatives"),
            };
            let what = format!("{shown} must validate one and only one schema (oneOf). {found}");
            outcome.errors.push(complain(what));
            if valid == 0 {
                outcome.add(best(all));
            }
        }
    }
    if !schema.all_of.is_empty() {
        let all = tried(&schema.all_of);
        let valid = all.iter().filter(|one| one.errors.is_empty()).count();
        let count = all.len();
        all.into_iter().for_each(|one| outcome.add(one));
        if valid != count {
            let none = if valid == 0 { ". None validated" } else { "" };
            outcome.errors.push(complain(format!("{shown} must validate all the schemas (allOf){none}")));
        }
    }
    if schema.not.as_ref().is_some_and(|inner| check(inner, value, None, path).errors.is_empty()) {
        outcome.errors.push(complain(format!("{shown} must not validate the schema (not)")));
    }
    outcome
}

/// The alternative with the most checks; of several the first.
fn best(all: Vec<Outcome>) -> Outcome {
    let mut best = Outcome::default();
    for (index, one) in all.into_iter().enumerate() {
        if index == 0 || one.checks > best.checks {
            best = one;
        }
    }
    best
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The path as an error has it: the whole object's is Go's nil.
fn named(path: &str) -> String {
    match path.trim_start_matches('.') {
        "" => "<nil>".to_owned(),
        path => path.to_owned(),
    }
}

/// Elements of sets and of lists with keys must differ.
pub(crate) fn duplicates(schema: &Schema, value: &Value, path: &str) -> Vec<StatusCause> {
    let mut errors = Vec::new();
    match value {
        Value::Object(fields) => {
            for (name, inner) in &schema.properties {
                if let Some(value) = fields.get(name) {
                    errors.extend(duplicates(inner, value, &within(path, name)));
                }
            }
            if let Additional::Of(inner) = &schema.additional {
                for (name, value) in fields.iter().filter(|(name, _)| !schema.properties.contains_key(*name))
                {
                    errors.extend(duplicates(inner, value, &format!("{path}[{name}]")));
                }
            }
        }
        Value::Array(items) => {
            let key = |item: &Value| match &schema.list {
                ListType::Atomic => None,
                ListType::Set => Some(item.clone()),
                ListType::Map(keys) => {
                    let pairs = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
                    Some(Value::Object(pairs.collect()))
                }
            };
            let mut seen = std::collections::BTreeMap::new();
            for (index, key) in items.iter().enumerate().filter_map(|(index, item)| Some((index, key(item)?)))
            {
                let times = seen.entry(labkit_api::canonical::sorted(&key).to_string()).or_insert(0);
                *times += 1;
                if *times == 2 {
                    errors.push(field::duplicate(format!("{path}[{index}]"), go_literal(&key)));
                }
            }
            if let Some(inner) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    errors.extend(duplicates(inner, item, &format!("{path}[{index}]")));
                }
            }
        }
        _ => {}
    }
    errors
}

/// Go's `%#v`, but for scalars, which stand bare.
fn go_literal(value: &Value) -> Shown {
    fn literal(value: &Value) -> String {
        match value {
            Value::Null => "interface {}(nil)".to_owned(),
            Value::String(text) => field::quoted(text),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(literal).collect();
                format!("[]interface {{}}{{{}}}", items.join(", "))
            }
            Value::Object(fields) => {
                let mut pairs: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{}:{}", field::quoted(name), literal(value)))
                    .collect();
                pairs.sort();
                format!("map[string]interface {{}}{{{}}}", pairs.join(", "))
            }
            scalar => scalar.to_string(),
        }
    }
    Shown::literal(literal(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(errors: Vec<StatusCause>) -> Vec<String> {
        errors.into_iter().map(|error| format!("{}: {}", error.field, error.message)).collect()
    }

    #[track_caller]
    fn check(schema: Value, value: Value, expected: &[&str]) {
        let root = Schema::parse(&json!({"type": "object", "properties": {"spec": schema}}));
        assert_eq!(messages(validate(&root, &json!({"spec": value}), None, "")), expected);
    }

    #[test]
    fn types_are_told_in_upstreams_words() {
        check(
            json!({"type": "integer"}),
            json!("x"),
            &["spec: Invalid value: \"string\": spec in body must be of type integer: \"string\""],
        );
        check(
            json!({"type": "integer"}),
            json!(null),
            &["spec: Invalid value: \"null\": spec in body must be of type integer: \"null\""],
        );
        check(json!({"type": "string", "nullable": true}), json!(null), &[]);
        check(json!({"type": "integer"}), json!(2.0), &[]);
        check(json!({"type": "number"}), json!(2), &[]);
        check(
            json!({"type": "integer"}),
            json!(2.5),
            &["spec: Invalid value: \"number\": spec in body must be of type integer: \"number\""],
        );
        let words =
            "spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\"";
        check(json!({"x-kubernetes-int-or-string": true}), json!(true), &[words]);
        check(json!({"x-kubernetes-int-or-string": true}), json!("25%"), &[]);
        check(
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a", 1]),
            &["spec[1]: Invalid value: \"integer\": spec[1] in body must be of type string: \"integer\""],
        );
    }

    #[test]
    fn limits_are_told_in_upstreams_words() {
        let number = json!({"type": "integer", "minimum": 1, "maximum": 10, "multipleOf": 2});
        check(number.clone(), json!(4), &[]);
        check(
            number.clone(),
            json!(0),
            &["spec: Invalid value: 0: spec in body should be greater than or equal to 1"],
        );
        check(
            number,
            json!(11),
            &[
                "spec: Invalid value: 11: spec in body should be a multiple of 2",
                "spec: Invalid value: 11: spec in body should be less than or equal to 10",
            ],
        );
        let text = json!({"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^a"});
        check(
            text.clone(),
            json!("a"),
            &["spec: Invalid value: \"a\": spec in body should be at least 2 chars long"],
        );
        check(text.clone(), json!("abcd"), &["spec: Too long: may not be more than 3 bytes"]);
        check(text, json!("bb"), &["spec: Invalid value: \"bb\": spec in body should match '^a'"]);
        check(
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            &["spec: Unsupported value: \"c\": supported values: \"a\", \"b\""],
        );
        let list = json!({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer"}});
        check(
            list.clone(),
            json!([]),
            &["spec: Invalid value: 0: spec in body should have at least 1 items"],
        );
        check(list, json!([1, 2, 3]), &["spec: Too many: 3: must have at most 2 items"]);
        let object = json!({"type": "object", "required": ["b", "a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
        check(object, json!({}), &["spec.b: Required value", "spec.a: Required value"]);
        check(
            json!({"type": "string", "format": "date-time"}),
            json!("x"),
            &["spec: Invalid value: \"x\": spec in body must be of type date-time: \"x\""],
        );
    }

    #[test]
    fn alternatives_are_told_with_the_best_of_them() {
        let one_of = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
        check(one_of.clone(), json!({"a": 1}), &[]);
        check(
            one_of.clone(),
            json!({"a": 1, "b": 1}),
            &[
                "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
            ],
        );
        check(
            one_of,
            json!({}),
            &[
                "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid",
                "spec.a: Required value",
            ],
        );
        let not = json!({"type": "integer", "not": {"enum": [0]}});
        check(not, json!(0), &["<nil>: Invalid value: \"\": \"spec\" must not validate the schema (not)"]);
        let all_of = json!({"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 3}]});
        check(
            all_of,
            json!(5),
            &[
                "spec: Invalid value: 5: spec in body should be less than or equal to 3",
                "<nil>: Invalid value: \"\": \"spec\" must validate all the schemas (allOf)",
            ],
        );
    }

    #[test]
    fn what_an_update_leaves_as_it_was_is_not_judged_again() {
        let root = Schema::parse(
            &json!({"type": "object", "properties": {"a": {"type": "integer", "maximum": 1}, "b": {"type": "integer", "maximum": 1}}}),
        );
        let errors = validate(&root, &json!({"a": 5, "b": 6}), Some(&json!({"a": 5, "b": 5})), "");
        assert_eq!(messages(errors), ["b: Invalid value: 6: b in body should be less than or equal to 1"]);
    }

    #[test]
    fn elements_of_sets_and_maps_differ() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object"}}}}));
        let value = json!({"set": ["a", "b", "a", "a"], "map": [{"name": "x"}, {"name": "x", "y": 1}]});
        let expected = [
            "map[1]: Duplicate value: map[string]interface {}{\"name\":\"x\"}",
            "set[2]: Duplicate value: \"a\"",
        ];
        assert_eq!(messages(duplicates(&schema, &value, "")), expected);
    }
}
