//! A lab's own submissions, and those of students.

use std::collections::BTreeMap;

use serde_json::Value;

use super::names::Names;
use super::reader::{self, Kind, Loaded};
use super::{inline, join, references};
use crate::diagnostic::Diagnostic;
use crate::document::Part;
use crate::files::Files;
use crate::lab::Lab;
use crate::submission::Submission;
use crate::text::Text;
use crate::{checks, template};

/// Whose submission is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    Course,
    Student,
}

/// Reads a student's submission: the folder of `files` that holds a submission.yaml. Templates are not
/// evaluated, and what only the course's own say is ignored.
pub fn load_submission(files: &dyn Files, folder: &str, lab: &Lab) -> Result<Submission, Vec<Diagnostic>> {
    load(files, folder, lab, Author::Student).map(Submission::into_a_students)
}

/// The solution is absent where wrong/ is, too: in what is packed for students.
type Own = (Submission, Option<Submission>, BTreeMap<String, Submission>);

/// Reads start/, solution/ and wrong/*.
pub(super) fn load_own(
    files: &dyn Files,
    folder: &str,
    lab: &Lab,
    problems: &mut Vec<Diagnostic>,
) -> Option<Own> {
    let mut of = |name: &str| {
        load(files, &join(folder, name), lab, Author::Course).map_err(|of| problems.extend(of)).ok()
    };
    let wrong_names = files.list(&join(folder, "wrong"));
    let is_students = wrong_names.is_empty() && is_absent(files, &join(folder, "solution/submission.yaml"));
    let start = of("start");
    let solution = if is_students { Some(None) } else { of("solution").map(Some) };
    let mut wrong = BTreeMap::new();
    for name in wrong_names {
        let read = of(&format!("wrong/{name}"));
        wrong.extend(read.map(|submission| (name, submission)));
    }
    for (name, submission) in &wrong {
        if submission.expect.is_none() {
            let path = join(folder, &format!("wrong/{name}/submission.yaml"));
            let message = Text::new(
                "`expect` is missing: a wrong submission says what it fails, as expect: {fails: [task/check]}",
                "`expect` 가 없습니다. 틀린 제출물은 무엇을 틀리는지 expect: {fails: [task/check]} 로 적습니다",
            );
            problems.push(Diagnostic::of_file(&path, message));
        }
    }
    Some((start?, solution?, wrong))
}

fn is_absent(files: &dyn Files, path: &str) -> bool {
    files.read(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn load(files: &dyn Files, folder: &str, lab: &Lab, author: Author) -> Result<Submission, Vec<Diagnostic>> {
    let path = join(folder, "submission.yaml");
    let loaded: Loaded<Submission> = reader::read(files, &path, Kind::Submission, &BTreeMap::new())?;
    let mut problems = references::of_submission(&loaded, lab);
    if author == Author::Course {
        problems.extend(bad_templates(&loaded, lab));
    }
    problems.extend(bad_script(&loaded, author));
    let (value, of_files) = inline::files(files, folder, &loaded.document, loaded.value.clone());
    problems.extend(of_files);
    if problems.is_empty() {
        Ok(serde_json::from_value(value).expect("the same submission was read before its files"))
    } else {
        Err(problems)
    }
}

/// A script stands alone, and only a student's submission has one: a lab is proven by steps, which every machine can
/// replay.
fn bad_script(loaded: &Loaded<Submission>, author: Author) -> Option<Diagnostic> {
    let submission = &loaded.typed;
    submission.script.as_ref()?;
    let problem = match author {
        Author::Course => Text::new(
            "a course's own submission has no script; write what it does as steps",
            "과정의 제출물에는 script 를 쓰지 않습니다. 하는 일을 steps 로 적으세요",
        ),
        Author::Student if !submission.steps.is_empty() => Text::new(
            "a submission has steps or a script, not both; what the script does becomes its steps",
            "제출물에는 steps 와 script 중 하나만 씁니다. 스크립트가 한 일이 steps 가 됩니다",
        ),
        Author::Student => return None,
    };
    Some(loaded.document.problem("/script", Part::Key, problem))
}

fn bad_templates(loaded: &Loaded<Submission>, lab: &Lab) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    template::expressions(&loaded.value, "", &mut found);
    let names = Names::of(lab);
    let submitted: Vec<String> =
        loaded.typed.steps.iter().filter_map(|step| Some(step.fault.as_ref()?.id.clone())).collect();
    let bad =
        found.into_iter().filter(|(_, expression)| expression != "n").filter_map(|(pointer, expression)| {
            let problem = names.problem_of(&expression, &[], &submitted)?;
            Some(loaded.document.problem(&pointer, Part::Value, problem))
        });
    let conditions = loaded.typed.answers.iter().filter_map(|(id, answer)| {
        let condition = crate::run::condition_of(answer)?;
        let problem = names.problem_of(condition.cel.source(), &condition.bound(), &submitted)?;
        Some(loaded.document.problem(&format!("/answers/{id}/cel"), Part::Value, problem))
    });
    bad.chain(conditions).collect()
}

/// The ids that a lab's checks ask answers for.
pub(super) fn answer_ids(lab: &Lab) -> Vec<&str> {
    let checks = lab.tasks.iter().flat_map(|task| &task.checks);
    checks
        .filter_map(|check: &checks::Check| check.answer.as_ref())
        .map(|answer| answer.id.as_str())
        .collect()
}

/// Whether a value has a template in any of its texts.
pub(super) fn has_template(value: &Value) -> bool {
    let mut found = Vec::new();
    template::expressions(value, "", &mut found);
    !found.is_empty()
}
