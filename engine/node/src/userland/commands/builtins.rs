//! What changes the shell itself, and shells within the shell.

use super::super::files::FileError;
use super::super::shell::Flow;
use super::{Found, Invocation, builtin, find};

pub(super) async fn run(name: &str, call: &mut Invocation<'_>) -> Flow {
    let arguments = call.arguments().to_vec();
    let first = arguments.first().map(String::as_str);
    match name {
        ":" => Flow::Next(0),
        "break" => Flow::Break,
        "continue" => Flow::Continue,
        "exit" => Flow::Exit(first.map_or(Some(call.shell.last), code).unwrap_or(2)),
        "cd" => Flow::Next(change_directory(call, first).await),
        "export" => {
            for word in &arguments {
                let (name, value) = match word.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (word.as_str(), call.shell.value(word)),
                };
                call.shell.variables.remove(name);
                call.shell.at.environment.insert(name.to_owned(), value.unwrap_or_default());
            }
            Flow::Next(0)
        }
        "unset" => {
            for name in &arguments {
                call.shell.variables.remove(name);
                call.shell.at.environment.remove(name);
            }
            Flow::Next(0)
        }
        "set" => {
            for option in &arguments {
                match option.as_str() {
                    option if option.starts_with('-') && option.contains('e') => {
                        call.shell.ends_on_error = true
                    }
                    option if option.starts_with('+') && option.contains('e') => {
                        call.shell.ends_on_error = false
                    }
                    _ => {}
                }
            }
            Flow::Next(0)
        }
        "shift" => {
            let is_one = call.shell.positional.len() > 1;
            if is_one {
                call.shell.positional.remove(1);
            }
            Flow::Next(i32::from(!is_one))
        }
        "read" => Flow::Next(read(call, &arguments).await),
        "type" => Flow::Next(tell(call, &arguments).await),
        _ => source(call, first).await,
    }
}

/// An exit code: its lowest byte.
fn code(text: &str) -> Option<i32> {
    text.parse::<i64>().ok().map(|code| (code & 0xff) as i32)
}

async fn change_directory(call: &mut Invocation<'_>, to: Option<&str>) -> i32 {
    let to = match to {
        None => call.shell.value("HOME").unwrap_or_else(|| "/".to_owned()),
        Some("-") => call.shell.value("OLDPWD").unwrap_or_else(|| "/".to_owned()),
        Some(to) => to.to_owned(),
    };
    let path = call.path(&to);
    if call.files().is_directory(&path) != Some(true) {
        let _nobody_reads =
            call.io.stderr.write(format!("sh: cd: can't cd to {to}: {}\n", FileError::NotFound)).await;
        return 2;
    }
    let before = std::mem::replace(&mut call.shell.at.working_directory, path.clone());
    call.shell.at.environment.insert("OLDPWD".to_owned(), before);
    call.shell.at.environment.insert("PWD".to_owned(), path);
    0
}

async fn read(call: &mut Invocation<'_>, names: &[String]) -> i32 {
    let Some(line) = call.io.stdin.line().await else { return 1 };
    let names: Vec<&String> = names.iter().filter(|name| !name.starts_with('-')).collect();
    let mut rest = line.trim();
    for (index, name) in names.iter().enumerate() {
        let is_last = index + 1 == names.len();
        let end = if is_last { rest.len() } else { rest.find(char::is_whitespace).unwrap_or(rest.len()) };
        call.shell.assign(name, rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    0
}

async fn tell(call: &Invocation<'_>, names: &[String]) -> i32 {
    let mut code = 0;
    for name in names {
        let is_builtin = builtin(name).is_some();
        let search = super::super::path_of(&call.shell.at.environment);
        let told = match find(call.files(), &call.shell.at.working_directory, search, name) {
            _ if is_builtin => format!("{name} is a shell builtin\n"),
            Found::Program(found) => format!("{name} is /bin/{found}\n"),
            Found::Script(_) => format!("{name} is a script\n"),
            Found::NotThere | Found::NotExecutable => {
                code = 127;
                format!("{name}: not found\n")
            }
        };
        let _nobody_reads = call.say(told).await;
    }
    code
}

async fn source(call: &mut Invocation<'_>, file: Option<&str>) -> Flow {
    let path = call.path(file.unwrap_or_default());
    match call.files().read(&path) {
        Ok(text) => {
            let positional = call.shell.positional.clone();
            let text = String::from_utf8_lossy(&text).into_owned();
            let io = call.io.clone();
            Flow::Next(Box::pin(call.shell.script(&text, positional, io)).await)
        }
        Err(error) => {
            let _nobody_reads = call.io.stderr.write(format!("sh: .: can't open '{path}': {error}\n")).await;
            Flow::Next(2)
        }
    }
}

/// `sh`, `sh -c TEXT`, `sh FILE`.
pub(super) async fn shell(call: &mut Invocation<'_>) -> i32 {
    let mut child = call.shell.clone();
    let mut arguments = call.arguments();
    let mut is_text = false;
    while let Some(option) = arguments.first().filter(|word| word.starts_with(['-', '+'])) {
        is_text |= option.starts_with('-') && !option.starts_with("--") && option.contains('c');
        child.ends_on_error |= option.starts_with('-') && !option.starts_with("--") && option.contains('e');
        arguments = &arguments[1..];
    }
    let io = call.io.clone();
    match arguments {
        [] if is_text => {
            let _nobody_reads = io.stderr.write("sh: -c requires an argument\n").await;
            2
        }
        [] => {
            child.at.is_terminal &= io.stdin.is_terminal();
            Box::pin(child.interactive(io)).await
        }
        [text, rest @ ..] if is_text => {
            let positional = if rest.is_empty() { vec!["sh".to_owned()] } else { rest.to_vec() };
            Box::pin(child.script(text, positional, io)).await
        }
        [file, ..] => match call.files().read(&call.path(file)) {
            Ok(text) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                Box::pin(child.script(&text, arguments.to_vec(), io)).await
            }
            Err(error) => {
                let _nobody_reads = io.stderr.write(format!("sh: can't open '{file}': {error}\n")).await;
                2
            }
        },
    }
}
