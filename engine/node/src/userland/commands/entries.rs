//! Commands on files and directories.

use jiff::Timestamp;

use super::super::files::{FileError, Node, absolute, base};
use super::super::words::matches;
use super::{Done, Invocation, PROGRAMS};

pub(super) async fn run(name: &str, call: &mut Invocation<'_>) -> Done {
    match name {
        "ls" => list(call).await,
        "find" => find(call).await,
        "stat" => {
            each(call, |call, name| {
                let node = call.files().node(&call.path(name)).ok_or(FileError::NotFound)?;
                let size = node.content.as_ref().map_or(4096, Vec::len);
                Ok(Some(format!(
                    "  File: {name}\n  Size: {size}\nAccess: ({:04o}/{})\n",
                    node.mode,
                    mode(&node)
                )))
            })
            .await
        }
        "mkdir" => {
            each(call, |call, name| {
                let (path, now) = (call.path(name), call.now());
                let parents = call.options().0.contains(&'p');
                let made = if parents {
                    call.files().make_directories(&path, now)
                } else {
                    call.files().make_directory(&path, now)
                };
                made.map(|()| None)
            })
            .await
        }
        "rmdir" => {
            each(call, |call, name| {
                let path = call.path(name);
                match call.files().is_directory(&path) {
                    Some(false) => Err(FileError::NotADirectory),
                    _ => call.files().remove(&path, false).map(|()| None),
                }
            })
            .await
        }
        "rm" => each(call, remove).await,
        "touch" => {
            each(call, |call, name| {
                let (path, now) = (call.path(name), call.now());
                if call.files().is_directory(&path).is_none() {
                    call.files().write(&path, &[], true, now)?;
                }
                call.files().set_modified(&path, now);
                Ok(None)
            })
            .await
        }
        "chmod" => change_mode(call).await,
        // cp, mv
        name => copy(call, name == "mv").await,
    }
}

/// Does the same to every name; `Some` is printed.
async fn each(
    call: &Invocation<'_>,
    act: impl Fn(&Invocation<'_>, &str) -> Result<Option<String>, FileError>,
) -> Done {
    let (_, names) = call.options();
    if names.is_empty() && !call.options().0.contains(&'f') {
        return call.complain("missing operand").await;
    }
    let mut code = 0;
    for name in names {
        match act(call, name) {
            Ok(text) => call.say(text.unwrap_or_default()).await?,
            Err(error) => code = call.complain(format!("{}'{name}': {error}", deed(call.name()))).await?,
        }
    }
    Ok(code)
}

/// What could not be done, as busybox puts it.
fn deed(name: &str) -> &'static str {
    match name {
        "mkdir" => "can't create directory ",
        "rm" => "can't remove ",
        "stat" => "can't stat ",
        _ => "",
    }
}

fn remove(call: &Invocation<'_>, name: &str) -> Result<Option<String>, FileError> {
    let (options, path) = (call.options().0, call.path(name));
    let with_all = options.contains(&'r') || options.contains(&'R');
    match call.files().is_directory(&path) {
        None if options.contains(&'f') => Ok(None),
        Some(true) if !with_all => Err(FileError::IsADirectory),
        _ => call.files().remove(&path, with_all).map(|()| None),
    }
}

async fn change_mode(call: &Invocation<'_>) -> Done {
    let Some((wanted, names)) = call.arguments().split_first().filter(|(_, names)| !names.is_empty()) else {
        return call.complain("missing operand").await;
    };
    let mut code = 0;
    for name in names {
        let path = call.path(name);
        let before = call.files().node(&path).map_or(0, |node| node.mode);
        let mode = match wanted.split_once(['+', '-']) {
            None => u32::from_str_radix(wanted, 8).ok().filter(|mode| *mode <= 0o7777),
            Some((_, bits)) => {
                let bit = |bits: u32, letter| match letter {
                    'r' => Some(bits | 0o444),
                    'w' => Some(bits | 0o200),
                    'x' => Some(bits | 0o111),
                    _ => None,
                };
                let bits = bits.chars().try_fold(0, bit);
                bits.map(|bits| if wanted.contains('+') { before | bits } else { before & !bits })
            }
        };
        let Some(mode) = mode else { return call.complain(format!("invalid mode '{wanted}'")).await };
        if let Err(error) = call.files().set_mode(&path, mode) {
            code = call.complain(format!("{name}: {error}")).await?;
        }
    }
    Ok(code)
}

/// `cp [-r] FROM... TO`, `mv FROM... TO`.
async fn copy(call: &Invocation<'_>, moves: bool) -> Done {
    let (options, names) = call.options();
    let Some((to, from)) = names.split_last().filter(|(_, from)| !from.is_empty()) else {
        return call.complain("missing file operand").await;
    };
    let recursive = moves || options.iter().any(|letter| matches!(letter, 'r' | 'R' | 'a'));
    let mut code = 0;
    for name in from {
        let (source, target) = (call.path(name), call.path(to));
        let into = call.files().is_directory(&target) == Some(true);
        let target = if into { absolute(&target, base(&source)) } else { target };
        let done = match call.files().is_directory(&source) {
            Some(true) if !recursive => {
                code = call.complain(format!("omitting directory '{name}'")).await?;
                continue;
            }
            _ if target == source || target.starts_with(&format!("{source}/")) => {
                code = call.complain(format!("'{name}' and '{to}' are the same file")).await?;
                continue;
            }
            _ => copy_tree(call, &source, &target),
        };
        let done = match done {
            Ok(()) if moves => call.files().remove(&source, true),
            done => done,
        };
        if let Err(error) = done {
            let failed = if moves { "can't rename" } else { "can't stat" };
            code = call.complain(format!("{failed} '{name}': {error}")).await?;
        }
    }
    Ok(code)
}

fn copy_tree(call: &Invocation<'_>, source: &str, target: &str) -> Result<(), FileError> {
    for (path, node) in call.files().tree(source)? {
        let own = format!("{target}{}", &path[source.len()..]);
        match &node.content {
            None => call.files().make_directories(&own, call.now())?,
            Some(content) => call.files().write(&own, content, false, call.now())?,
        }
        call.files().set_mode(&own, node.mode)?;
    }
    Ok(())
}

async fn list(call: &Invocation<'_>) -> Done {
    let (options, names) = call.options();
    let here = [".".to_owned()];
    let names = if names.is_empty() { &here } else { names };
    let (mut code, mut first) = (0, true);
    for name in names {
        let path = call.path(name);
        let entries = match call.files().node(&path) {
            None => {
                code = call.complain(format!("{name}: {}", FileError::NotFound)).await?;
                continue;
            }
            Some(node) if node.content.is_some() || options.contains(&'d') => vec![(name.clone(), node)],
            Some(_) => {
                if names.len() > 1 {
                    call.say(format!("{}{name}:\n", if first { "" } else { "\n" })).await?;
                }
                inside(call, &path, options.iter().any(|letter| matches!(letter, 'a' | 'A')))
            }
        };
        first = false;
        let line = |(name, node): &(String, Node)| {
            if options.contains(&'l') { long(name, node) } else { format!("{name}\n") }
        };
        call.say(entries.iter().map(line).collect::<String>()).await?;
    }
    Ok(code)
}

/// What is in a directory; the programs are in theirs.
fn inside(call: &Invocation<'_>, path: &str, hidden: bool) -> Vec<(String, Node)> {
    let program = || Node { content: Some(Vec::new()), mode: 0o755, modified: Timestamp::UNIX_EPOCH };
    let names = call.files().list(path).unwrap_or_default();
    let mut entries: Vec<(String, Node)> = names
        .into_iter()
        .filter(|name| hidden || !name.starts_with('.'))
        .filter_map(|name| call.files().node(&absolute(path, &name)).map(|node| (name, node)))
        .collect();
    if path == "/bin" {
        entries.extend(PROGRAMS.iter().map(|name| ((*name).to_owned(), program())));
        entries.sort_by(|left, right| left.0.cmp(&right.0));
    }
    entries
}

fn long(name: &str, node: &Node) -> String {
    let size = node.content.as_ref().map_or(4096, Vec::len);
    let date = jiff::fmt::strtime::format("%b %e %H:%M", node.modified).unwrap_or_default();
    format!("{}    1 root     root     {size:>9} {date} {name}\n", mode(node))
}

/// `drwxr-xr-x`
fn mode(node: &Node) -> String {
    let mut text = String::from(if node.content.is_none() { "d" } else { "-" });
    for (index, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if node.mode >> (8 - index) & 1 == 1 { letter } else { '-' });
    }
    if node.mode & 0o1000 != 0 {
        text.replace_range(9.., if text.ends_with('x') { "t" } else { "T" });
    }
    text
}

/// `find [PATH] [-name PATTERN] [-type f|d]`
async fn find(call: &Invocation<'_>) -> Done {
    let mut words = call.arguments().iter().map(String::as_str);
    let (mut start, mut pattern, mut kind) = (".", None, None);
    while let Some(word) = words.next() {
        match word {
            "-name" => pattern = words.next(),
            "-type" => kind = words.next(),
            word if word.starts_with('-') => return call.complain(format!("unrecognized: {word}")).await,
            word => start = word,
        }
    }
    let path = call.path(start);
    let found = match call.files().tree(&path) {
        Ok(found) => found,
        Err(error) => return call.complain(format!("{start}: {error}")).await,
    };
    for (own, node) in found {
        let fits_kind = kind.is_none_or(|kind| (kind == "d") == node.content.is_none());
        if fits_kind && pattern.is_none_or(|pattern| matches(pattern, base(&own))) {
            let shown =
                format!("{}/{}", start.trim_end_matches('/'), own[path.len()..].trim_start_matches('/'));
            let shown = if own == path { start } else { &shown };
            call.say(format!("{shown}\n")).await?;
        }
    }
    Ok(0)
}
