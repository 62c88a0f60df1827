//! What a container does: from its image, command and arguments to steps. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::catalogue::{Exits, HttpService, Image, OnSigterm, OwnProgram};
use crate::usage::Uses;
use crate::{metrics_server, shell, userland};

/// A container's process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    pub steps: Vec<Step>,
    /// The exit code when the steps are over.
    pub code: i32,
    pub serves: Vec<HttpService>,
    pub on_sigterm: OnSigterm,
    pub uses: Uses,
    /// A metrics server, with its flags.
    pub metrics_server: Option<metrics_server::Options>,
}

/// One thing that a process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Prints a line; `$(date)` in it is the world's date.
    Print(String),
    Sleep(Duration),
    SleepForever,
    Exit(i32),
    /// Goes on with the step of that index.
    GoTo(usize),
}

/// The program of a container. `environment` is known to its shell.
pub(crate) fn program(
    image: &Image,
    command: &[String],
    arguments: &[String],
    environment: &BTreeMap<String, String>,
) -> Program {
    let words: Vec<String> = command.iter().chain(arguments).cloned().collect();
    if words.is_empty() {
        return of_image(image, &words);
    }
    match shell::command(&words, environment) {
        Some((steps, code)) => {
            // The first process of a container has no default handlers: what does not handle SIGTERM, as
            // sleep and a shell do not, does not even notice it.
            let on_sigterm = OnSigterm::Ignores;
            Program { steps, code, on_sigterm, serves: Vec::new(), uses: image.uses, metrics_server: None }
        }
        None if image.exits.is_some() => {
            Program { steps: vec![Step::SleepForever], ..of_image(image, &words) }
        }
        None => of_image(image, &words),
    }
}

/// What a container whose stdin is open runs in its shell; `None` where only the image knows.
pub(crate) fn listening(image: &Image, command: &[String], arguments: &[String]) -> Option<Vec<String>> {
    let words: Vec<String> = command.iter().chain(arguments).cloned().collect();
    match words.as_slice() {
        // The images that end at once are those of shells: with something to read they read it.
        [] => image
            .exits
            .as_ref()
            .is_some_and(|exits| *exits == Exits::default())
            .then(|| vec!["sh".to_owned()]),
        _ if userland::knows(&words) => Some(words),
        _ => None,
    }
}

fn of_image(image: &Image, words: &[String]) -> Program {
    let mut steps: Vec<Step> = image.logs.iter().cloned().map(Step::Print).collect();
    match &image.exits {
        Some(exits) => steps.extend([Step::Sleep(exits.after.0), Step::Exit(exits.code)]),
        None => steps.push(Step::SleepForever),
    }
    Program {
        steps,
        code: 0,
        serves: image.serves.clone(),
        on_sigterm: image.on_sigterm,
        uses: image.uses,
        metrics_server: image.runs.map(|OwnProgram::MetricsServer| metrics_server::Options::parse(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::image_name::ImageName;

    #[track_caller]
    fn check(image: &str, command: &[&str], arguments: &[&str], expected: &[Step]) {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let image = Catalogue::builtin().find(&ImageName::parse(image).unwrap()).into_owned();
        let program = program(&image, &owned(command), &owned(arguments), &BTreeMap::new());
        assert_eq!(program.steps, expected);
    }

    #[test]
    fn a_command_goes_before_the_image() {
        let second = Duration::from_secs;
        check("nginx", &["sleep", "30"], &[], &[Step::Sleep(second(30))]);
        check("busybox", &[], &["sleep", "infinity"], &[Step::SleepForever]);
        check("busybox", &["sh", "-c"], &["sleep 5; exit 3"], &[Step::Sleep(second(5)), Step::Exit(3)]);
    }

    #[test]
    fn without_a_command_the_image_says_what_happens() {
        check("nginx", &[], &[], &[Step::Print("start worker processes".into()), Step::SleepForever]);
        check("busybox", &[], &[], &[Step::Sleep(Duration::ZERO), Step::Exit(0)]);
        check("my/own", &[], &[], &[Step::SleepForever]);
    }

    #[test]
    fn an_unknown_command_runs_like_the_image_or_forever_in_a_shell_image() {
        let nginx = [Step::Print("start worker processes".into()), Step::SleepForever];
        check("nginx", &["nginx", "-g", "daemon off;"], &[], &nginx);
        check("busybox", &["httpd", "-f"], &[], &[Step::SleepForever]);
    }
}
