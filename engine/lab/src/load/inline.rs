//! Files that steps name, put in their place: after loading, nothing needs the folder any more.

use serde_json::Value;

use super::join;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, PROBLEMS_MAX, Part};
use crate::files::Files;
use crate::steps::{Manifest, manifest_documents};
use crate::text::{Text, text};

/// Verbs whose value is a [`Manifest`].
const WITH_MANIFEST: [&str; 3] = ["apply", "create", "replace"];

/// Objects of the largest lab or submission, in all its manifests.
const OBJECTS_MAX: usize = 2000;

/// The document with every step's file in it, and what is wrong with the files.
pub(super) fn files(
    files: &dyn Files,
    folder: &str,
    document: &Document,
    mut value: Value,
) -> (Value, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut objects = 0;
    for list in ["setup", "steps"] {
        let steps = value.get_mut(list).and_then(Value::as_array_mut);
        for (index, step) in steps.into_iter().flatten().enumerate() {
            for verb in WITH_MANIFEST {
                let pointer = format!("/{list}/{index}/{verb}");
                if let Some(step) = step.get_mut(verb) {
                    objects += inline(files, folder, document, &pointer, step, &mut problems);
                }
                if objects > OBJECTS_MAX || problems.len() >= PROBLEMS_MAX {
                    if objects > OBJECTS_MAX {
                        let message = text!(
                            "with this one there are more than {OBJECTS_MAX} objects",
                            "이것까지 객체가 {OBJECTS_MAX}개가 넘습니다"
                        );
                        problems.push(document.problem(&pointer, Part::Key, message));
                    }
                    return (value, problems);
                }
            }
        }
    }
    (value, problems)
}

/// Puts a step's file in its place; how many objects the step has.
fn inline(
    files: &dyn Files,
    folder: &str,
    document: &Document,
    pointer: &str,
    step: &mut Value,
    problems: &mut Vec<Diagnostic>,
) -> usize {
    let mut at = format!("{pointer}/manifest");
    let mut refuse = |at: &str, message: Text| {
        problems.push(document.problem(at, Part::Value, message));
        0
    };
    if let Some(file) = step["file"].as_str().map(str::to_owned) {
        at = format!("{pointer}/file");
        match text_of(files, folder, &file).and_then(|text| {
            manifest_documents(&text).map_err(|error| text!("`{file}`: {error}", "`{file}`: {error}", error))
        }) {
            Ok(objects) if objects.len() > OBJECTS_MAX => return objects.len(),
            Ok(objects) => step["manifest"] = Value::Array(objects),
            Err(message) => return refuse(&at, message),
        }
    }
    if step.to_string().contains("${") {
        // Judged when its templates are filled in.
        return 1;
    }
    let manifest: Result<Manifest, _> = serde_json::from_value(step.clone());
    match manifest.map_err(|error| Text::plain(error.to_string())).and_then(|manifest| manifest.items()) {
        Ok(items) if items.is_empty() => {
            refuse(&at, Text::new("there is no object in it", "객체가 하나도 없습니다"))
        }
        Ok(items) => items.len(),
        Err(error) => refuse(&at, error),
    }
}

/// The text of a file of the folder.
fn text_of(files: &dyn Files, folder: &str, file: &str) -> Result<String, Text> {
    if file.starts_with('/') || file.split('/').any(|part| part == "..") {
        return Err(text!(
            "`{file}` is not within the lab's folder",
            "`{file}` 은(는) 실습 폴더 안에 있지 않습니다"
        ));
    }
    let bytes = files.read(&join(folder, file)).map_err(|error| {
        text!("`{file}` cannot be read: {error}", "`{file}` 을(를) 읽을 수 없습니다: {error}")
    })?;
    if bytes.len() > 1 << 20 {
        return Err(text!("`{file}` is larger than 1 MiB", "`{file}` 은(는) 1 MiB 보다 큽니다"));
    }
    String::from_utf8(bytes).map_err(|_| text!("`{file}` is not UTF-8", "`{file}` 은(는) UTF-8 이 아닙니다"))
}
