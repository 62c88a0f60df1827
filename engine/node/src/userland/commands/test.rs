//! `test` and `[`.

use super::{Done, Invocation};

pub(super) async fn run(call: &mut Invocation<'_>) -> Done {
    let mut words: Vec<&str> = call.arguments().iter().map(String::as_str).collect();
    if call.name() == "[" && words.pop() != Some("]") {
        call.complain("missing ]").await?;
        return Ok(2);
    }
    match all(call, &words) {
        Ok(holds) => Ok(i32::from(!holds)),
        Err(message) => {
            call.complain(message).await?;
            Ok(2)
        }
    }
}

/// `-a` binds closer than `-o`.
fn all(call: &Invocation<'_>, words: &[&str]) -> Result<bool, String> {
    if words.len() > 3 {
        for joint in ["-o", "-a"] {
            if let Some(at) = words.iter().position(|word| *word == joint) {
                let (left, right) = (all(call, &words[..at])?, all(call, &words[at + 1..])?);
                return Ok(if joint == "-o" { left || right } else { left && right });
            }
        }
    }
    match words {
        [] => Ok(false),
        ["!", rest @ ..] if !rest.is_empty() => all(call, rest).map(|holds| !holds),
        [word] => Ok(!word.is_empty()),
        [operator, word] => one(call, operator, word),
        [left, operator, right] => two(left, operator, right),
        _ => Err(format!("{}: unknown operand", words[0])),
    }
}

fn one(call: &Invocation<'_>, operator: &str, word: &str) -> Result<bool, String> {
    let path = call.path(word);
    let node = || call.files().node(&path);
    let size = || node().and_then(|node| node.content).map_or(0, |content| content.len());
    let is_program = || super::program(&path).is_some();
    Ok(match operator {
        "-z" => word.is_empty(),
        "-n" => !word.is_empty(),
        "-e" | "-r" | "-w" => node().is_some() || is_program(),
        "-f" => call.files().is_directory(&path) == Some(false) || is_program(),
        "-d" => call.files().is_directory(&path) == Some(true),
        "-s" => size() > 0,
        "-x" => node().is_some_and(|node| node.mode & 0o111 != 0) || is_program(),
        "-t" => call.shell.at.is_terminal,
        "-L" | "-h" => false,
        _ => return Err(format!("{operator}: unknown operand")),
    })
}

fn two(left: &str, operator: &str, right: &str) -> Result<bool, String> {
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text}: bad number"));
    let compare = |holds: fn(i64, i64) -> bool| Ok(holds(number(left)?, number(right)?));
    match operator {
        "=" | "==" => Ok(left == right),
        "!=" => Ok(left != right),
        "-eq" => compare(|left, right| left == right),
        "-ne" => compare(|left, right| left != right),
        "-lt" => compare(|left, right| left < right),
        "-le" => compare(|left, right| left <= right),
        "-gt" => compare(|left, right| left > right),
        "-ge" => compare(|left, right| left >= right),
        _ => Err(format!("{operator}: unknown operand")),
    }
}
