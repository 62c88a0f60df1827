//! The names that a lab's expressions may use, and what is wrong with an expression that uses others.

use std::sync::LazyLock;

use regex::Regex;

use super::submissions::answer_ids;
use crate::cel::Cel;
use crate::document::suggestion;
use crate::lab::Lab;
use crate::run::VARIABLES;
use crate::text::{Text, text};

/// The names that expressions of a lab may use.
pub(super) struct Names {
    pub faults: Vec<String>,
    pub loads: Vec<String>,
    pub answers: Vec<String>,
    pub variants: Vec<String>,
}

impl Names {
    pub fn of(lab: &Lab) -> Names {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let setup_faults = lab.setup.iter().filter_map(|step| step.fault.as_ref());
        let faults = lab.tasks.iter().flat_map(|task| &task.faults).chain(setup_faults);
        let loads = lab.setup.iter().filter(|step| step.load.is_some());
        Names {
            faults: faults.map(|fault| fault.id.clone()).collect(),
            loads: loads.filter_map(|step| step.id.clone()).collect(),
            answers: owned(answer_ids(lab)),
            variants: lab.variants.keys().cloned().collect(),
        }
    }

    /// What is wrong with an expression: it does not compile, or names what is not there.
    pub fn problem_of(&self, source: &str, bound: &[&String], more_faults: &[String]) -> Option<Text> {
        let cel = match Cel::compile(source) {
            Ok(cel) => cel,
            Err(error) => return Some(Text::plain(error.to_string())),
        };
        let known = || VARIABLES.iter().copied().chain(bound.iter().map(|name| name.as_str()));
        for name in cel.expression().variables() {
            if !known().any(|known| known == name) && !is_bound(source, name) {
                let known: Vec<&str> = known().chain(self.variants.iter().map(String::as_str)).collect();
                let help = suggestion(name, known.iter().copied());
                return Some(text!(
                    "no variable `{name}`; {help}",
                    "변수 `{name}` 은(는) 없습니다. {help}",
                    help
                ));
            }
        }
        let faults: Vec<&str> = self.faults.iter().chain(more_faults).map(String::as_str).collect();
        let loads: Vec<&str> = self.loads.iter().map(String::as_str).collect();
        let answers: Vec<&str> = self.answers.iter().map(String::as_str).collect();
        for member in MEMBER.captures_iter(source) {
            let (of, name) = (&member[1], member.get(2).or(member.get(3)).map_or("", |name| name.as_str()));
            let known = match of {
                "faults" => &faults,
                "load" => &loads,
                _ => &answers,
            };
            if !known.contains(&name) {
                let help = suggestion(name, known.iter().copied());
                return Some(text!(
                    "no `{of}.{name}`; {help}",
                    "`{of}.{name}` 은(는) 없습니다. {help}",
                    help
                ));
            }
        }
        None
    }
}

/// `faults.crash` or `faults["crash-2"]`.
static MEMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:^|[^.\w])(faults|load|answers)(?:\.([A-Za-z_]\w*)|\[["']([^"']+)["']\])"#)
        .expect("a constant")
});

/// Whether `all`, `map` or the like bind the name: `members.all(m, m.running)`.
fn is_bound(source: &str, name: &str) -> bool {
    let bound = Regex::new(&format!(r"\(\s*(?:\w+\s*,\s*)?{}\s*,", regex::escape(name)));
    bound.is_ok_and(|bound| bound.is_match(source))
}
