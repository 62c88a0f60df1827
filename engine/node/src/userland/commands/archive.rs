//! `tar`, as `kubectl cp` uses it: creates, extracts and lists archives of files and directories.

use std::io::{Cursor, Read};

use jiff::Timestamp;
use tar::{Archive, Builder, EntryType, Header};

use super::super::files::{Files, absolute, base};
use super::super::streams::Broken;
use super::{Done, Invocation};

/// An archive that is longer would not fit into the container either.
const ARCHIVE_MAX: usize = 64 << 20;
/// How much is written at a time.
const PIECE: usize = 32 << 10;

#[derive(Default)]
struct Wanted<'a> {
    create: bool,
    extract: bool,
    list: bool,
    verbose: bool,
    /// The time of extraction is the file's.
    touch: bool,
    file: Option<&'a str>,
    directory: Option<&'a str>,
    names: Vec<&'a str>,
}

pub(super) async fn run(call: &mut Invocation<'_>) -> Done {
    let wanted = match parse(call.arguments()) {
        Ok(wanted) => wanted,
        Err(message) => return call.complain(message).await,
    };
    let directory = match wanted.directory {
        None => call.shell.at.working_directory.clone(),
        Some(name) => {
            let path = call.path(name);
            match call.files().is_directory(&path) {
                Some(true) => path,
                Some(false) => {
                    return call
                        .complain(format!("can't change directory to '{name}': Not a directory"))
                        .await;
                }
                None => {
                    let message = format!("can't change directory to '{name}': No such file or directory");
                    return call.complain(message).await;
                }
            }
        }
    };
    match (wanted.create, wanted.extract || wanted.list) {
        (true, false) => create(call, &wanted, &directory).await,
        (false, true) => read(call, &wanted, &directory).await,
        _ => call.complain("one of c, x and t must be given").await,
    }
}

/// `cf - a`, `-xmf - -C /tmp`, `-c -f - a`.
fn parse(words: &[String]) -> Result<Wanted<'_>, String> {
    let mut wanted = Wanted::default();
    let mut words = words.iter().map(String::as_str).enumerate();
    while let Some((index, word)) = words.next() {
        let letters = match word.strip_prefix('-') {
            Some(long) if long.starts_with('-') => {
                match long {
                    "-no-same-owner" | "-no-same-permissions" => {}
                    _ => return Err(format!("unrecognized option '{word}'")),
                }
                continue;
            }
            Some(letters) if !letters.is_empty() => letters,
            None if index == 0 => word,
            _ => {
                wanted.names.push(word);
                continue;
            }
        };
        for letter in letters.chars() {
            let mut argument = || {
                let missing = format!("option requires an argument -- '{letter}'");
                words.next().map(|(_, word)| word).ok_or(missing)
            };
            match letter {
                'c' => wanted.create = true,
                'x' => wanted.extract = true,
                't' => wanted.list = true,
                'v' => wanted.verbose = true,
                'm' => wanted.touch = true,
                'f' => wanted.file = Some(argument()?),
                'C' => wanted.directory = Some(argument()?),
                'o' | 'p' | 'h' => {}
                other => return Err(format!("invalid option -- '{other}'")),
            }
        }
    }
    Ok(wanted)
}

async fn create(call: &Invocation<'_>, wanted: &Wanted<'_>, directory: &str) -> Done {
    if wanted.names.is_empty() {
        return call.complain("cowardly refusing to create an empty archive").await;
    }
    let mut code = 0;
    let mut archive = Builder::new(Vec::new());
    let mut is_stripped = false;
    for name in &wanted.names {
        let path = absolute(directory, name);
        let found = match call.files().tree(&path) {
            Ok(found) => found,
            Err(error) => {
                call.complain(format!("{name}: {error}")).await?;
                code = 1;
                continue;
            }
        };
        if name.starts_with('/') && !is_stripped {
            is_stripped = true;
            call.complain("removing leading '/' from member names").await?;
        }
        let own = name.trim_matches('/');
        for (inside, node) in found {
            let tail = inside[path.len()..].trim_start_matches('/');
            let member = match (own, tail) {
                ("", "") => continue,
                ("", tail) => tail.to_owned(),
                (own, "") => own.to_owned(),
                (own, tail) => format!("{own}/{tail}"),
            };
            let content = node.content.unwrap_or_default();
            let mut header = Header::new_ustar();
            let is_directory = call.files().is_directory(&inside) == Some(true);
            header.set_entry_type(if is_directory { EntryType::Directory } else { EntryType::Regular });
            header.set_mode(node.mode & 0o7777);
            header.set_mtime(node.modified.as_second().unsigned_abs());
            header.set_size(content.len() as u64);
            let member = if is_directory { member + "/" } else { member };
            if archive.append_data(&mut header, &member, content.as_slice()).is_err() {
                call.complain(format!("{member}: cannot be stored")).await?;
                code = 1;
            }
        }
    }
    let bytes = archive.into_inner().expect("a vector takes every byte");
    match wanted.file {
        None | Some("-") => {
            for piece in bytes.chunks(PIECE) {
                call.say(piece).await?;
            }
        }
        Some(name) => {
            if let Err(error) = call.files().write(&call.path(name), &bytes, false, call.now()) {
                return call.complain(format!("can't open '{name}': {error}")).await;
            }
        }
    }
    if code == 0 {
        return Ok(0);
    }
    call.complain("error exit delayed from previous errors").await
}

/// What became of a member.
enum Member {
    Named(String),
    Failed(String),
}

async fn read(call: &Invocation<'_>, wanted: &Wanted<'_>, directory: &str) -> Done {
    let bytes = match wanted.file {
        None | Some("-") => match call.io.stdin.whole(ARCHIVE_MAX).await {
            Ok(bytes) => bytes,
            Err(Broken::Full) => return call.complain("archive is too long").await,
            Err(broken) => return Err(broken),
        },
        Some(name) => match call.files().read(&call.path(name)) {
            Ok(bytes) => bytes,
            Err(error) => return call.complain(format!("can't open '{name}': {error}")).await,
        },
    };
    let mut code = 0;
    for member in unpack(call.files(), wanted, directory, bytes, call.now()) {
        match member {
            Member::Named(name) if wanted.list || wanted.verbose => call.say(name + "\n").await?,
            Member::Named(_) => {}
            Member::Failed(message) => code = call.complain(message).await?,
        }
    }
    Ok(code)
}

/// Goes through the archive, as far as it is one. Synchronous, as its reader is.
fn unpack(
    files: &Files,
    wanted: &Wanted<'_>,
    directory: &str,
    bytes: Vec<u8>,
    now: Timestamp,
) -> Vec<Member> {
    let mut members = Vec::new();
    let mut archive = Archive::new(Cursor::new(bytes));
    let Ok(entries) = archive.entries() else {
        return vec![Member::Failed("invalid tar magic".to_owned())];
    };
    for entry in entries {
        let Ok(mut entry) = entry else {
            members.push(Member::Failed("invalid tar magic".to_owned()));
            break;
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let is_wanted = |wanted: &&str| {
            let wanted = wanted.trim_end_matches('/');
            name == *wanted || name.starts_with(&format!("{wanted}/"))
        };
        if !wanted.names.is_empty() && !wanted.names.iter().any(is_wanted) {
            continue;
        }
        if !wanted.list
            && let Err(message) = extract(files, &mut entry, &name, directory, wanted.touch, now)
        {
            members.push(Member::Failed(message));
            continue;
        }
        members.push(Member::Named(name));
    }
    members
}

fn extract(
    files: &Files,
    entry: &mut tar::Entry<'_, Cursor<Vec<u8>>>,
    name: &str,
    directory: &str,
    touch: bool,
    now: Timestamp,
) -> Result<(), String> {
    if name.split('/').any(|part| part == "..") {
        return Err(format!("name with '..' skipped: '{name}'"));
    }
    let path = absolute(directory, name.trim_start_matches('/'));
    let failed = |error: super::super::files::FileError| format!("can't open '{}': {error}", base(name));
    let kind = entry.header().entry_type();
    let own = entry.header().mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
    let own = own.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let modified = own.filter(|_| !touch).unwrap_or(now);
    if kind.is_dir() {
        files.make_directories(&path, now).map_err(failed)?;
    } else if kind.is_file() {
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|_| "short read".to_owned())?;
        files.make_directories(super::super::files::parent(&path), now).map_err(failed)?;
        files.write(&path, &content, false, now).map_err(failed)?;
    } else {
        return Err(format!("'{name}': links and devices are not kept here"));
    }
    if let Ok(mode) = entry.header().mode() {
        files.set_mode(&path, mode & 0o7777).map_err(failed)?;
    }
    files.set_modified(&path, modified);
    Ok(())
}
