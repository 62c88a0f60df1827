//! A structural schema, read from a definition. Counterpart: `apiextensions-apiserver/pkg/apiserver/schema`.
//!
//! Reading is lenient: what is wrong with a schema is said by [`super::structural`], before it is served.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// The most memory that one compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The fields that every object has and no schema need name.
pub(crate) const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// `object`, `array`, `string`, `integer`, `number` or `boolean`; empty where it is not said.
    pub kind: String,
    pub format: String,
    pub is_nullable: bool,
    pub default: Option<Value>,
    pub properties: BTreeMap<String, Schema>,
    pub additional: Additional,
    pub items: Option<Box<Schema>>,
    pub is_embedded: bool,
    pub is_int_or_string: bool,
    pub preserves_unknown: bool,
    pub is_atomic_map: bool,
    pub list: ListType,
    pub limits: Limits,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
    pub rules: Vec<Rule>,
}

/// What fields an object may have beside its properties.
#[derive(Debug, Default)]
pub(crate) enum Additional {
    #[default]
    Unsaid,
    Allowed(bool),
    Of(Box<Schema>),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    /// By these fields of its elements.
    Map(Vec<String>),
}

/// What is asked of a value, beside its type.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub required: Vec<String>,
    pub enumeration: Vec<Value>,
    pub pattern: Option<Pattern>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub is_minimum_exclusive: bool,
    pub is_maximum_exclusive: bool,
    pub multiple_of: Option<f64>,
    pub length_min: Option<u64>,
    pub length_max: Option<u64>,
    pub items_min: Option<u64>,
    pub items_max: Option<u64>,
    pub properties_min: Option<u64>,
    pub properties_max: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Pattern {
    pub text: String,
    pub regex: Result<Regex, String>,
}

/// One of `x-kubernetes-validations`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rule {
    pub rule: String,
    pub message: String,
    pub message_expression: String,
    pub reason: String,
    pub field_path: String,
    pub optional_old_self: Option<bool>,
    pub compiled: super::rules::Slot,
}

impl Schema {
    pub fn parse(value: &Value) -> Schema {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or_default();
        let schemas = |name: &str| -> Vec<Schema> {
            value.get(name).and_then(Value::as_array).into_iter().flatten().map(Schema::parse).collect()
        };
        let single = |name: &str| value.get(name).filter(|inner| inner.is_object()).map(Schema::parse);
        let properties = value.get("properties").and_then(Value::as_object).into_iter().flatten();
        let additional = match value.get("additionalProperties") {
            Some(Value::Bool(allowed)) => Additional::Allowed(*allowed),
            Some(inner @ Value::Object(_)) => Additional::Of(Box::new(Schema::parse(inner))),
            _ => Additional::Unsaid,
        };
        let list = match text("x-kubernetes-list-type").as_str() {
            "set" => ListType::Set,
            "map" => ListType::Map(texts(value, "x-kubernetes-list-map-keys")),
            _ => ListType::Atomic,
        };
        let rules = value.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
        Schema {
            kind: text("type"),
            format: text("format"),
            is_nullable: flag("nullable"),
            default: value.get("default").filter(|default| !default.is_null()).cloned(),
            properties: properties.map(|(name, inner)| (name.clone(), Schema::parse(inner))).collect(),
            additional,
            items: single("items").map(Box::new),
            is_embedded: flag("x-kubernetes-embedded-resource"),
            is_int_or_string: flag("x-kubernetes-int-or-string"),
            preserves_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            is_atomic_map: text("x-kubernetes-map-type") == "atomic",
            list,
            limits: Limits::parse(value),
            all_of: schemas("allOf"),
            any_of: schemas("anyOf"),
            one_of: schemas("oneOf"),
            not: single("not").map(Box::new),
            rules: rules.map(Rule::parse).collect(),
        }
    }

    /// The schema of a field, named or not.
    pub fn field(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or(match &self.additional {
            Additional::Of(value) => Some(value),
            _ => None,
        })
    }

    /// Whether the test holds here or anywhere within.
    pub fn any(&self, test: &mut dyn FnMut(&Schema) -> bool) -> bool {
        let additional = match &self.additional {
            Additional::Of(value) => Some(&**value),
            _ => None,
        };
        test(self)
            || self.properties.values().any(|inner| inner.any(test))
            || additional.is_some_and(|inner| inner.any(test))
            || self.items.as_ref().is_some_and(|inner| inner.any(test))
    }
}

impl Limits {
    fn parse(value: &Value) -> Limits {
        let number = |name: &str| value.get(name).and_then(Value::as_f64);
        let count =
            |name: &str| value.get(name).and_then(Value::as_i64).map(|count| count.max(0).unsigned_abs());
        let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or_default();
        let pattern = value.get("pattern").and_then(Value::as_str).filter(|text| !text.is_empty());
        Limits {
            required: texts(value, "required"),
            enumeration: value.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            pattern: pattern.map(Pattern::new),
            minimum: number("minimum"),
            maximum: number("maximum"),
            is_minimum_exclusive: flag("exclusiveMinimum"),
            is_maximum_exclusive: flag("exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            length_min: count("minLength"),
            length_max: count("maxLength"),
            items_min: count("minItems"),
            items_max: count("maxItems"),
            properties_min: count("minProperties"),
            properties_max: count("maxProperties"),
        }
    }
}

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        let built = RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).nest_limit(250).build();
        let regex = built.map_err(|error| {
            let why = error.to_string();
            let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("error parsing regexp: {last}: `{text}`")
        });
        Pattern { text: text.to_owned(), regex }
    }
}

impl Rule {
    fn parse(value: &Value) -> Rule {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Rule {
            rule: text("rule"),
            message: text("message"),
            message_expression: text("messageExpression"),
            reason: text("reason"),
            field_path: text("fieldPath"),
            optional_old_self: value.get("optionalOldSelf").and_then(Value::as_bool),
            compiled: super::rules::Slot::default(),
        }
    }

    /// What is said of the rule where it has no message.
    pub fn shown(&self) -> &str {
        if self.message.is_empty() { self.rule.trim() } else { self.message.trim() }
    }
}

pub(crate) fn texts(value: &Value, name: &str) -> Vec<String> {
    let items = value.get(name).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}
