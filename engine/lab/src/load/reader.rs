//! One YAML file into its type: read, parse, variants, schema, type.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::document::{Checker, Document, Part};
use crate::files::Files;
use crate::schema;
use crate::template;
use crate::text::text;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Course,
    Lab,
    Submission,
}

/// A file that is as its schema says.
pub(super) struct Loaded<T> {
    pub document: Document,
    /// As it stands in the file, its templates untouched.
    pub value: Value,
    pub typed: T,
}

static COURSE: LazyLock<Checker> = LazyLock::new(|| Checker::new(schema::course()));
static LAB: LazyLock<Checker> = LazyLock::new(|| Checker::new(schema::lab()));
static SUBMISSION: LazyLock<Checker> = LazyLock::new(|| Checker::new(schema::submission()));

/// Reads a file with these values for its variants.
pub(super) fn read<T: DeserializeOwned>(
    files: &dyn Files,
    path: &str,
    kind: Kind,
    variants: &BTreeMap<String, Value>,
) -> Result<Loaded<T>, Vec<Diagnostic>> {
    read_with(files, path, kind, |_| variants.clone())
}

/// Reads a file; `variants` chooses values for its variants once it is parsed.
pub(super) fn read_with<T: DeserializeOwned>(
    files: &dyn Files,
    path: &str,
    kind: Kind,
    variants: impl FnOnce(&Value) -> BTreeMap<String, Value>,
) -> Result<Loaded<T>, Vec<Diagnostic>> {
    let bytes = files.read(path).map_err(|error| {
        vec![Diagnostic::of_file(path, text!("cannot be read: {error}", "읽을 수 없습니다: {error}"))]
    })?;
    let document = Document::parse(path, &bytes)?;
    let value = document.value();
    let mut drawn = value.clone();
    template::substitute(&mut drawn, &variants(&value));
    let checker: &Checker = match kind {
        Kind::Course => &COURSE,
        Kind::Lab => &LAB,
        Kind::Submission => &SUBMISSION,
    };
    let problems = checker.check(&document, &drawn);
    if !problems.is_empty() {
        return Err(problems);
    }
    match serde_json::from_value(drawn) {
        Ok(typed) => Ok(Loaded { document, value, typed }),
        Err(error) => Err(vec![document.problem("", Part::Value, error.to_string())]),
    }
}
