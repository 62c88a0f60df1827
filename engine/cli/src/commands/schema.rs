//! `labkit schema`: the JSON Schemas of lab files, from the types that read them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::arguments::{Global, SchemaArguments};
use crate::course;
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Screen, say};

pub fn run(screen: &Screen, global: &Global, arguments: &SchemaArguments) -> Outcome {
    let folder = match &arguments.out {
        Some(out) => out.clone(),
        None => beside_labs(screen, global)?,
    };
    let schemas = labkit_lab::schemas();
    let files: Vec<(PathBuf, String)> =
        schemas.iter().map(|(name, schema)| (folder.join(name), labkit_lab::schema_text(schema))).collect();
    let stale: Vec<&(PathBuf, String)> =
        files.iter().filter(|(path, text)| fs::read_to_string(path).ok().as_deref() != Some(text)).collect();
    if !arguments.check {
        fs::create_dir_all(&folder).map_err(|error| Failure::file("make", &folder, &error))?;
        for (path, text) in &stale {
            fs::write(path, text).map_err(|error| Failure::file("write", path, &error))?;
        }
    }
    let names: Vec<String> = stale.iter().map(|(path, _)| path.display().to_string()).collect();
    let (list, folder) = (names.join(", "), folder.display());
    if arguments.check && !names.is_empty() {
        let message = say!(screen.language, "not up to date: {list}", "최신이 아님: {list}");
        return Err(Failure::failed(message).next("labkit schema"));
    }
    if screen.json {
        screen.print_json(&json!({ "written": names }));
    } else if names.is_empty() {
        screen.print(&say!(screen.language, "Up to date: {folder}", "최신 상태: {folder}"));
    } else {
        screen.print_prose("", &say!(screen.language, "Wrote {list}", "작성: {list}"));
    }
    Ok(Exit::Passed)
}

fn beside_labs(screen: &Screen, global: &Global) -> Result<PathBuf, Failure> {
    let labs = course::folder(global)?.ok_or_else(|| {
        let message = say!(
            screen.language,
            "there is no labs/course.yaml here or upwards",
            "여기나 위쪽에 labs/course.yaml 이 없습니다"
        );
        Failure::usage(message).next("labkit schema --out DIR")
    })?;
    let root = labs.parent().unwrap_or(Path::new(".")).to_owned();
    Ok(root.join("schemas"))
}
