//! `labkit lint`: proves that labs are right.

use std::path::Path;

use labkit_lab::{LabFolder, LintResult, lint_lab};

use crate::arguments::{Global, LintArguments};
use crate::course;
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Ink, Screen, say};
use crate::work::Work;

pub fn run(screen: &Screen, global: &Global, arguments: &LintArguments) -> Outcome {
    let labs = labs(screen, global, arguments)?;
    let work = Work::of_steps(screen, labs.len() as u64);
    let mut results = Vec::new();
    for lab in &labs {
        work.say(lab.name());
        results.push(lint_lab(lab, arguments.seeds));
        work.step();
    }
    drop(work);
    let all_right = results.iter().all(|result| result.problems.is_empty());
    if screen.json {
        screen.print_json(&results);
    } else {
        results.iter().for_each(|result| print(screen, result));
    }
    Ok(if all_right { Exit::Passed } else { Exit::Failed })
}

/// The labs of the paths, or of the course. Problems of all files are reported together.
fn labs(screen: &Screen, global: &Global, arguments: &LintArguments) -> Result<Vec<LabFolder>, Failure> {
    let of_course = |global: &Global| -> Result<Vec<LabFolder>, Failure> {
        let course = course::open(screen, global)?;
        Ok(course.labs().map(|(_, lab)| lab.clone()).collect())
    };
    if arguments.paths.is_empty() {
        return of_course(global);
    }
    let (mut labs, mut problems) = (Vec::new(), Vec::new());
    for path in &arguments.paths {
        let read = match is_course(path) {
            true => of_course(&Global { course: Some(path.clone()), ..global.clone() }),
            false => {
                let folder =
                    if path.ends_with("lab.yaml") { path.parent().unwrap_or(Path::new(".")) } else { path };
                course::read_lab(screen, folder).map(|lab| vec![lab])
            }
        };
        match read {
            Ok(read) => labs.extend(read),
            Err(failure) if failure.diagnostics.is_empty() => return Err(failure),
            Err(failure) => problems.extend(failure.diagnostics),
        }
    }
    if problems.is_empty() { Ok(labs) } else { Err(Failure::diagnostics(screen, problems)) }
}

fn is_course(path: &Path) -> bool {
    path.join("course.yaml").is_file() || path.join("labs/course.yaml").is_file()
}

fn print(screen: &Screen, result: &LintResult) {
    let (lab, runs, seeds) = (&result.lab, result.runs, result.seeds);
    let told = say!(screen.language, "{runs} runs over {seeds} seeds", "시드 {seeds}개로 {runs}번 실행");
    if result.problems.is_empty() {
        screen.print_prose("", &format!("{} {lab}: {told}", screen.paint(Ink::Green, "✓")));
        print_mutants(screen, result);
        return;
    }
    screen.print_prose("", &format!("{} {lab}: {told}", screen.paint(Ink::Red, "✗")));
    for problem in &result.problems {
        screen.print_prose("    ", problem.for_language(screen.language));
    }
}

/// What became of the solution's mutants. One that has full marks is no error: some mistakes cost nothing. But its
/// author should know, and either sharpen a check or declare why it is as good as the solution.
fn print_mutants(screen: &Screen, result: &LintResult) {
    let (language, mutants, seeds) = (screen.language, result.mutants, result.mutant_seeds);
    let (declared, survivors) = (result.equivalent.len(), result.survivors.len());
    let caught = mutants.saturating_sub((survivors + declared) as u64);
    let text = say!(
        language,
        "{caught} of {mutants} mutants of the solution lose points on each of {seeds} seeds; {declared} declared equivalent, {survivors} survive",
        "모범 답안의 변이 {mutants}개 중 {caught}개가 시드 {seeds}개 모두에서 점수를 잃음. 같다고 밝힌 것 {declared}개, 살아남은 것 {survivors}개"
    );
    screen.print_prose("    ", &text);
    for survivor in &result.survivors {
        let (name, what) = (&survivor.mutant, survivor.what.for_language(language));
        let on = match survivor.seeds.len() as u64 == seeds {
            true => String::new(),
            false => {
                let numbers = survivor.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
                say!(language, " (on seeds {numbers} only)", " (시드 {numbers} 에서만)")
            }
        };
        screen.print_prose("      ", &format!("- {}: {what}{on}", screen.paint(Ink::Yellow, name)));
    }
    if survivors > 0 {
        let text = say!(
            language,
            "Each is a mistake that costs nothing: sharpen a check, or declare it in solution/submission.yaml under `equivalent:` with the reason.",
            "모두 점수를 잃지 않는 실수입니다. 검사를 더 날카롭게 하거나, 이유와 함께 solution/submission.yaml 의 `equivalent:` 에 밝히세요."
        );
        screen.print_prose("      ", &screen.paint(Ink::Dim, &text));
    }
}
