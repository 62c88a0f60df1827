//! Files that steps name, put in their place: after loading, nothing needs the folder any more.

use serde_json::Value;

use super::join;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, Part};
use crate::files::Files;
use crate::steps::{Manifest, manifest_documents};

/// Verbs whose value is a [`Manifest`].
const WITH_MANIFEST: [&str; 3] = ["apply", "create", "replace"];

/// The document with every step's file in it, and what is wrong with the files.
pub(super) fn files(
    files: &dyn Files,
    folder: &str,
    document: &Document,
    mut value: Value,
) -> (Value, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    for list in ["setup", "steps"] {
        let steps = value.get_mut(list).and_then(Value::as_array_mut);
        for (index, step) in steps.into_iter().flatten().enumerate() {
            for verb in WITH_MANIFEST {
                let pointer = format!("/{list}/{index}/{verb}");
                if let Some(step) = step.get_mut(verb) {
                    inline(files, folder, document, &pointer, step, &mut problems);
                }
            }
        }
    }
    (value, problems)
}

fn inline(
    files: &dyn Files,
    folder: &str,
    document: &Document,
    pointer: &str,
    step: &mut Value,
    problems: &mut Vec<Diagnostic>,
) {
    let mut at = pointer.to_owned();
    if let Some(file) = step["file"].as_str().map(str::to_owned) {
        at = format!("{pointer}/file");
        if file.starts_with('/') || file.split('/').any(|part| part == "..") {
            let message = format!("`{file}` is not within the lab's folder");
            return problems.push(document.problem(&at, Part::Value, message));
        }
        match files.read(&join(folder, &file)).map(String::from_utf8) {
            Ok(Ok(text)) if text.len() > 1 << 20 => {
                return problems.push(document.problem(
                    &at,
                    Part::Value,
                    format!("`{file}` is larger than 1 MiB"),
                ));
            }
            Ok(Ok(text)) => match manifest_documents(&text) {
                Ok(objects) => step["manifest"] = Value::Array(objects),
                Err(error) => {
                    return problems.push(document.problem(&at, Part::Value, format!("`{file}`: {error}")));
                }
            },
            Ok(Err(_)) => {
                return problems.push(document.problem(&at, Part::Value, format!("`{file}` is not UTF-8")));
            }
            Err(error) => {
                return problems.push(document.problem(
                    &at,
                    Part::Value,
                    format!("`{file}` cannot be read: {error}"),
                ));
            }
        }
    } else {
        at = format!("{at}/manifest");
    }
    if step.to_string().contains("${") {
        // Judged when its templates are filled in.
        return;
    }
    let manifest: Result<Manifest, _> = serde_json::from_value(step.clone());
    match manifest.map_err(|error| error.to_string()).and_then(|manifest| manifest.items()) {
        Ok(items) if items.is_empty() => {
            problems.push(document.problem(&at, Part::Value, "there is no object in it"))
        }
        Ok(_) => {}
        Err(error) => problems.push(document.problem(&at, Part::Value, error)),
    }
}
