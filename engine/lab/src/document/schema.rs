//! A document against its JSON Schema: every violation at its place, in the author's words.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Keyword, ValidationError, Validator};
use serde_json::{Map, Value};

use super::suggest::{did_you_mean, list_of};
use super::tree::{Document, PROBLEMS_MAX, Part};
use crate::diagnostic::Diagnostic;

/// The keyword by which a schema says that exactly one of these fields is set.
const ONE_OF_FIELDS: &str = "x-one-of-fields";

type Check = fn(&str) -> Result<(), String>;

/// Formats of strings: how each is checked.
const FORMATS: &[(&str, Check)] = &[
    ("duration", |text| match text.starts_with("${") {
        true => Err(format!("`{text}` names no variant of this lab")),
        false => crate::span::Span::parse(text).map(drop),
    }),
    ("offset", |text| crate::span::Offset::parse(text).map(drop)),
    ("rate", |text| crate::span::Rate::parse(text).map(drop)),
    ("cel", |text| {
        labkit_expr::Environment::new().compile(text).map(drop).map_err(|error| error.to_string())
    }),
    ("command", |text| crate::words::split(text).map(drop)),
    ("template", crate::template::check),
];

/// A compiled schema.
pub(crate) struct Checker {
    schema: Value,
    validator: Validator,
}

impl Checker {
    pub fn new(schema: Value) -> Checker {
        let mut options = jsonschema::options().should_validate_formats(true);
        for (name, check) in FORMATS {
            options = options.with_format(*name, move |text| check(text).is_ok());
        }
        options = options.with_keyword(ONE_OF_FIELDS, |parent, names, _path| {
            Ok(Box::new(OneOfFields::new(parent, names)))
        });
        let validator = options.build(&schema).expect("schemas are made from our own types");
        Checker { schema, validator }
    }

    /// All violations, up to a bound, in the order in which they stand in the file.
    pub fn check(&self, document: &Document, value: &Value) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for error in self.validator.iter_errors(value).take(PROBLEMS_MAX) {
            self.explain(document, &error, &mut problems);
        }
        problems.sort_by_key(|problem| problem.span.start);
        problems
    }

    fn explain(&self, document: &Document, error: &ValidationError<'_>, problems: &mut Vec<Diagnostic>) {
        let pointer = error.instance_path().as_str();
        let name = named(pointer);
        let found = described(error.instance());
        let at = |part, message: String| document.problem(pointer, part, message);
        let problem = match error.kind() {
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                return self.explain_branches(document, error, context, problems);
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                return problems
                    .extend(unexpected.iter().map(|field| self.unknown_field(document, error, field)));
            }
            ValidationErrorKind::Required { property } => {
                let property = property.as_str().unwrap_or_default();
                let description = self.sibling(error, &["properties", property, "description"]);
                let problem = at(Part::Key, format!("`{property}` is missing"));
                match description.and_then(Value::as_str).and_then(|text| text.lines().next()) {
                    Some(description) => problem.with_help(format!("`{property}`: {description}")),
                    None => problem,
                }
            }
            ValidationErrorKind::Type { kind } => {
                at(Part::Value, format!("{name}expected {}, found {found}", self.expected_type(error, kind)))
            }
            ValidationErrorKind::Constant { expected_value } => {
                at(Part::Value, format!("{name}expected {}, found {found}", described(expected_value)))
            }
            ValidationErrorKind::Enum { options } => {
                if let Some([only]) = options.as_array().map(Vec::as_slice) {
                    return problems
                        .push(at(Part::Value, format!("{name}expected {}, found {found}", described(only))));
                }
                let options: Vec<&str> =
                    options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let problem = at(
                    Part::Value,
                    format!("{name}found {found}; expected one of {}", list_of(options.clone())),
                );
                match error.instance().as_str().and_then(|text| did_you_mean(text, options)) {
                    Some(near) => problem.with_help(format!("did you mean `{near}`?")),
                    None => problem,
                }
            }
            ValidationErrorKind::Format { format } => {
                let text = error.instance().as_str().unwrap_or_default();
                let why =
                    FORMATS.iter().find(|(name, _)| name == format).and_then(|(_, check)| check(text).err());
                at(Part::Value, format!("{name}{}", why.unwrap_or_else(|| format!("{found} is no {format}"))))
            }
            ValidationErrorKind::Pattern { .. } => {
                let hint = self.sibling(error, &["description"]).and_then(Value::as_str).unwrap_or_default();
                let problem = at(Part::Value, format!("{name}{found} is not of the expected form"));
                if hint.is_empty() { problem } else { problem.with_help(hint) }
            }
            ValidationErrorKind::MinItems { .. } => {
                at(Part::Key, format!("{name}the list is empty; at least one is needed"))
            }
            ValidationErrorKind::MinLength { .. } => at(Part::Value, format!("{name}the text is empty")),
            ValidationErrorKind::Custom { message, .. } => at(Part::Key, message.clone()),
            _ => at(Part::Value, format!("{name}{error}")),
        };
        problems.push(problem);
    }

    /// Of several shapes, explains the one that the value was meant to have: the one of its type.
    fn explain_branches(
        &self,
        document: &Document,
        error: &ValidationError<'_>,
        branches: &[Vec<ValidationError<'static>>],
        problems: &mut Vec<Diagnostic>,
    ) {
        let here = error.instance_path().as_str();
        let type_here = |error: &&ValidationError<'_>| {
            error.instance_path().as_str() == here && matches!(error.kind(), ValidationErrorKind::Type { .. })
        };
        let meant = branches
            .iter()
            .filter(|branch| !branch.iter().any(|error| type_here(&error)))
            .min_by_key(|b| b.len());
        match meant {
            Some(branch) => branch.iter().for_each(|error| self.explain(document, error, problems)),
            None => {
                let types =
                    branches.iter().flatten().filter(type_here).filter_map(|error| match error.kind() {
                        ValidationErrorKind::Type { kind } => Some(self.expected_type(error, kind)),
                        _ => None,
                    });
                let mut types: Vec<String> = types.collect();
                types.dedup();
                let name = named(here);
                let message =
                    format!("{name}expected {}, found {}", types.join(" or "), described(error.instance()));
                problems.push(document.problem(here, Part::Value, message));
            }
        }
    }

    fn unknown_field(&self, document: &Document, error: &ValidationError<'_>, field: &str) -> Diagnostic {
        let known = self.sibling(error, &["properties"]).and_then(Value::as_object);
        let known: Vec<&str> = known.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect();
        let help = match did_you_mean(field, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", list_of(known)),
        };
        let pointer =
            format!("{}/{}", error.instance_path().as_str(), field.replace('~', "~0").replace('/', "~1"));
        document.problem(&pointer, Part::Key, format!("unknown field `{field}`")).with_help(help)
    }

    fn expected_type(&self, error: &ValidationError<'_>, kind: &TypeKind) -> String {
        let names: Vec<String> = match kind {
            TypeKind::Single(kind) => vec![kind.to_string()],
            TypeKind::Multiple(kinds) => kinds.iter().map(|kind| kind.to_string()).collect(),
        };
        let names = names.iter().map(|name| match name.as_str() {
            "object" => {
                let fields = self.sibling(error, &["properties"]).and_then(Value::as_object);
                match fields.filter(|fields| fields.len() <= 8) {
                    Some(fields) => format!("a mapping with {}", list_of(fields.keys().map(String::as_str))),
                    None => "a mapping".to_owned(),
                }
            }
            "array" => "a list".to_owned(),
            "string" => "text".to_owned(),
            "integer" => "a whole number".to_owned(),
            "number" => "a number".to_owned(),
            "boolean" => "true or false".to_owned(),
            other => other.to_owned(),
        });
        names.collect::<Vec<_>>().join(" or ")
    }

    /// What stands beside the keyword that failed.
    fn sibling(&self, error: &ValidationError<'_>, path: &[&str]) -> Option<&Value> {
        let (parent, _keyword) = error.schema_path().as_str().rsplit_once('/')?;
        path.iter().try_fold(self.schema.pointer(parent)?, |value, field| value.get(field))
    }
}

/// The field that a pointer ends in, for the beginning of a message: "`points`: "; of a list's item, the list's.
fn named(pointer: &str) -> String {
    let mut segments = pointer.rsplit('/').filter(|segment| !segment.is_empty());
    match (segments.next(), segments.next()) {
        (None, _) => String::new(),
        (Some(index), Some(list)) if index.parse::<usize>().is_ok() => format!("`{list}[{index}]`: "),
        (Some(name), _) => format!("`{name}`: "),
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > 40 => {
            format!("`{}…`", text.chars().take(40).collect::<String>())
        }
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// Exactly one of these fields is set. Silent where an unknown field is set instead: that is told already.
struct OneOfFields {
    what: String,
    names: Vec<String>,
    known: Vec<String>,
}

impl OneOfFields {
    fn new(parent: &Map<String, Value>, keyword: &Value) -> OneOfFields {
        let names =
            keyword["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let known = parent
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|fields| fields.keys().cloned());
        OneOfFields {
            what: keyword["what"].as_str().unwrap_or("entry").to_owned(),
            names: names.collect(),
            known: known.collect(),
        }
    }

    fn problem(&self, instance: &Value) -> Option<String> {
        let fields = instance.as_object()?;
        let set: Vec<&str> =
            self.names.iter().map(String::as_str).filter(|name| fields.contains_key(*name)).collect();
        match set.as_slice() {
            [_] => None,
            [] if fields.keys().any(|field| !self.known.contains(field)) => None,
            [] => Some(format!(
                "this {} does nothing; it needs one of {}",
                self.what,
                list_of(self.names.iter().map(String::as_str))
            )),
            several => Some(format!(
                "this {} has {} verbs, {}; expected one of them",
                self.what,
                several.len(),
                list_of(several.iter().copied())
            )),
        }
    }
}

impl<'i> Keyword<'i> for OneOfFields {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        self.problem(instance).map_or(Ok(()), |message| Err(ValidationError::custom(message)))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.problem(instance).is_none()
    }
}
