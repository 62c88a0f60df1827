//! From words to fields: patterns, numbers, quoting gone. Pure.

use std::collections::BTreeMap;

use super::files::{Files, absolute};

/// A piece of a word after its variables are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub text: String,
    /// Quoted: neither split nor a pattern.
    pub quoted: bool,
}

/// Splits what is not quoted at blanks, and lets patterns find files.
pub(super) fn fields(pieces: &[Piece], files: &Files, directory: &str) -> Vec<String> {
    let mut fields: Vec<Vec<Piece>> = Vec::new();
    let mut is_open = false;
    for piece in pieces {
        if piece.quoted {
            add(&mut fields, &mut is_open, &piece.text, true);
            continue;
        }
        let mut rest = piece.text.as_str();
        while !rest.is_empty() {
            let blank = rest.len() - rest.trim_start().len();
            if blank > 0 {
                is_open = false;
                rest = &rest[blank..];
                continue;
            }
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            add(&mut fields, &mut is_open, &rest[..end], false);
            rest = &rest[end..];
        }
    }
    fields.into_iter().flat_map(|field| matched(&field, files, directory)).collect()
}

fn add(fields: &mut Vec<Vec<Piece>>, is_open: &mut bool, text: &str, quoted: bool) {
    let piece = Piece { text: text.to_owned(), quoted };
    match fields.last_mut().filter(|_| *is_open) {
        Some(field) => field.push(piece),
        None => fields.push(vec![piece]),
    }
    *is_open = true;
}

/// The text of a word that is one field whatever is in it.
pub(super) fn joined(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

/// The files that a pattern finds, or the field as it is.
fn matched(field: &[Piece], files: &Files, directory: &str) -> Vec<String> {
    let is_pattern = field.iter().any(|piece| !piece.quoted && piece.text.contains(['*', '?']));
    let text = joined(field);
    if !is_pattern {
        return vec![text];
    }
    let from_root = text.starts_with('/');
    let mut found = vec![if from_root { "/".to_owned() } else { String::new() }];
    for part in text.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|before| step(before, part, files, directory)).collect();
    }
    if found.is_empty() { vec![text] } else { found }
}

fn step(before: &str, part: &str, files: &Files, directory: &str) -> Vec<String> {
    let join = |name: &str| match before {
        "" | "/" => format!("{before}{name}"),
        before => format!("{before}/{name}"),
    };
    let here = absolute(directory, before);
    if !part.contains(['*', '?']) {
        let path = join(part);
        let is_there = files.is_directory(&absolute(directory, &path)).is_some();
        return is_there.then_some(path).into_iter().collect();
    }
    let names = files.list(&here).unwrap_or_default();
    let fits = |name: &String| (part.starts_with('.') || !name.starts_with('.')) && matches(part, name);
    names.iter().filter(|name| fits(name)).map(|name| join(name)).collect()
}

/// Whether a name fits a pattern of `*` and `?`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                // The star takes one letter more.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

/// `$((...))`: whole numbers and variables with `+ - * / %` and parentheses.
pub(super) fn sum(text: &str, variables: &BTreeMap<String, String>) -> Result<i64, String> {
    let mut sum = Sum { rest: text, variables, depth: 0 };
    let value = sum.terms()?;
    match sum.rest.trim() {
        "" => Ok(value),
        rest => Err(format!("arithmetic syntax error near {rest:?}")),
    }
}

struct Sum<'a> {
    rest: &'a str,
    variables: &'a BTreeMap<String, String>,
    depth: usize,
}

impl Sum<'_> {
    fn operator(&mut self, among: &str) -> Option<char> {
        self.rest = self.rest.trim_start();
        let operator = self.rest.chars().next().filter(|letter| among.contains(*letter))?;
        self.rest = &self.rest[1..];
        Some(operator)
    }

    fn terms(&mut self) -> Result<i64, String> {
        let mut value = self.factors()?;
        while let Some(operator) = self.operator("+-") {
            let other = self.factors()?;
            value = if operator == '+' { value.wrapping_add(other) } else { value.wrapping_sub(other) };
        }
        Ok(value)
    }

    fn factors(&mut self) -> Result<i64, String> {
        let mut value = self.value()?;
        while let Some(operator) = self.operator("*/%") {
            let other = self.value()?;
            value = match operator {
                '*' => value.wrapping_mul(other),
                _ if other == 0 => return Err("divide by zero".to_owned()),
                '/' => value.wrapping_div(other),
                _ => value.wrapping_rem(other),
            };
        }
        Ok(value)
    }

    fn value(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("expression recursion level exceeded".to_owned());
        }
        if self.operator("-").is_some() {
            return self.value().map(i64::wrapping_neg);
        }
        if self.operator("(").is_some() {
            let value = self.terms()?;
            return self.operator(")").map(|_| value).ok_or_else(|| "missing ')'".to_owned());
        }
        let rest = self.rest.trim_start().trim_start_matches('$');
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.rest = after;
        if word.is_empty() {
            return Err(format!("arithmetic syntax error near {:?}", after.trim()));
        }
        let number = |text: &str| text.trim().parse::<i64>().ok();
        let of_variable = || number(self.variables.get(word).map_or("0", String::as_str)).or(Some(0));
        let is_name = !word.starts_with(|letter: char| letter.is_ascii_digit());
        let value = if is_name { of_variable() } else { number(word) };
        self.depth -= 1;
        value.ok_or_else(|| format!("bad number {word:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a?c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Result<i64, &str>) {
        let variables = BTreeMap::from([("i".to_owned(), "4".to_owned())]);
        assert_eq!(sum(text, &variables), expected.map_err(str::to_owned));
    }

    #[test]
    fn sums_are_reckoned() {
        check("1 + 2 * 3", Ok(7));
        check("(i + 1) % 3", Ok(2));
        check("$i-1", Ok(3));
        check("-i - -1 + missing", Ok(-3));
        check("1 / 0", Err("divide by zero"));
        check("1 +", Err("arithmetic syntax error near \"\""));
        check("9999999999999999999999", Err("bad number \"9999999999999999999999\""));
        check(&"(".repeat(500), Err("expression recursion level exceeded"));
    }
}
