//! The columns of a custom resource: simple JSON paths. Counterparts: `customresource/tableconvertor`,
//! `client-go/util/jsonpath`.

use jiff::Timestamp;
use labkit_api::Time;
use serde_json::{Value, json};

use super::structural::{list, text};
use crate::table;

const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to \
     be set in happens-before order across separate operations. Clients may not set this value. It is represented in \
     RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: \
     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

#[derive(Debug)]
pub(crate) struct CustomColumn {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i64,
    path: JsonPath,
}

/// Those of a version, or the age where it has none.
pub(crate) fn parse(version: &Value) -> Vec<CustomColumn> {
    let column = |column: &Value| {
        let path = text(column, "jsonPath");
        let said = text(column, "description");
        CustomColumn {
            name: text(column, "name").to_owned(),
            kind: text(column, "type").to_owned(),
            format: text(column, "format").to_owned(),
            description: match said {
                "" => format!("Custom resource definition column (in JSONPath format): {path}"),
                said => said.to_owned(),
            },
            priority: column.get("priority").and_then(Value::as_i64).unwrap_or_default(),
            path: JsonPath::parse(path),
        }
    };
    let columns = list(version, "additionalPrinterColumns");
    if columns.is_empty() {
        let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": CREATED});
        return vec![column(&age)];
    }
    columns.iter().map(column).collect()
}

impl CustomColumn {
    pub fn definition(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": self.format, "description": self.description,
            "priority": self.priority,
        })
    }

    pub fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self.path.find(object);
        let Some(value) = found.first().copied().filter(|value| !value.is_null()) else { return Value::Null };
        match self.kind.as_str() {
            "string" => json!(labkit_api::canonical::go_text(value)),
            "integer" => value.as_f64().map_or(Value::Null, |number| json!(number.trunc() as i64)),
            "number" => value.as_f64().map_or(Value::Null, |number| json!(number)),
            "boolean" => value.as_bool().map_or(Value::Null, Value::Bool),
            "date" => match value.as_str() {
                Some(text) => match text.parse::<Timestamp>() {
                    Ok(time) => json!(table::since(Some(Time(time)), now)),
                    Err(_) => json!("<invalid>"),
                },
                None => Value::Null,
            },
            _ => Value::Null,
        }
    }
}

/// `.spec.parts[0].name`, `.status.conditions[?(@.type=="Ready")].status`.
#[derive(Debug, Default)]
pub(crate) struct JsonPath(Vec<Step>);

#[derive(Debug)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Elements of which a field has a value, or has another one.
    Where {
        path: JsonPath,
        value: Value,
        is_equal: bool,
    },
    /// What is not understood finds nothing.
    Nothing,
}

impl JsonPath {
    pub fn parse(text: &str) -> JsonPath {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let (name, more) = field_name(after);
                rest = more;
                if !name.is_empty() {
                    steps.push(Step::Field(name));
                }
            } else if let Some((inner, more)) = rest.strip_prefix('[').and_then(bracket) {
                rest = more;
                steps.push(Step::bracketed(inner));
            } else {
                steps.push(Step::Nothing);
                break;
            }
        }
        JsonPath(steps)
    }

    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        self.0
            .iter()
            .fold(vec![root], |found, step| found.into_iter().flat_map(|value| step.within(value)).collect())
    }
}

/// Up to the next dot or bracket that is not escaped.
fn field_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.extend(letters.next().map(|(_, letter)| letter)),
            '.' | '[' => return (name, &text[at..]),
            letter => name.push(letter),
        }
    }
    (name, "")
}

/// What is within brackets, minding quotes, and what follows.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, ']') => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> Option<&str> {
    let quoted = |mark: char| text.strip_prefix(mark)?.strip_suffix(mark);
    quoted('\'').or_else(|| quoted('"'))
}

impl Step {
    fn bracketed(inner: &str) -> Step {
        let inner = inner.trim();
        if inner == "*" {
            return Step::All;
        }
        if let Some(name) = unquoted(inner) {
            return Step::Field(name.to_owned());
        }
        if let Ok(index) = inner.parse() {
            return Step::Index(index);
        }
        let filter = inner.strip_prefix("?(@").and_then(|rest| rest.strip_suffix(')'));
        let Some(filter) = filter else { return Step::Nothing };
        for (operator, is_equal) in [("==", true), ("!=", false)] {
            if let Some((path, value)) = filter.split_once(operator) {
                let value = value.trim();
                let value = match unquoted(value) {
                    Some(text) => json!(text),
                    None => serde_json::from_str(value).unwrap_or_default(),
                };
                return Step::Where { path: JsonPath::parse(path), value, is_equal };
            }
        }
        Step::Nothing
    }

    fn within<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let items = || value.as_array().map_or(&[][..], Vec::as_slice);
        match self {
            Step::Field(name) => value.get(name).into_iter().collect(),
            Step::Index(index) => {
                let length = i64::try_from(items().len()).unwrap_or_default();
                let index = if *index < 0 { *index + length } else { *index };
                usize::try_from(index).ok().and_then(|index| items().get(index)).into_iter().collect()
            }
            Step::All => match value {
                Value::Object(fields) => fields.values().collect(),
                _ => items().iter().collect(),
            },
            Step::Where { path, value, is_equal } => {
                let holds =
                    |item: &&'a Value| path.find(item).iter().any(|found| (*found == value) == *is_equal);
                items().iter().filter(holds).collect()
            }
            Step::Nothing => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &str, path: &str, expected: Value) {
        let object = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a.b/c": "x"}},
            "spec": {"replicas": 3, "ratio": 1.5, "on": true, "parts": [{"name": "p"}, {"name": "q"}], "map": {"k": "v"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Done", "status": "False"}]}});
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        let version = json!({"additionalPrinterColumns": [{"name": "X", "type": kind, "jsonPath": path}]});
        assert_eq!(parse(&version)[0].cell(&object, now), expected, "{path}");
    }

    #[test]
    fn cells_are_found_by_their_paths() {
        check("integer", ".spec.replicas", json!(3));
        check("string", ".spec.replicas", json!("3"));
        check("number", ".spec.ratio", json!(1.5));
        check("boolean", ".spec.on", json!(true));
        check("date", ".metadata.creationTimestamp", json!("5m"));
        check("string", ".spec.parts[1].name", json!("q"));
        check("string", ".spec.parts[-1].name", json!("q"));
        check("string", ".spec.parts[*].name", json!("p"));
        check("string", ".spec.map", json!("map[k:v]"));
        check("string", ".metadata.labels.a\\.b/c", json!("x"));
        check("string", ".metadata.labels['a.b/c']", json!("x"));
        check("string", ".status.conditions[?(@.type==\"Ready\")].status", json!("True"));
        check("string", ".status.conditions[?(@.type=='Done')].status", json!("False"));
    }

    #[test]
    fn what_is_not_there_is_an_empty_cell() {
        for path in [
            ".spec.none",
            ".spec.parts[7].name",
            ".spec.replicas.x",
            ".spec.parts[?(@.name==1)]",
            ".x[",
            ".x[?(]",
        ] {
            check("string", path, Value::Null);
        }
        check("integer", ".spec.on", Value::Null);
    }
}
