//! The commands, by family, and how a name becomes one of them.

mod archive;
mod builtins;
mod entries;
mod facts;
mod test;
mod text;

use super::files::{Files, absolute, base};
use super::shell::{Flow, Shell};
use super::streams::{Broken, Io};

/// A command with its words, the shell that runs it and its streams.
pub(super) struct Invocation<'a> {
    pub words: &'a [String],
    pub shell: &'a mut Shell,
    pub io: Io,
}

/// What a name stands for.
pub(super) enum Found {
    Program(&'static str),
    /// A file with commands in it.
    Script(String),
    NotThere,
    NotExecutable,
}

/// What changes the shell itself.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "break", "cd", "continue", "echo", "exit", "export", "false", "kill", "printf", "pwd",
    "read", "set", "shift", "test", "true", "type", "unset",
];

/// What lies in `/bin`.
const PROGRAMS: &[&str] = &[
    "[", "ash", "base64", "basename", "cat", "chmod", "cp", "cut", "date", "dirname", "echo", "env", "false",
    "find", "grep", "head", "hostname", "id", "kill", "ls", "mkdir", "mv", "nproc", "printenv", "printf",
    "pwd", "rm", "rmdir", "seq", "sh", "sleep", "sort", "stat", "tail", "tar", "tee", "test", "touch", "tr",
    "true", "tty", "uname", "uniq", "wc", "which", "whoami", "yes",
];

pub(super) fn is_shell(name: &str) -> bool {
    matches!(base(name), "sh" | "ash")
}

pub(super) fn builtin(name: &str) -> Option<&'static str> {
    BUILTINS.iter().copied().find(|known| *known == name)
}

/// The program in one of the directories of programs.
fn program(path: &str) -> Option<&'static str> {
    let (directory, name) = path.rsplit_once('/')?;
    let is_of_programs = matches!(directory, "/bin" | "/usr/bin" | "/sbin" | "/usr/sbin");
    PROGRAMS.iter().copied().find(|known| is_of_programs && *known == name)
}

/// Looks a command up, along `search` where it is a mere name.
pub(super) fn find(files: &Files, directory: &str, search: &str, name: &str) -> Found {
    if name.is_empty() {
        return Found::NotThere;
    }
    if name.contains('/') {
        return at(files, &absolute(directory, name));
    }
    for place in search.split(':') {
        match at(files, &absolute(place, name)) {
            Found::NotThere => {}
            found => return found,
        }
    }
    Found::NotThere
}

fn at(files: &Files, path: &str) -> Found {
    let Some(node) = files.node(path) else {
        return program(path).map_or(Found::NotThere, Found::Program);
    };
    match node.content {
        Some(content) if node.mode & 0o111 != 0 => {
            Found::Script(String::from_utf8_lossy(&content).into_owned())
        }
        _ => Found::NotExecutable,
    }
}

/// Runs a command of one of the two lists.
pub(super) async fn run(name: &'static str, mut call: Invocation<'_>) -> Flow {
    let done = match name {
        "." | ":" | "break" | "cd" | "continue" | "exit" | "export" | "read" | "set" | "shift" | "type"
        | "unset" => {
            return builtins::run(name, &mut call).await;
        }
        "sh" | "ash" => return Flow::Next(builtins::shell(&mut call).await),
        "[" | "test" => test::run(&mut call).await,
        "tar" => archive::run(&mut call).await,
        "date" | "env" | "hostname" | "id" | "kill" | "nproc" | "printenv" | "pwd" | "sleep" | "tty"
        | "uname" | "which" | "whoami" => facts::run(name, &mut call).await,
        "chmod" | "cp" | "find" | "ls" | "mkdir" | "mv" | "rm" | "rmdir" | "stat" | "touch" => {
            entries::run(name, &mut call).await
        }
        name => text::run(name, &mut call).await,
    };
    Flow::Next(match done {
        Ok(code) => code,
        // SIGPIPE: 128 + 13.
        Err(Broken::Pipe) => 141,
        Err(Broken::Full) => {
            let _nobody_reads =
                call.io.stderr.write(format!("{name}: write error: No space left on device\n")).await;
            1
        }
    })
}

/// An exit code, unless a stream broke.
type Done = Result<i32, Broken>;

impl Invocation<'_> {
    fn name(&self) -> &str {
        base(&self.words[0])
    }

    fn arguments(&self) -> &[String] {
        &self.words[1..]
    }

    /// Leading options as single letters, and what follows them.
    fn options(&self) -> (Vec<char>, &[String]) {
        let arguments = self.arguments();
        let is_option = |word: &&String| word.len() > 1 && word.starts_with('-') && word.as_str() != "--";
        let count = arguments.iter().take_while(is_option).count();
        let letters = arguments[..count].iter().flat_map(|word| word[1..].chars()).collect();
        let rest = &arguments[count..];
        (letters, if rest.first().is_some_and(|word| word == "--") { &rest[1..] } else { rest })
    }

    fn path(&self, name: &str) -> String {
        absolute(&self.shell.at.working_directory, name)
    }

    fn files(&self) -> &Files {
        &self.shell.at.files
    }

    fn now(&self) -> jiff::Timestamp {
        self.shell.at.world.clock().now()
    }

    async fn say(&self, text: impl AsRef<[u8]>) -> Result<(), Broken> {
        self.io.stdout.write(text).await
    }

    /// A complaint, with the command's name before it; the code of failure.
    async fn complain(&self, message: impl std::fmt::Display) -> Done {
        self.io.stderr.write(format!("{}: {message}\n", self.name())).await?;
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_command() {
        let known = |name: &&&str| BUILTINS.contains(name) || program(&format!("/bin/{name}")).is_some();
        assert!(BUILTINS.iter().chain(PROGRAMS).all(|name| known(&name)));
        let sorted = |names: &[&str]| names.is_sorted();
        assert!(sorted(BUILTINS) && sorted(PROGRAMS));
    }
}
