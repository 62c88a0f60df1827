//! Reads a course and its labs. All problems of all files are reported at once.

mod inline;
mod names;
mod reader;
mod readme;
mod references;
mod submissions;

use std::collections::BTreeMap;
use std::path::PathBuf;

use labkit_sim::Seed;
use serde_json::Value;

use crate::course::Course;
use crate::diagnostic::Diagnostic;
use crate::document::Part;
use crate::files::Files;
use crate::lab::Lab;
use crate::submission::Submission;
use crate::template;
use crate::text::{Language, Text, text};
use crate::variants::{self, Variant};

use reader::{Kind, Loaded};
pub(crate) use readme::commands_by_task;
pub use submissions::load_submission;

/// A lab as loaded from its folder: typed, with its prose and its submissions.
#[derive(Debug, Clone)]
pub struct LabFolder {
    /// The folder, relative to the root of the files that it was read from.
    pub dir: PathBuf,
    /// The lab, with the first value of each variant.
    pub lab: Lab,
    /// README.md and README.ko.md.
    pub readme: BTreeMap<Language, String>,
    pub start: Submission,
    /// Empty in a student's copy.
    pub solution: Submission,
    /// Whether it was packed for students, without its solution and the wrong ones.
    pub is_students_copy: bool,
    /// By the name of their folders.
    pub wrong: BTreeMap<String, Submission>,
    /// `lab.yaml` before variants are put in, with the files that it names.
    document: Value,
}

/// A course with all its labs.
#[derive(Debug, Clone)]
pub struct LoadedCourse {
    pub course: Course,
    /// By their path in course.yaml.
    pub labs: BTreeMap<String, LabFolder>,
}

impl LabFolder {
    pub fn name(&self) -> &str {
        &self.lab.metadata.name
    }

    /// The lab with the variants of a seed, and their values.
    pub fn drawn(&self, seed: Seed) -> (Lab, BTreeMap<String, Value>) {
        let values = variants::draw(&self.lab.variants, self.name(), seed);
        if values.is_empty() {
            return (self.lab.clone(), values);
        }
        let lab = with_variants(&self.document, &values);
        (serde_json::from_value(lab).expect("the loader has tried every variant"), values)
    }

    /// A number for what the lab is, files that it names included: it changes when a grade could.
    pub fn digest(&self) -> u64 {
        labkit_sim::seed::fnv1a(self.document.to_string().as_bytes())
    }

    /// The lab without its setup and its faults: an empty cluster on which nothing happens.
    pub(crate) fn bare(&self) -> LabFolder {
        let mut bare = self.clone();
        bare.lab.setup.clear();
        if let Some(lab) = bare.document.as_object_mut() {
            lab.remove("setup");
        }
        for task in &mut bare.lab.tasks {
            task.faults.clear();
        }
        let tasks = bare.document.get_mut("tasks").and_then(Value::as_array_mut);
        for task in tasks.into_iter().flatten().filter_map(Value::as_object_mut) {
            task.remove("faults");
        }
        bare
    }

    /// A submission by name: `start`, `solution` or `wrong/NAME`.
    pub fn submission(&self, name: &str) -> Option<&Submission> {
        match name {
            "start" => Some(&self.start),
            "solution" => Some(&self.solution),
            other => self.wrong.get(other.strip_prefix("wrong/")?),
        }
    }
}

/// Reads `course.yaml` and every lab that it names.
pub fn load_course(files: &dyn Files) -> Result<LoadedCourse, Vec<Diagnostic>> {
    let loaded: Loaded<Course> = reader::read(files, "course.yaml", Kind::Course, &BTreeMap::new())?;
    let mut problems = references::of_course(&loaded);
    let mut labs = BTreeMap::new();
    let paths = loaded.typed.sessions.iter().enumerate().flat_map(|(session, of)| {
        of.labs
            .iter()
            .enumerate()
            .map(move |(index, path)| (format!("/sessions/{session}/labs/{index}"), path))
    });
    for (pointer, path) in paths {
        if let Err(error) = files.read(&join(path, "lab.yaml")) {
            let message = text!("there is no lab in {path}: {error}", "{path} 에 실습이 없습니다: {error}");
            problems.push(loaded.document.problem(&pointer, Part::Value, message).with_help(Text::new(
                "a lab is a folder with a lab.yaml",
                "실습은 lab.yaml 이 있는 폴더입니다",
            )));
            continue;
        }
        match load_lab(files, path) {
            Ok(lab) => {
                labs.insert(path.clone(), lab);
            }
            Err(of_lab) => problems.extend(of_lab),
        }
    }
    if problems.is_empty() { Ok(LoadedCourse { course: loaded.typed, labs }) } else { Err(problems) }
}

/// Reads the lab in a folder of `files`; the empty folder is their root.
pub fn load_lab(files: &dyn Files, folder: &str) -> Result<LabFolder, Vec<Diagnostic>> {
    let path = join(folder, "lab.yaml");
    let loaded = read_lab(files, &path)?;
    let mut problems = references::of_lab(&loaded, folder);
    let (mut document, of_files) = inline::files(files, folder, &loaded.document, loaded.value.clone());
    problems.extend(of_files);
    let (readme, of_readme) = readme::load(files, folder, &loaded.typed);
    problems.extend(of_readme);
    let own = submissions::load_own(files, folder, &loaded.typed, &mut problems);
    match own {
        Some((start, solution, wrong)) if problems.is_empty() => {
            let low = variants::samples(&loaded.typed.variants).remove(0);
            let lab = serde_json::from_value(with_variants(&document, &low))
                .expect("the same lab was read before its files");
            document["metadata"]["name"] = Value::from(loaded.typed.metadata.name.clone());
            let is_students_copy = solution.is_none();
            let solution = solution.unwrap_or_else(|| Submission::new(&loaded.typed.metadata.name));
            let dir = PathBuf::from(folder);
            Ok(LabFolder { dir, lab, readme, start, solution, is_students_copy, wrong, document })
        }
        _ => Err(problems),
    }
}

/// Reads lab.yaml once for each corner of its variants, so that no draw can fail later.
fn read_lab(files: &dyn Files, path: &str) -> Result<Loaded<Lab>, Vec<Diagnostic>> {
    let first: Loaded<Lab> = reader::read_with(files, path, Kind::Lab, |value| {
        let variants = variants::readable(value);
        variants::samples(&variants).remove(0)
    })?;
    let variants: &BTreeMap<String, Variant> = &first.typed.variants;
    for sample in variants::samples(variants).into_iter().skip(1) {
        let _: Loaded<Lab> = reader::read(files, path, Kind::Lab, &sample)?;
    }
    Ok(first)
}

/// The document with these values in it; the variants themselves stay as they are.
fn with_variants(document: &Value, values: &BTreeMap<String, Value>) -> Value {
    let mut value = document.clone();
    template::substitute(&mut value, values);
    value
}

/// A path of two parts; the first may be empty.
fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
