//! A command line as a shell would split it, without anything else that a shell does.

/// The words of a command. Quotes group; a backslash takes the next character as it is.
pub(crate) fn split(command: &str) -> Result<Vec<String>, String> {
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
                None => return Err("the command ends with a backslash".to_owned()),
            },
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("the command has an opening {open} without its end"));
    }
    words.extend(word);
    if words.is_empty() { Err("the command is empty".to_owned()) } else { Ok(words) }
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
        assert!(split("put 'a").unwrap_err().contains("opening"));
        assert!(split("  ").unwrap_err().contains("empty"));
    }
}
