//! The few commands that a simulated container understands. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::program::Step;

/// What a command with its arguments does, and how it exits. `None`: not understood.
pub(crate) fn command(words: &[String], environment: &BTreeMap<String, String>) -> Option<(Vec<Step>, i32)> {
    let name = words.first()?.rsplit('/').next()?;
    let rest = &words[1..];
    match (name, rest) {
        ("sh" | "bash" | "ash", [flag, text, ..]) if is_command_flag(flag) => Some(script(text, environment)),
        ("sh" | "bash" | "ash", []) => Some((Vec::new(), 0)),
        _ => simple(name, rest, environment),
    }
}

/// `-c`, `-ec`, `-lc` and the like.
fn is_command_flag(flag: &str) -> bool {
    flag.starts_with('-') && flag.ends_with('c')
}

fn simple(name: &str, rest: &[String], environment: &BTreeMap<String, String>) -> Option<(Vec<Step>, i32)> {
    let steps = match name {
        "sleep" => vec![sleep(rest)?],
        "true" | ":" => Vec::new(),
        "false" => return Some((Vec::new(), 1)),
        "exit" => vec![Step::Exit(rest.first().map_or(Some(0), |code| code.parse().ok())?)],
        "echo" => {
            let words = rest.iter().skip_while(|word| matches!(word.as_str(), "-n" | "-e"));
            vec![Step::Print(words.map(String::as_str).collect::<Vec<_>>().join(" "))]
        }
        "date" => vec![Step::Print("$(date)".to_owned())],
        "hostname" => vec![Step::Print(environment.get("HOSTNAME").cloned().unwrap_or_default())],
        "env" | "printenv" if rest.is_empty() => {
            environment.iter().map(|(name, value)| Step::Print(format!("{name}={value}"))).collect()
        }
        "tail" if rest.iter().any(|word| word == "-f") => vec![Step::SleepForever],
        _ => return None,
    };
    Some((steps, 0))
}

fn sleep(rest: &[String]) -> Option<Step> {
    Some(parse_sleep(rest.first()?)?.map_or(Step::SleepForever, Step::Sleep))
}

/// `5`, `1.5m`, `infinity`; the last is `Some(None)`.
pub(crate) fn parse_sleep(text: &str) -> Option<Option<Duration>> {
    if text == "infinity" || text == "inf" {
        return Some(None);
    }
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let scale = match unit {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number: f64 = text[..text.len() - unit.len()].parse().ok()?;
    Duration::try_from_secs_f64(number * scale).ok().map(Some)
}

fn script(text: &str, environment: &BTreeMap<String, String>) -> (Vec<Step>, i32) {
    let mut steps = Vec::new();
    let mut code = 0;
    let mut loops: Vec<usize> = Vec::new();
    for statement in statements(text) {
        let mut words = split_words(&statement, environment);
        if matches!(words.first().map(String::as_str), Some("while" | "until" | "for")) {
            loops.push(steps.len());
            words.remove(0);
            // `while sleep 5; do` sleeps at each turn; any other condition takes no time.
            if words.first().map(String::as_str) != Some("sleep") {
                continue;
            }
        }
        if matches!(words.first().map(String::as_str), Some("do" | "then" | "{")) {
            words.remove(0);
        }
        let Some(name) = words.first().cloned() else { continue };
        if name == "done" {
            let Some(start) = loops.pop() else { continue };
            // A loop that never waits would print without end: a line a second is enough to see it.
            if !steps[start..].iter().any(|step| matches!(step, Step::Sleep(_) | Step::SleepForever)) {
                steps.push(Step::Sleep(Duration::from_secs(1)));
            }
            steps.push(Step::GoTo(start));
            continue;
        }
        let redirected = statement.contains('>');
        let (mut own, status) = simple(&name, &words[1..], environment).unwrap_or_default();
        own.retain(|step| !redirected || !matches!(step, Step::Print(_)));
        steps.extend(own);
        code = status;
    }
    (steps, code)
}

/// Splits at `;`, newlines and `&&`, outside quotes.
fn statements(text: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        let ends = quote.is_none() && (c == ';' || c == '\n' || (c == '&' && chars.peek() == Some(&'&')));
        if ends {
            statements.push(String::new());
            if c == '&' {
                chars.next();
            }
        } else if let Some(statement) = statements.last_mut() {
            statement.push(c);
        }
    }
    statements
}

/// Splits at blanks outside quotes, drops the quotes, fills in variables outside single ones.
fn split_words(statement: &str, environment: &BTreeMap<String, String>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = statement;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ if c == '$' && quote != Some('\'') => {
                let (value, after) = variable(rest, environment);
                word.get_or_insert_default().push_str(&value);
                rest = after;
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The value of the variable whose name follows, and what is left after it. `$(date)` stays as it is.
fn variable<'a>(rest: &'a str, environment: &BTreeMap<String, String>) -> (String, &'a str) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(after) = rest.strip_prefix("(date)") {
        return ("$(date)".to_owned(), after);
    }
    let (name, after) = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
        Some((name, after)) => (name, after),
        None => rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len())),
    };
    if name.is_empty() {
        return ("$".to_owned(), rest);
    }
    (environment.get(name).cloned().unwrap_or_default(), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, steps: &[Step], code: i32) {
        let environment = BTreeMap::from([("NAME".to_owned(), "web".to_owned())]);
        assert_eq!(script(text, &environment), (steps.to_vec(), code));
    }

    fn print(text: &str) -> Step {
        Step::Print(text.to_owned())
    }

    #[test]
    fn a_script_is_a_list_of_steps() {
        let seconds = |n| Step::Sleep(Duration::from_secs(n));
        check("exit 7", &[Step::Exit(7)], 0);
        check("sleep 5; exit 3", &[seconds(5), Step::Exit(3)], 0);
        check("echo \"a; b\" && sleep 1m\nfalse", &[print("a; b"), seconds(60)], 1);
        check("echo hi > /tmp/x; touch /tmp/y", &[], 0);
        check("echo $NAME ${NAME}s '$NAME'", &[print("web webs $NAME")], 0);
        check(
            "while true; do echo $(date); sleep 5; done",
            &[print("$(date)"), seconds(5), Step::GoTo(0)],
            0,
        );
        check("echo a; while true; do echo b; done", &[print("a"), print("b"), seconds(1), Step::GoTo(1)], 0);
    }

    #[test]
    fn commands_that_are_not_understood_are_none_outside_a_shell() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let of = |text| command(&words(text), &BTreeMap::new());
        assert_eq!(of("/bin/sleep 2"), Some((vec![Step::Sleep(Duration::from_secs(2))], 0)));
        assert_eq!(of("python app.py"), None);
        assert_eq!(of("false"), Some((vec![], 1)));
    }
}
