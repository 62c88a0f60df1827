//! The help: what `arguments` says, with examples, commands grouped by who uses them, and in the reader's
//! language.

use std::ffi::OsString;
use std::io::Write;

use clap::{Arg, ArgAction, ColorChoice, Command, CommandFactory, FromArgMatches};
use labkit_lab::Language;

use crate::arguments::Arguments;
use crate::failure::Exit;
use crate::screen::{Screen, language, pad, say, wrap};

mod korean;
mod korean_errors;

/// The commands by who uses them, in the order in which they are used.
const GROUPS: &[(&str, &str, &[&str])] = &[
    (
        "Students",
        "학생",
        &[
            "tour", "start", "check", "watch", "hint", "answer", "fault", "clock", "pause", "step", "resume",
            "raft", "timeline", "status", "snapshot", "restore", "reset", "submit", "stop",
        ],
    ),
    ("Instructors", "강사", &["run", "grade", "lint", "new", "pack", "schema"]),
    ("Publishers", "출판", &["book"]),
    ("Experiments", "실험", &["up", "etcd"]),
];

/// Command lines that show a command's use.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("tour", &["labkit tour", "labkit tour --lang ko"]),
    (
        "start",
        &[
            "labkit start kill-the-leader",
            "labkit start ./labs/my-lab --foreground",
            "labkit start 2.4 --student kim",
        ],
    ),
    ("check", &["labkit check"]),
    ("watch", &["labkit watch", "labkit watch --json | jq .points"]),
    ("hint", &["labkit hint"]),
    ("answer", &["labkit answer", "labkit answer leader etcd2"]),
    (
        "fault",
        &[
            "labkit fault",
            "labkit fault kill etcd/leader",
            "labkit fault partition \"etcd1 | etcd2, etcd3\"",
            "labkit fault delay \"etcd1 | etcd2\" 200ms",
            "labkit fault stop scheduler",
            "labkit fault heal",
        ],
    ),
    ("clock", &["labkit clock +40s", "labkit clock +5m"]),
    ("pause", &["labkit pause"]),
    (
        "step",
        &["labkit pause", "kubectl create deployment web --image=nginx", "labkit step", "labkit step 200ms"],
    ),
    ("resume", &["labkit resume"]),
    (
        "raft",
        &[
            "labkit raft hold",
            "etcdctl --command-timeout=10m put a 1     (in another terminal)",
            "labkit raft deliver",
            "labkit raft deliver 3",
            "labkit raft release",
        ],
    ),
    (
        "timeline",
        &[
            "labkit timeline",
            "labkit timeline --object pod/web",
            "labkit timeline --component scheduler --limit 20",
            "labkit timeline --object pod/web --at 42",
            "labkit timeline --format html > timeline.html",
        ],
    ),
    ("snapshot", &["labkit snapshot", "labkit snapshot before-the-crash"]),
    ("restore", &["labkit restore", "labkit restore before-the-crash", "labkit restore --list"]),
    ("reset", &["labkit reset"]),
    ("status", &["labkit status", "labkit status --json"]),
    ("submit", &["labkit submit --out ~/handin/kill-the-leader"]),
    ("stop", &["labkit stop", "labkit stop --all"]),
    (
        "up",
        &[
            "labkit up",
            "labkit up --nodes 3 --etcd 3",
            "labkit up --nodes 0 --secure-port 6443 --controllers \"*,-deployment-controller\"",
            "labkit up --authorization-mode Node,RBAC --token-auth-file tokens.csv",
            "labkit up --config kubeadm.yaml",
        ],
    ),
    (
        "run",
        &[
            "labkit run kill-the-leader --solution",
            "labkit run kill-the-leader --submission ~/handin/kill-the-leader",
            "labkit run kill-the-leader --submission ~/handin/kill-the-leader --student kim",
            "labkit run kill-the-leader --seed 7 --report report.json",
        ],
    ),
    (
        "grade",
        &[
            "labkit grade kill-the-leader handed-in/",
            "labkit grade kill-the-leader handed-in/ --out grades/",
            "labkit grade kill-the-leader handed-in/ --out grades/ --resume",
            "labkit grade kill-the-leader handed-in/ --format csv > grades.csv",
            "labkit grade kill-the-leader handed-in/ --on kubernetes --image registry.example/labkit --shards 8 > job.yaml",
            "labkit grade kill-the-leader submission/ --student kim --format gradescope > results.json",
        ],
    ),
    ("lint", &["labkit lint", "labkit lint labs/my-lab --seeds 20"]),
    ("pack", &["labkit pack --student --out handout/", "labkit pack kill-the-leader --student"]),
    ("new lab", &["labkit new lab lease-expires", "labkit new lab lease-expires --dir labs/session-2"]),
    ("schema", &["labkit schema", "labkit schema --check"]),
    (
        "etcd",
        &[
            "labkit etcd",
            "labkit etcd --name etcd1 --data-dir /tmp/etcd1 \\\n    \
             --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \\\n    \
             --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \\\n    \
             --initial-cluster etcd1=http://127.0.0.1:2380,etcd2=http://127.0.0.1:2480,etcd3=http://127.0.0.1:2580",
            "ETCDCTL_API=3 etcdctl --endpoints 127.0.0.1:2379 endpoint status -w table",
        ],
    ),
    ("book build", &["labkit book build --out ~/public/labkit"]),
    ("book serve", &["labkit book serve --port 3000"]),
];

/// Reads the command line. `Err` when all is said: help was asked for, or the usage is wrong.
pub fn parse(arguments: Vec<OsString>) -> Result<(Arguments, Screen), Exit> {
    let hints = Hints::of(&arguments);
    let language = language(hints.language.as_deref());
    let screen = Screen::new(language, hints.json, hints.no_color);
    let matches = command(&screen).try_get_matches_from(arguments);
    let parsed = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = parsed.map_err(|error| {
        let in_korean = match screen.language {
            Language::Ko => korean_errors::report(&error, &screen),
            Language::En => None,
        };
        // Nobody is left to be told when the reader is gone.
        let _ = match in_korean {
            Some(report) => write!(std::io::stderr(), "{report}"),
            None => error.print(),
        };
        if error.exit_code() == 0 { Exit::Passed } else { Exit::Usage }
    })?;
    Ok((arguments, screen))
}

/// What must be known of the command line before it is parsed, to speak of its mistakes.
#[derive(Debug, Default)]
struct Hints {
    language: Option<String>,
    json: bool,
    no_color: bool,
}

impl Hints {
    fn of(arguments: &[OsString]) -> Hints {
        let mut hints = Hints::default();
        let mut words = arguments.iter().map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            match word.as_ref() {
                "--" => break,
                "--json" => hints.json = true,
                "--no-color" => hints.no_color = true,
                "--lang" => hints.language = words.next().map(|language| language.into_owned()),
                word => {
                    if let Some(language) = word.strip_prefix("--lang=") {
                        hints.language = Some(language.to_owned());
                    }
                }
            }
        }
        hints
    }
}

/// The command line, ready to parse and to explain itself.
pub fn command(screen: &Screen) -> Command {
    let help = say!(
        screen.language,
        "Print help; --help says more than -h",
        "도움말 출력. --help 는 -h 보다 자세합니다"
    );
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).global(true).help(help);
    let version = say!(screen.language, "Print version", "버전 출력");
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version).help(version);
    let mut command =
        Arguments::command().disable_help_flag(true).disable_version_flag(true).arg(help).arg(version);
    let color =
        if screen.has_color() || screen.has_color_errors() { ColorChoice::Auto } else { ColorChoice::Never };
    command = command.color(color).max_term_width(100);
    for (path, lines) in EXAMPLES {
        let heading = say!(screen.language, "Examples:", "예:");
        let text = lines.iter().fold(heading, |text, line| format!("{text}\n  {line}"));
        command = at(command, path, |command| command.after_help(text));
    }
    if screen.language == Language::Ko {
        command = korean::translate(command);
    }
    let template = root_template(screen, &command);
    command.help_template(template)
}

/// Changes the command at a path such as `book build`; what was built without is left out.
fn at(command: Command, path: &str, change: impl FnOnce(Command) -> Command) -> Command {
    let (first, rest) = path.split_once(' ').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if command.find_subcommand(first).is_none() {
        return command;
    }
    command.mut_subcommand(first, |command| match rest {
        Some(rest) => at(command, rest, change),
        None => change(command),
    })
}

fn root_template(screen: &Screen, command: &Command) -> String {
    let mut groups = String::new();
    for (english, korean, names) in GROUPS {
        groups.push_str(&format!("\n{}:\n", say!(screen.language, "{english}", "{korean}")));
        for command in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let about = wrap(&about, screen.prose_width().saturating_sub(12), "");
            for (index, line) in about.lines().enumerate() {
                let name = if index == 0 { command.get_name() } else { "" };
                groups.push_str(&format!("  {}{line}\n", pad(name, 10)));
            }
        }
    }
    let usage = say!(screen.language, "Usage:", "사용법:");
    let options = say!(screen.language, "Options:", "옵션:");
    let more = say!(
        screen.language,
        "`labkit` alone shows the course and what comes next; `labkit help COMMAND` explains one.",
        "`labkit` 만 치면 과정과 다음 할 일을, `labkit help COMMAND` 는 명령 하나를 설명합니다.",
    );
    let more = wrap(&more, screen.prose_width(), "");
    format!("{{about-with-newline}}\n{usage} {{usage}}\n{groups}\n{options}\n{{options}}\n\n{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(language: &str) -> Screen {
        Screen::new(super::language(Some(language)), false, true)
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        command(&screen("en")).debug_assert();
        let english = command(&screen("en"));
        for command in english.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} says what it does");
            let grouped = GROUPS.iter().any(|(_, _, names)| names.contains(&name));
            assert!(grouped || name == "help", "{name} is in a group");
            let example = |command: &Command| command.get_after_help().is_some();
            assert!(example(command) || command.get_subcommands().any(example) || name == "help", "{name}");
        }
    }

    #[test]
    fn korean_translates_every_text() {
        let (english, korean) = (command(&screen("en")), command(&screen("ko")));
        untranslated(&english, &korean, "labkit");
    }

    #[track_caller]
    fn untranslated(english: &Command, korean: &Command, path: &str) {
        let text = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string);
        if path.ends_with(" help") || english.is_hide_set() {
            return;
        }
        assert_ne!(text(english.get_about()), text(korean.get_about()), "{path}");
        let long = text(english.get_long_about());
        assert!(long.is_none() || long != text(korean.get_long_about()), "{path}, at length");
        for argument in english.get_arguments().filter(|argument| argument.get_help().is_some()) {
            let other = korean.get_arguments().find(|other| other.get_id() == argument.get_id()).unwrap();
            assert_ne!(text(argument.get_help()), text(other.get_help()), "{path} {}", argument.get_id());
        }
        for command in english.get_subcommands() {
            let other = korean.find_subcommand(command.get_name()).unwrap();
            untranslated(command, other, &format!("{path} {}", command.get_name()));
        }
    }
}
