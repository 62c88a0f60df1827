//! A submission as Gradescope's `results.json`, which an autograder there leaves in /autograder/results.

use serde_json::{Map, Value, json};

use super::{CheckReport, ClassReport, Graded, Outcome, Verdict};
use crate::text::Language;

impl Graded {
    /// One test a check: its points, and what was expected and found where it did not pass.
    pub fn to_gradescope(&self, language: Language) -> Value {
        let tests: Vec<Value> = self
            .checks()
            .enumerate()
            .map(|(index, (task, check))| test(index, task, check, language))
            .collect();
        let mut output: Vec<String> = self.problems.clone();
        if self.outcome != Outcome::Graded {
            output.insert(0, self.outcome.word(language).to_owned());
        }
        json!({
            "score": self.points,
            "output": output.join("\n"),
            "output_format": "text",
            "visibility": "visible",
            "stdout_visibility": "hidden",
            "tests": tests,
            "extra_data": {"student": self.student, "seed": self.seed, "selfReported": self.self_reported},
        })
    }
}

impl ClassReport {
    /// One submission's results, or each student's by id.
    pub fn to_gradescope(&self, language: Language) -> String {
        let value = match self.submissions.as_slice() {
            [one] => one.to_gradescope(language),
            all => {
                let of = |graded: &Graded| (graded.student.clone(), graded.to_gradescope(language));
                Value::Object(all.iter().map(of).collect::<Map<_, _>>())
            }
        };
        let mut text = serde_json::to_string_pretty(&value).expect("results are plain data");
        text.push('\n');
        text
    }
}

fn test(index: usize, task: &str, check: &CheckReport, language: Language) -> Value {
    let passed = check.verdict == Verdict::Passed;
    let mut output = vec![check.verdict.word(language).to_owned()];
    if !passed {
        let words = super::words::words(language);
        let expected = Some(check.expected_in(language)).filter(|expected| !expected.is_empty());
        output.extend(expected.map(|expected| format!("{}: {expected}", words.expected)));
        output.push(format!("{}: {}", words.actual, check.actual_in(language)));
        output.extend(check.error.as_ref().map(|error| format!("{}: {error}", words.error)));
        let hint = check.hint.as_ref().map(|hint| hint.for_language(language));
        output.extend(hint.map(|hint| format!("{}: {hint}", words.hint)));
    }
    json!({
        "number": format!("{}", index + 1),
        "name": format!("{task}/{}: {}", check.id, check.title.for_language(language)),
        "score": check.points,
        "max_score": check.points_max,
        "status": if passed { "passed" } else { "failed" },
        "output": output.join("\n"),
        "output_format": "text",
        "visibility": "visible",
    })
}

#[cfg(test)]
mod tests {
    use super::super::class::tests::class;
    use super::*;

    #[test]
    fn one_submission_is_a_results_file_and_several_are_by_student() {
        let mut class = class();
        let all: Value = serde_json::from_str(&class.to_gradescope(Language::En)).unwrap();
        assert_eq!(all["x"]["output"], "refused\nsubmission.yaml:1:1: no\n1 | x");
        class.submissions.truncate(1);
        let one: Value = serde_json::from_str(&class.to_gradescope(Language::Ko)).unwrap();
        assert_eq!((&one["score"], &one["tests"][0]["status"]), (&json!(4), &json!("passed")));
        let sum: u64 =
            one["tests"].as_array().unwrap().iter().map(|test| test["score"].as_u64().unwrap()).sum();
        assert_eq!(sum, 4);
    }
}
