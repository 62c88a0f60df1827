//! Commands on text: lines in, lines out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::super::files::base;
use super::super::streams::Broken;
use super::{Done, Invocation};

/// What a command may read at once.
const TEXT_MAX: usize = 64 << 20;

pub(super) async fn run(name: &str, call: &mut Invocation<'_>) -> Done {
    match name {
        "echo" => echo(call).await,
        "printf" => printf(call).await,
        "cat" => cat(call).await,
        "tee" => tee(call).await,
        "tr" => translate(call).await,
        "seq" => seq(call).await,
        "yes" => yes(call).await,
        "basename" | "dirname" => part_of_path(name, call).await,
        "false" => Ok(1),
        "base64" => {
            let decodes = call.options().0.contains(&'d');
            filter(call, move |bytes| encode(&bytes, decodes)).await
        }
        "grep" => grep(call).await,
        "head" | "tail" | "wc" | "sort" | "uniq" | "cut" => lines(name, call).await,
        // true
        _ => Ok(0),
    }
}

async fn echo(call: &Invocation<'_>) -> Done {
    let mut words = call.arguments();
    let (mut ends, mut escapes) = (true, false);
    while let Some(option) = words.first().filter(|word| matches!(word.as_str(), "-n" | "-e" | "-ne" | "-en"))
    {
        ends &= !option.contains('n');
        escapes |= option.contains('e');
        words = &words[1..];
    }
    let mut text = words.join(" ");
    if escapes {
        text = unescape(&text);
    }
    if ends {
        text.push('\n');
    }
    call.say(text).await?;
    Ok(0)
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('\\') => plain.push('\\'),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

/// The format again and again until the arguments are used up.
async fn printf(call: &Invocation<'_>) -> Done {
    let Some((format, mut arguments)) = call.arguments().split_first() else {
        call.complain("usage: printf FORMAT [ARG]...").await?;
        return Ok(2);
    };
    loop {
        let (text, used) = formatted(&unescape(format), arguments);
        call.say(text).await?;
        arguments = &arguments[used..];
        if arguments.is_empty() || used == 0 {
            return Ok(0);
        }
    }
}

fn formatted(format: &str, arguments: &[String]) -> (String, usize) {
    let (mut text, mut used) = (String::new(), 0);
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let mut width = String::new();
        while let Some(digit) = letters.next_if(|letter| letter.is_ascii_digit() || *letter == '-') {
            width.push(digit);
        }
        let kind = letters.next();
        if kind == Some('%') {
            text.push('%');
            continue;
        }
        let argument = arguments.get(used).map_or("", String::as_str);
        used = (used + 1).min(arguments.len());
        let value = match kind {
            Some('d' | 'i' | 'u') => argument.trim().parse::<i64>().unwrap_or_default().to_string(),
            Some('b') => unescape(argument),
            Some('c') => argument.chars().take(1).collect(),
            _ => argument.to_owned(),
        };
        let wide = width.trim_start_matches('-').parse::<usize>().unwrap_or_default().min(1000);
        match (width.starts_with('-'), width.starts_with('0')) {
            (true, _) => text.push_str(&format!("{value:<wide$}")),
            (false, true) => text.push_str(&format!("{value:0>wide$}")),
            (false, false) => text.push_str(&format!("{value:>wide$}")),
        }
    }
    (text, used)
}

/// Piece by piece, so that it follows who types.
async fn cat(call: &Invocation<'_>) -> Done {
    let (_, names) = call.options();
    let stdin = ["-".to_owned()];
    let mut code = 0;
    for name in if names.is_empty() { &stdin } else { names } {
        if name == "-" {
            while let Some(piece) = call.io.stdin.piece().await {
                call.say(piece).await?;
            }
            continue;
        }
        match content(call, name).await {
            Ok(bytes) => call.say(bytes).await?,
            Err(message) => code = call.complain(message).await?,
        }
    }
    Ok(code)
}

/// A file's bytes, or the complaint.
async fn content(call: &Invocation<'_>, name: &str) -> Result<Vec<u8>, String> {
    match call.path(name).as_str() {
        "/dev/null" => Ok(Vec::new()),
        path => call.files().read(path).map_err(|error| format!("can't open '{name}': {error}")),
    }
}

async fn tee(call: &Invocation<'_>) -> Done {
    let (options, names) = call.options();
    let appends = options.contains(&'a');
    let mut code = 0;
    for name in names {
        if let Err(error) = call.files().write(&call.path(name), &[], appends, call.now()) {
            code = call.complain(format!("{name}: {error}")).await?;
        }
    }
    while let Some(piece) = call.io.stdin.piece().await {
        for name in names {
            if call.files().write(&call.path(name), &piece, true, call.now()).is_err() {
                code = 1;
            }
        }
        call.say(piece).await?;
    }
    Ok(code)
}

async fn seq(call: &Invocation<'_>) -> Done {
    let numbers: Result<Vec<i64>, _> = call.arguments().iter().map(|word| word.parse()).collect();
    let (first, step, last) = match numbers.as_deref() {
        Ok([last]) => (1, 1, *last),
        Ok([first, last]) => (*first, 1, *last),
        Ok([first, step, last]) if *step != 0 => (*first, *step, *last),
        _ => return call.complain("usage: seq [FIRST [STEP]] LAST").await,
    };
    let mut number = first;
    while if step > 0 { number <= last } else { number >= last } {
        call.say(format!("{number}\n")).await?;
        pace(number).await;
        number += step;
    }
    Ok(0)
}

/// A line a millisecond is as fast as who never ends may be.
async fn yes(call: &Invocation<'_>) -> Done {
    let line = match call.arguments() {
        [] => "y\n".to_owned(),
        words => words.join(" ") + "\n",
    };
    loop {
        call.say(&line).await?;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Lets others have their turn now and then.
async fn pace(number: i64) {
    if number % 1000 == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

async fn part_of_path(name: &str, call: &Invocation<'_>) -> Done {
    let Some(path) = call.arguments().first() else { return call.complain("missing operand").await };
    let part = match name {
        "basename" => match call.arguments().get(1) {
            Some(suffix) => base(path).trim_end_matches(suffix.as_str()),
            None => base(path),
        },
        _ => path
            .trim_end_matches('/')
            .rsplit_once('/')
            .map_or(".", |(parent, _)| if parent.is_empty() { "/" } else { parent }),
    };
    call.say(format!("{part}\n")).await?;
    Ok(0)
}

fn encode(bytes: &[u8], decodes: bool) -> Result<Vec<u8>, String> {
    if !decodes {
        return Ok((BASE64_STANDARD.encode(bytes) + "\n").into_bytes());
    }
    let packed: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(packed).map_err(|_| "truncated input".to_owned())
}

/// Files or stdin, whole, through a function.
async fn filter(call: &Invocation<'_>, change: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, String>) -> Done {
    let (_, names) = call.options();
    match whole(call, names).await? {
        Err(code) => Ok(code),
        Ok(bytes) => match change(bytes) {
            Ok(changed) => {
                call.say(changed).await?;
                Ok(0)
            }
            Err(message) => call.complain(message).await,
        },
    }
}

/// What the files hold together, or stdin where none is named; else the code of the complaint.
async fn whole(call: &Invocation<'_>, names: &[String]) -> Result<Result<Vec<u8>, i32>, Broken> {
    if names.is_empty() {
        return call.io.stdin.whole(TEXT_MAX).await.map(Ok);
    }
    let mut all = Vec::new();
    for name in names {
        match content(call, name).await {
            Ok(bytes) => all.extend(bytes),
            Err(message) => return call.complain(message).await.map(Err),
        }
    }
    Ok(Ok(all))
}

/// `tr SET1 SET2`, `tr -d SET1`.
async fn translate(call: &Invocation<'_>) -> Done {
    let (options, sets) = call.options();
    let sets: Vec<Vec<char>> = sets.iter().map(|set| letters(&unescape(set))).collect();
    let Some(from) = sets.first() else { return call.complain("usage: tr [-d] SET1 [SET2]").await };
    let text = String::from_utf8_lossy(&call.io.stdin.whole(TEXT_MAX).await?).into_owned();
    let to = sets.get(1).filter(|to| !to.is_empty());
    let change = |letter: char| match (from.iter().position(|known| *known == letter), to) {
        (None, _) => Some(letter),
        (Some(_), _) if options.contains(&'d') => None,
        (Some(at), Some(to)) => to.get(at).or(to.last()).copied(),
        (Some(_), None) => Some(letter),
    };
    call.say(text.chars().filter_map(change).collect::<String>()).await?;
    Ok(0)
}

/// `a-z` stands for what lies between.
fn letters(set: &str) -> Vec<char> {
    let all: Vec<char> = set.chars().collect();
    let mut letters = Vec::new();
    let mut at = 0;
    while at < all.len() {
        if all.get(at + 1) == Some(&'-') && at + 2 < all.len() {
            letters.extend(all[at]..=all[at + 2]);
            at += 3;
        } else {
            letters.push(all[at]);
            at += 1;
        }
    }
    letters
}

/// Lines that contain a text; no regular expressions but `^` and `$` at its ends.
async fn grep(call: &Invocation<'_>) -> Done {
    let (options, words) = call.options();
    let has = |letter: char| options.contains(&letter);
    let Some((pattern, names)) = words.split_first() else {
        call.complain("usage: grep [-cinqv] PATTERN [FILE]...").await?;
        return Ok(2);
    };
    let fold = |text: &str| if has('i') { text.to_lowercase() } else { text.to_owned() };
    let pattern = fold(pattern);
    let text = match whole(call, names).await? {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => return Ok(2),
    };
    let (mut shown, mut count) = (String::new(), 0);
    for (number, line) in text.lines().enumerate() {
        if is_in(&pattern, &fold(line)) == has('v') {
            continue;
        }
        count += 1;
        if has('n') {
            shown.push_str(&format!("{}:", number + 1));
        }
        shown.push_str(line);
        shown.push('\n');
    }
    if has('c') {
        call.say(format!("{count}\n")).await?;
    } else if !has('q') {
        call.say(shown).await?;
    }
    Ok(i32::from(count == 0))
}

fn is_in(pattern: &str, line: &str) -> bool {
    match (pattern.strip_prefix('^'), pattern.strip_suffix('$')) {
        (Some(whole), Some(_)) if whole.ends_with('$') => line == &whole[..whole.len() - 1],
        (Some(start), _) => line.starts_with(start),
        (None, Some(end)) => line.ends_with(end),
        (None, None) => line.contains(pattern),
    }
}

/// Commands that take their input whole and give lines of it.
async fn lines(name: &str, call: &Invocation<'_>) -> Done {
    let arguments = call.arguments().to_vec();
    // `-n 5`, `-n5`, `-5`, `-c 3`: a number belongs to the option before it.
    let mut names = Vec::new();
    let mut options: Vec<(char, String)> = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            None => names.push(word.clone()),
            Some(rest) if rest.starts_with(|letter: char| letter.is_ascii_digit()) => {
                options.push(('n', rest.to_owned()));
            }
            Some(rest) => {
                let letter = rest.chars().next().unwrap_or_default();
                let takes = matches!((name, letter), ("head" | "tail", 'n' | 'c') | ("cut", 'd' | 'f' | 'c'));
                let own = &rest[letter.len_utf8()..];
                let value = if takes && own.is_empty() {
                    words.next().cloned().unwrap_or_default()
                } else {
                    own.to_owned()
                };
                options.push((letter, value));
            }
        }
    }
    if name == "tail" && options.iter().any(|(letter, _)| *letter == 'f') {
        return follow(call, &names).await;
    }
    let is_by_lines = options.iter().all(|(letter, _)| *letter == 'n');
    if name == "head" && names.is_empty() && is_by_lines {
        return head(call, options.first().and_then(|(_, lines)| lines.parse().ok()).unwrap_or(10)).await;
    }
    let bytes = match whole(call, &names).await? {
        Ok(bytes) => bytes,
        Err(code) => return Ok(code),
    };
    let option =
        |letter: char| options.iter().find(|(known, _)| *known == letter).map(|(_, value)| value.as_str());
    match name {
        "head" | "tail" => call.say(end_of(name == "head", &bytes, option('n'), option('c'))).await?,
        "wc" => call.say(counts(&bytes, &options, names.first())).await?,
        _ => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut all: Vec<String> = text.lines().map(str::to_owned).collect();
            match name {
                "sort" => {
                    let number = |line: &String| {
                        line.split_whitespace().next().and_then(|word| word.parse::<i64>().ok())
                    };
                    if option('n').is_some() {
                        all.sort_by_key(number)
                    } else {
                        all.sort()
                    }
                    if option('r').is_some() {
                        all.reverse();
                    }
                    if option('u').is_some() {
                        all.dedup();
                    }
                }
                "uniq" => all.dedup(),
                _ => {
                    let delimiter = option('d').unwrap_or("\t").to_owned();
                    let field = option('f').and_then(|field| field.parse::<usize>().ok()).unwrap_or(1).max(1);
                    let cut = |line: String| match line.contains(&delimiter) {
                        true => line.split(&delimiter).nth(field - 1).unwrap_or_default().to_owned(),
                        false => line,
                    };
                    all = all.into_iter().map(cut).collect();
                }
            }
            call.say(all.iter().map(|line| format!("{line}\n")).collect::<String>()).await?;
        }
    }
    Ok(0)
}

/// Reads no further than it must, so that who writes without end is stopped.
async fn head(call: &Invocation<'_>, lines: usize) -> Done {
    for _ in 0..lines {
        let Some(line) = call.io.stdin.line().await else { break };
        call.say(line + "\n").await?;
    }
    Ok(0)
}

/// The first or last so many lines or bytes; `+5` counts from the beginning.
fn end_of(first: bool, bytes: &[u8], lines: Option<&str>, count: Option<&str>) -> Vec<u8> {
    let number = |text: &str| text.trim_start_matches(['+', '-']).parse::<usize>().unwrap_or(10);
    if let Some(count) = count {
        let size = number(count).min(bytes.len());
        return match (first, count.starts_with('+')) {
            (true, _) => bytes[..size].to_vec(),
            (false, true) => bytes[size.saturating_sub(1)..].to_vec(),
            (false, false) => bytes[bytes.len() - size..].to_vec(),
        };
    }
    let all: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let lines = lines.unwrap_or("10");
    let size = number(lines).min(all.len());
    match (first, lines.starts_with('+')) {
        (true, _) => all[..size].concat(),
        (false, true) => all[size.saturating_sub(1)..].concat(),
        (false, false) => all[all.len() - size..].concat(),
    }
}

fn counts(bytes: &[u8], options: &[(char, String)], name: Option<&String>) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let all = [('l', lines), ('w', text.split_whitespace().count()), ('c', bytes.len())];
    let wanted = |letter: char| options.is_empty() || options.iter().any(|(known, _)| *known == letter);
    let shown: Vec<String> =
        all.iter().filter(|(letter, _)| wanted(*letter)).map(|(_, count)| count.to_string()).collect();
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    format!("{}{name}\n", shown.join(" "))
}

/// `tail -f FILE`: looks again every second, as busybox does.
async fn follow(call: &Invocation<'_>, names: &[String]) -> Done {
    let Some(name) = names.iter().find(|name| name.parse::<u64>().is_err()) else {
        return std::future::pending().await;
    };
    let mut seen = 0;
    loop {
        match content(call, name).await {
            Ok(bytes) => {
                call.say(&bytes[seen.min(bytes.len())..]).await?;
                seen = bytes.len();
            }
            Err(message) => return call.complain(message).await,
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}
