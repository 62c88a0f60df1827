//! A command line as a shell would split it, without anything else that a shell does.

use crate::text::{Text, text};

/// The words of a command. Quotes group; a backslash takes the next character as it is.
pub(crate) fn split(command: &str) -> Result<Vec<String>, Text> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = command.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => match characters.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => {
                    return Err(Text::new("the command ends with a backslash", "명령이 역슬래시로 끝납니다"));
                }
            },
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(text!(
            "the command has an opening {open} without its end",
            "명령에 여는 {open} 만 있고 닫는 것이 없습니다"
        ));
    }
    words.extend(word);
    if words.is_empty() {
        Err(Text::new("the command is empty", "명령이 비어 있습니다"))
    } else {
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, expected: &[&str]) {
        assert_eq!(split(command).unwrap(), expected);
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        check("put seq ${n}", &["put", "seq", "${n}"]);
        check(r#"put "a b" '' x\ y"#, &["put", "a b", "", "x y"]);
        check(r#"txn 'a "b"'"#, &["txn", r#"a "b""#]);
        assert!(split("put 'a").unwrap_err().en.contains("opening"));
        assert!(split("  ").unwrap_err().en.contains("empty"));
    }
}
