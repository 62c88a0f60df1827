//! A document against its JSON Schema: every violation at its place, in the author's words.

use std::collections::BTreeSet;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Keyword, ValidationError, Validator};
use serde_json::{Map, Value};

use super::suggest::{did_you_mean, list_of};
use super::tree::{Document, PROBLEMS_MAX, Part};
use crate::diagnostic::Diagnostic;
use crate::text::{Text, text};

/// The keyword by which a schema says that exactly one of these fields is set.
const ONE_OF_FIELDS: &str = "x-one-of-fields";

type Check = fn(&str) -> Result<(), Text>;

/// Formats of strings: how each is checked.
const FORMATS: &[(&str, Check)] = &[
    ("duration", |text| match text.starts_with("${") {
        true => {
            Err(text!("`{text}` names no variant of this lab", "`{text}`: 이 실습에 그런 변형이 없습니다"))
        }
        false => crate::span::Span::parse(text).map(drop),
    }),
    ("offset", |text| crate::span::Offset::parse(text).map(drop)),
    ("rate", |text| crate::span::Rate::parse(text).map(drop)),
    ("cel", |text| {
        labkit_expr::Environment::new()
            .compile(text)
            .map(drop)
            .map_err(|error| Text::plain(error.to_string()))
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
        let errors: Vec<ValidationError<'_>> = self.validator.iter_errors(value).take(PROBLEMS_MAX).collect();
        let misspelt: BTreeSet<(&str, &str)> = errors.iter().flat_map(|error| self.misspelt(error)).collect();
        for error in &errors {
            let is_told = match error.kind() {
                ValidationErrorKind::Required { property } => misspelt
                    .contains(&(error.instance_path().as_str(), property.as_str().unwrap_or_default())),
                _ => false,
            };
            if !is_told {
                self.explain(document, error, &mut problems);
            }
        }
        problems.sort_by_key(|problem| problem.span.start);
        problems
    }

    fn explain(&self, document: &Document, error: &ValidationError<'_>, problems: &mut Vec<Diagnostic>) {
        let pointer = error.instance_path().as_str();
        let name = named(pointer);
        let found = described(error.instance());
        let at = |part, message: Text| document.problem(pointer, part, message);
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
                let problem = at(Part::Key, text!("`{property}` is missing", "`{property}` 이(가) 없습니다"));
                match description.and_then(Value::as_str).map(in_words) {
                    Some(words) => {
                        problem.with_help(text!("`{property}`: {words}", "`{property}`: {words}", words))
                    }
                    None => problem,
                }
            }
            ValidationErrorKind::Type { kind } => {
                at(Part::Value, mismatch(&name, self.expected_type(error, kind), found))
            }
            ValidationErrorKind::Constant { expected_value } => {
                at(Part::Value, mismatch(&name, described(expected_value), found))
            }
            ValidationErrorKind::Enum { options } => {
                if let Some([only]) = options.as_array().map(Vec::as_slice) {
                    return problems.push(at(Part::Value, mismatch(&name, described(only), found)));
                }
                let options: Vec<&str> =
                    options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let known = list_of(options.clone());
                let problem = at(
                    Part::Value,
                    text!(
                        "{name}found {found}; expected one of {known}",
                        "{name}있는 것은 {found}. 다음 중 하나여야 합니다: {known}",
                        found,
                        known
                    ),
                );
                match error.instance().as_str().and_then(|text| did_you_mean(text, options)) {
                    Some(near) => problem.with_help(text!("did you mean `{near}`?", "`{near}` 인가요?")),
                    None => problem,
                }
            }
            ValidationErrorKind::Format { format } => {
                let text = error.instance().as_str().unwrap_or_default();
                let why =
                    FORMATS.iter().find(|(name, _)| name == format).and_then(|(_, check)| check(text).err());
                let why = why.unwrap_or_else(|| {
                    text!("{found} is no {format}", "{found} 은(는) {format} 이(가) 아닙니다", found)
                });
                at(Part::Value, text!("{name}{why}", "{name}{why}", why))
            }
            ValidationErrorKind::Pattern { .. } => {
                let hint = self.sibling(error, &["description"]).and_then(Value::as_str).unwrap_or_default();
                let problem = at(
                    Part::Value,
                    text!(
                        "{name}{found} is not of the expected form",
                        "{name}{found} 은(는) 정해진 형식이 아닙니다",
                        found
                    ),
                );
                if hint.is_empty() { problem } else { problem.with_help(in_words(hint)) }
            }
            ValidationErrorKind::MinItems { .. } => at(
                Part::Key,
                text!(
                    "{name}the list is empty; at least one is needed",
                    "{name}목록이 비어 있습니다. 적어도 하나가 필요합니다"
                ),
            ),
            ValidationErrorKind::Minimum { limit } => {
                at(Part::Value, text!("{name}{error}", "{name}{limit} 이상이어야 합니다"))
            }
            ValidationErrorKind::Maximum { limit } => {
                at(Part::Value, text!("{name}{error}", "{name}{limit} 이하여야 합니다"))
            }
            ValidationErrorKind::MinLength { .. } => {
                at(Part::Value, text!("{name}the text is empty", "{name}텍스트가 비어 있습니다"))
            }
            ValidationErrorKind::Custom { message, .. } => {
                let told = self.sibling(error, &[]).and_then(Value::as_object).and_then(|parent| {
                    OneOfFields::new(parent, parent.get(ONE_OF_FIELDS)?).problem(error.instance())
                });
                at(Part::Key, told.unwrap_or_else(|| Text::plain(message.clone())))
            }
            _ => at(Part::Value, Text::plain(format!("{name}{error}"))),
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
                let mut types: Vec<Text> = types.collect();
                types.dedup();
                let message = mismatch(&named(here), either(&types), described(error.instance()));
                problems.push(document.problem(here, Part::Value, message));
            }
        }
    }

    /// The fields that unknown ones were meant to be, each with the place of its mapping.
    fn misspelt<'a>(&'a self, error: &'a ValidationError<'_>) -> Vec<(&'a str, &'a str)> {
        let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() else {
            return Vec::new();
        };
        let known = self.known_fields(error);
        let meant = unexpected.iter().filter_map(|field| did_you_mean(field, known.iter().copied()));
        meant.map(|field| (error.instance_path().as_str(), field)).collect()
    }

    fn known_fields(&self, error: &ValidationError<'_>) -> Vec<&str> {
        let known = self.sibling(error, &["properties"]).and_then(Value::as_object);
        known.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect()
    }

    fn unknown_field(&self, document: &Document, error: &ValidationError<'_>, field: &str) -> Diagnostic {
        let known = self.known_fields(error);
        let help = match did_you_mean(field, known.iter().copied()) {
            Some(near) => text!("did you mean `{near}`?", "`{near}` 인가요?"),
            None => {
                let known = list_of(known);
                text!("known here: {known}", "여기에 쓸 수 있는 것: {known}", known)
            }
        };
        let pointer =
            format!("{}/{}", error.instance_path().as_str(), field.replace('~', "~0").replace('/', "~1"));
        let message = text!("unknown field `{field}`", "모르는 필드 `{field}`");
        document.problem(&pointer, Part::Key, message).with_help(help)
    }

    fn expected_type(&self, error: &ValidationError<'_>, kind: &TypeKind) -> Text {
        let names: Vec<String> = match kind {
            TypeKind::Single(kind) => vec![kind.to_string()],
            TypeKind::Multiple(kinds) => kinds.iter().map(|kind| kind.to_string()).collect(),
        };
        let names = names.iter().map(|name| match name.as_str() {
            "object" => {
                let fields = self.sibling(error, &["properties"]).and_then(Value::as_object);
                match fields.filter(|fields| fields.len() <= 8) {
                    Some(fields) => {
                        let fields = list_of(fields.keys().map(String::as_str));
                        text!("a mapping with {fields}", "매핑({fields})", fields)
                    }
                    None => Text::new("a mapping", "매핑"),
                }
            }
            "array" => Text::new("a list", "목록"),
            "string" => Text::new("text", "텍스트"),
            "integer" => Text::new("a whole number", "정수"),
            "number" => Text::new("a number", "수"),
            "boolean" => Text::new("true or false", "true 또는 false"),
            other => Text::plain(other),
        });
        either(&names.collect::<Vec<_>>())
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

fn mismatch(name: &str, expected: Text, found: Text) -> Text {
    text!(
        "{name}expected {expected}, found {found}",
        "{name}필요한 것은 {expected}, 있는 것은 {found}",
        expected,
        found
    )
}

fn either(texts: &[Text]) -> Text {
    let joined = |separator: &str| Text::joined(texts, separator);
    Text { en: joined(" or ").en, ko: joined(" 또는 ").ko }
}

fn described(value: &Value) -> Text {
    match value {
        Value::Null => Text::new("nothing", "빈 값"),
        Value::Bool(value) => Text::plain(format!("`{value}`")),
        Value::Number(number) => text!("the number {number}", "수 {number}"),
        Value::String(text) if text.chars().count() > 40 => {
            Text::plain(format!("`{}…`", text.chars().take(40).collect::<String>()))
        }
        Value::String(text) => Text::plain(format!("`{text}`")),
        Value::Array(_) => Text::new("a list", "목록"),
        Value::Object(_) => Text::new("a mapping", "매핑"),
    }
}

/// What schemas call the things that have exactly one verb.
fn in_korean(what: &str) -> &str {
    match what {
        "step" => "단계",
        "fault" => "장애",
        "check" => "검사",
        "answer" => "답",
        "variant" => "변형",
        "entry of keys" => "keys 항목",
        other => other,
    }
}

/// What the schema says of a field: its first line, where it goes on.
fn in_words(description: &str) -> Text {
    let line = description.lines().next().unwrap_or_default();
    let whole = description.split_whitespace().collect::<Vec<_>>().join(" ");
    Text::new(line, crate::schema::korean(&whole).unwrap_or(line))
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

    fn problem(&self, instance: &Value) -> Option<Text> {
        let fields = instance.as_object()?;
        let set: Vec<&str> =
            self.names.iter().map(String::as_str).filter(|name| fields.contains_key(*name)).collect();
        let what = Text::new(&self.what, in_korean(&self.what));
        match set.as_slice() {
            [_] => None,
            [] if fields.keys().any(|field| !self.known.contains(field)) => None,
            [] => {
                let names = list_of(self.names.iter().map(String::as_str));
                Some(text!(
                    "this {what} does nothing; it needs one of {names}",
                    "하는 일이 없는 {what}입니다. 다음 중 하나가 필요합니다: {names}",
                    what,
                    names
                ))
            }
            several => {
                let (count, names) = (several.len(), list_of(several.iter().copied()));
                Some(text!(
                    "this {what} has {count} verbs, {names}; expected one of them",
                    "{what} 하나에 동사가 {count}개 있습니다: {names}. 하나만 써야 합니다",
                    what,
                    names
                ))
            }
        }
    }
}

impl<'i> Keyword<'i> for OneOfFields {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        self.problem(instance).map_or(Ok(()), |message| Err(ValidationError::custom(message.en)))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.problem(instance).is_none()
    }
}
