//! The shell: carries commands out. Counterpart: busybox ash.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::commands::{self, Found, Invocation};
use super::files::{FileError, absolute};
use super::streams::{Io, Sink, Stdin};
use super::syntax::{self, Command, Joint, Kind, List, Part, Pipeline, Redirect, SyntaxError, Target, Word};
use super::words::{self, Piece};
use super::{Surroundings, path_of};

/// SIGINT: 128 + 2.
pub(super) const INTERRUPTED: i32 = 130;
/// A turn of a loop: a script that only turns must not stop the world.
const TURN: Duration = Duration::from_millis(1);
/// Scripts that start scripts.
const DEPTH_MAX: usize = 16;
/// The value of a variable.
const VALUE_MAX: usize = 1 << 20;

/// One shell: what `cd`, `export` and assignments change. A clone is a subshell.
#[derive(Clone)]
pub(super) struct Shell {
    pub at: Surroundings,
    /// Assigned, but not exported.
    pub variables: BTreeMap<String, String>,
    /// `$0` and the arguments.
    pub positional: Vec<String>,
    pub last: i32,
    /// `set -e`.
    pub ends_on_error: bool,
    depth: usize,
}

/// How to go on after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next(i32),
    Exit(i32),
    Break,
    Continue,
}

impl Flow {
    fn code(self) -> i32 {
        match self {
            Flow::Next(code) | Flow::Exit(code) => code,
            Flow::Break | Flow::Continue => 0,
        }
    }
}

impl Shell {
    pub fn new(at: Surroundings) -> Shell {
        Shell {
            at,
            variables: BTreeMap::new(),
            positional: vec!["sh".to_owned()],
            last: 0,
            ends_on_error: false,
            depth: 0,
        }
    }

    /// Runs a program that is there, to its end.
    pub fn program<'a>(&'a mut self, words: &'a [String], io: Io) -> BoxFuture<'a, i32> {
        async move {
            let path = path_of(&self.at.environment).to_owned();
            match commands::find(&self.at.files, &self.at.working_directory, &path, &words[0]) {
                Found::Program(name) => {
                    let invocation = Invocation { words, shell: self, io };
                    commands::run(name, invocation).await.code()
                }
                Found::Script(text) => {
                    let arguments = words.to_vec();
                    self.clone().script(&text, arguments, io).await
                }
                Found::NotThere => {
                    let _nobody_reads = io.stderr.write(format!("sh: {}: not found\n", words[0])).await;
                    127
                }
                Found::NotExecutable => {
                    let _nobody_reads =
                        io.stderr.write(format!("sh: {}: Permission denied\n", words[0])).await;
                    126
                }
            }
        }
        .boxed()
    }

    /// Runs a text with `$0` and arguments.
    pub async fn script(&mut self, text: &str, positional: Vec<String>, io: Io) -> i32 {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let _nobody_reads = io.stderr.write("sh: can't fork: Resource temporarily unavailable\n").await;
            return 2;
        }
        self.positional = positional;
        match syntax::parse(text) {
            Ok(list) => self.list(&list, io).await.code(),
            Err(error) => {
                let _nobody_reads = io.stderr.write(format!("sh: {}\n", error.message())).await;
                2
            }
        }
    }

    /// Reads commands from stdin, with a prompt if it is a terminal.
    pub async fn interactive(&mut self, io: Io) -> i32 {
        let mut interrupts = self.at.interrupts.clone();
        interrupts.mark_unchanged();
        let is_terminal = self.at.is_terminal;
        let mut text = String::new();
        loop {
            if is_terminal {
                let prompt = if text.is_empty() { self.prompt() } else { "> ".to_owned() };
                let _nobody_reads = io.stdout.write(prompt).await;
            }
            let line = tokio::select! {
                biased;
                Ok(()) = interrupts.changed() => {
                    text.clear();
                    self.last = INTERRUPTED;
                    continue;
                }
                line = io.stdin.line() => line,
            };
            let Some(line) = line else { return self.last };
            text.push_str(&line);
            text.push('\n');
            let list = match syntax::parse(&text) {
                Err(SyntaxError::Unfinished) => continue,
                Err(error) => {
                    let _nobody_reads = io.stderr.write(format!("sh: {}\n", error.message())).await;
                    self.last = 2;
                    text.clear();
                    continue;
                }
                Ok(list) => list,
            };
            text.clear();
            let flow = tokio::select! {
                biased;
                flow = self.list(&list, io.clone()) => flow,
                Ok(()) = interrupts.changed(), if is_terminal => Flow::Next(INTERRUPTED),
            };
            self.last = flow.code();
            if let Flow::Exit(code) = flow {
                return code;
            }
        }
    }

    fn prompt(&self) -> String {
        let here = &self.at.working_directory;
        let is_home = self.at.environment.get("HOME") == Some(here) && here != "/";
        format!("{} # ", if is_home { "~" } else { here })
    }

    fn list<'a>(&'a mut self, list: &'a List, io: Io) -> BoxFuture<'a, Flow> {
        async move {
            for (index, (joint, pipeline)) in list.iter().enumerate() {
                let runs = match joint {
                    Joint::Always => true,
                    Joint::And => self.last == 0,
                    Joint::Or => self.last != 0,
                };
                if !runs {
                    continue;
                }
                let code = match self.pipeline(pipeline, &io).await {
                    Flow::Next(code) => code,
                    other => return other,
                };
                self.last = code;
                let is_asked = list.get(index + 1).is_some_and(|(joint, _)| *joint != Joint::Always);
                if self.ends_on_error && code != 0 && !is_asked && !pipeline.negated {
                    return Flow::Exit(code);
                }
            }
            Flow::Next(self.last)
        }
        .boxed()
    }

    async fn pipeline(&mut self, pipeline: &Pipeline, io: &Io) -> Flow {
        let flow = match pipeline.commands.as_slice() {
            [only] => self.command(only, io.clone()).await,
            several => Flow::Next(self.piped(several, io).await),
        };
        match flow {
            Flow::Next(code) if pipeline.negated => Flow::Next(i32::from(code == 0)),
            flow => flow,
        }
    }

    /// Each in a shell of its own, all at once; the last one's code counts.
    async fn piped(&self, commands: &[Command], io: &Io) -> i32 {
        let mut stdin = io.stdin.clone();
        let mut running = Vec::new();
        for (index, command) in commands.iter().enumerate() {
            let mut own = Io { stdin: stdin.clone(), ..io.clone() };
            if index + 1 < commands.len() {
                let (writer, reader) = Stdin::pipe();
                own.stdout = writer;
                stdin = reader;
            }
            let mut shell = self.clone();
            // The streams are dropped with the command: that is how its reader learns of the end.
            running.push(async move { shell.command(command, own).await.code() });
        }
        drop(stdin);
        join_all(running).await.pop().unwrap_or_default()
    }

    async fn command(&mut self, command: &Command, io: Io) -> Flow {
        let io = match self.redirected(&command.redirects, io.clone()).await {
            Ok(redirected) => redirected,
            Err(message) => {
                let _nobody_reads = io.stderr.write(format!("sh: {message}\n")).await;
                return Flow::Next(1);
            }
        };
        match &command.kind {
            Kind::Simple { assignments, words } => self.simple(assignments, words, io).await,
            Kind::Group { body, subshell: false } => self.list(body, io).await,
            Kind::Group { body, subshell: true } => Flow::Next(self.clone().list(body, io).await.code()),
            Kind::If { branches, otherwise } => {
                for (condition, body) in branches {
                    match self.condition(condition, io.clone()).await {
                        Flow::Next(0) => return self.list(body, io).await,
                        Flow::Next(_) => {}
                        other => return other,
                    }
                }
                self.last = 0;
                self.list(otherwise, io).await
            }
            Kind::Loop { until, condition, body } => self.turns(*until, condition, body, io).await,
            Kind::For { name, words, body } => self.for_each(name, words.as_deref(), body, io).await,
        }
    }

    /// A failing condition is no error.
    async fn condition(&mut self, condition: &List, io: Io) -> Flow {
        let ends = std::mem::take(&mut self.ends_on_error);
        let flow = self.list(condition, io).await;
        self.ends_on_error = ends;
        flow
    }

    async fn turns(&mut self, until: bool, condition: &List, body: &List, io: Io) -> Flow {
        let mut code = 0;
        loop {
            match self.condition(condition, io.clone()).await {
                Flow::Next(asked) if (asked == 0) != until => {}
                Flow::Next(_) | Flow::Break => return Flow::Next(code),
                Flow::Continue => continue,
                exit => return exit,
            }
            match self.list(body, io.clone()).await {
                Flow::Next(next) => code = next,
                Flow::Continue => {}
                Flow::Break => return Flow::Next(0),
                exit => return exit,
            }
            tokio::time::sleep(TURN).await;
        }
    }

    async fn for_each(&mut self, name: &str, words: Option<&[Word]>, body: &List, io: Io) -> Flow {
        let values = match words {
            None => self.positional.iter().skip(1).cloned().collect(),
            Some(words) => match self.fields(words, &io).await {
                Ok(values) => values,
                Err(message) => return self.failed(&message, &io).await,
            },
        };
        let mut code = 0;
        for value in values {
            self.assign(name, value);
            match self.list(body, io.clone()).await {
                Flow::Next(next) => code = next,
                Flow::Continue => {}
                Flow::Break => break,
                exit => return exit,
            }
            tokio::time::sleep(TURN).await;
        }
        Flow::Next(code)
    }

    async fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], io: Io) -> Flow {
        let words = match self.fields(words, &io).await {
            Ok(words) => words,
            Err(message) => return self.failed(&message, &io).await,
        };
        let mut values = Vec::new();
        // `a=$(false)` has the code of what it ran.
        self.last = 0;
        for (name, word) in assignments {
            match self.pieces(word, &io).await {
                Ok(pieces) => values.push((name.clone(), words::joined(&pieces))),
                Err(message) => return self.failed(&message, &io).await,
            }
        }
        if words.is_empty() {
            for (name, value) in values {
                self.assign(&name, value);
            }
            return Flow::Next(self.last);
        }
        if let Some(builtin) = commands::builtin(&words[0]) {
            return commands::run(builtin, Invocation { words: &words, shell: self, io }).await;
        }
        let mut child = self.clone();
        child.at.environment.extend(values);
        Flow::Next(child.program(&words, io).await)
    }

    async fn failed(&mut self, message: &str, io: &Io) -> Flow {
        let _nobody_reads = io.stderr.write(format!("sh: {message}\n")).await;
        self.last = 2;
        if self.at.is_terminal { Flow::Next(2) } else { Flow::Exit(2) }
    }

    /// Assigns a variable; an exported one stays exported.
    pub fn assign(&mut self, name: &str, value: String) {
        let variables = match self.at.environment.contains_key(name) {
            true => &mut self.at.environment,
            false => &mut self.variables,
        };
        variables.insert(name.to_owned(), value);
    }

    pub fn value(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.last.to_string()),
            "$" => Some("1".to_owned()),
            "#" => Some((self.positional.len() - 1).to_string()),
            "@" | "*" => Some(self.positional[1..].join(" ")),
            _ => match name.parse::<usize>() {
                Ok(number) => self.positional.get(number).cloned(),
                Err(_) => self.variables.get(name).or(self.at.environment.get(name)).cloned(),
            },
        }
    }

    async fn fields(&mut self, words: &[Word], io: &Io) -> Result<Vec<String>, String> {
        let mut fields = Vec::new();
        for word in words {
            if let [Part::Variable { name, quoted: true, .. }] = word.as_slice()
                && name == "@"
            {
                fields.extend(self.positional.iter().skip(1).cloned());
                continue;
            }
            let pieces = self.pieces(word, io).await?;
            fields.extend(words::fields(&pieces, &self.at.files, &self.at.working_directory));
        }
        Ok(fields)
    }

    fn pieces<'a>(&'a mut self, word: &'a Word, io: &'a Io) -> BoxFuture<'a, Result<Vec<Piece>, String>> {
        async move {
            let mut pieces = Vec::new();
            let mut length = 0;
            for (index, part) in word.iter().enumerate() {
                let piece = match part {
                    Part::Text { text, quoted } => {
                        let text = if index == 0 && !quoted { self.with_home(text) } else { text.clone() };
                        Piece { text, quoted: *quoted }
                    }
                    Part::Variable { name, default, quoted } => {
                        let value = self.value(name).filter(|value| default.is_none() || !value.is_empty());
                        let text = match (value, default) {
                            (Some(value), _) => value,
                            (None, Some(default)) => words::joined(&self.pieces(default, io).await?),
                            (None, None) => String::new(),
                        };
                        Piece { text, quoted: *quoted }
                    }
                    Part::Output { body, quoted } => {
                        Piece { text: self.output_of(body, io).await, quoted: *quoted }
                    }
                    Part::Sum(text) => {
                        let all = self.at.environment.iter().chain(&self.variables);
                        let all = all.map(|(name, value)| (name.clone(), value.clone())).collect();
                        Piece { text: words::sum(text, &all)?.to_string(), quoted: true }
                    }
                };
                length += piece.text.len();
                if length > VALUE_MAX {
                    return Err("out of memory".to_owned());
                }
                pieces.push(piece);
            }
            Ok(pieces)
        }
        .boxed()
    }

    fn with_home(&self, text: &str) -> String {
        let home = || self.at.environment.get("HOME").cloned().unwrap_or_default();
        match text.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => home() + rest,
            _ => text.to_owned(),
        }
    }

    async fn output_of(&mut self, body: &List, io: &Io) -> String {
        let (stdout, kept) = Sink::kept();
        let mut child = self.clone();
        self.last = child.list(body, Io { stdout, ..io.clone() }).await.code();
        let kept = kept.lock().expect("no panic happens under this lock");
        String::from_utf8_lossy(&kept).trim_end_matches('\n').to_owned()
    }

    async fn redirected(&mut self, redirects: &[Redirect], mut io: Io) -> Result<Io, String> {
        for redirect in redirects {
            let (word, append) = match &redirect.to {
                Target::Stream(other) => {
                    let sink = if *other == 2 { io.stderr.clone() } else { io.stdout.clone() };
                    *(if redirect.stream == 2 { &mut io.stderr } else { &mut io.stdout }) = sink;
                    continue;
                }
                Target::Read(word) => {
                    let name = words::joined(&self.pieces(word, &io).await?);
                    let path = absolute(&self.at.working_directory, &name);
                    let content = match path.as_str() {
                        "/dev/null" => Ok(Vec::new()),
                        path => self.at.files.read(path),
                    };
                    io.stdin =
                        Stdin::of(&content.map_err(|error| format!("can't open {name}: {}", short(error)))?);
                    continue;
                }
                Target::Write(word) => (word, false),
                Target::Append(word) => (word, true),
            };
            let name = words::joined(&self.pieces(word, &io).await?);
            let sink = match absolute(&self.at.working_directory, &name).as_str() {
                "/dev/null" => Sink::Null,
                "/dev/stdout" => io.stdout.clone(),
                "/dev/stderr" => io.stderr.clone(),
                path => {
                    let now = self.at.world.clock().now();
                    let opened = Sink::file(&self.at.files, path.to_owned(), append, now);
                    opened.map_err(|error| match error {
                        FileError::NotFound => format!("can't create {name}: nonexistent directory"),
                        error => format!("can't create {name}: {error}"),
                    })?
                }
            };
            *(if redirect.stream == 2 { &mut io.stderr } else { &mut io.stdout }) = sink;
        }
        Ok(io)
    }
}

fn short(error: FileError) -> String {
    match error {
        FileError::NotFound => "no such file".to_owned(),
        error => error.to_string(),
    }
}
