//! A lab's README on a terminal: the part before the first task, or one task's part. Directives of the book
//! (`{{results}}`, `{{diagram}}`) are left out.

/// What stands before the first task, without the title.
pub fn introduction(readme: &str) -> String {
    let lines = readme.lines().skip_while(|line| line.is_empty() || line.starts_with("# "));
    plain(lines.take_while(|line| !line.starts_with("{{task ") && !line.starts_with("## ")))
}

/// What stands at `{{task ID}}`.
pub fn task(readme: &str, id: &str) -> String {
    let directive = format!("{{{{task {id}}}}}");
    let lines = readme.lines().skip_while(|line| line.trim() != directive).skip(1);
    plain(lines.take_while(|line| !line.starts_with("{{task ") && !line.starts_with("## ")))
}

/// Paragraphs as one line each, code indented, tables and lists as they are.
fn plain<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut out: Vec<String> = Vec::new();
    let (mut in_code, mut joins) = (false, false);
    for line in lines {
        if line.starts_with("```") {
            in_code = !in_code;
            joins = false;
        } else if in_code {
            out.push(format!("    {line}"));
        } else if line.trim().is_empty() || line.starts_with("{{") {
            joins = false;
            if out.last().is_some_and(|last| !last.is_empty()) {
                out.push(String::new());
            }
        } else {
            let line = line.trim_end().replace("**", "");
            let starts_anew = line.starts_with(['|', '-', '*', '#', '>', ' ']) || is_numbered(&line);
            match out.last_mut() {
                Some(last) if joins && !starts_anew => {
                    last.push(' ');
                    last.push_str(&line);
                }
                // What stands above it is the table's head, which a list does not need.
                _ if is_rule(&line) => drop(out.pop()),
                _ => out.push(cells(&line)),
            }
            joins = !line.starts_with('|');
        }
    }
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    out.join("\n")
}

fn is_numbered(line: &str) -> bool {
    line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok())
}

/// The line under a table's head.
fn is_rule(line: &str) -> bool {
    line.starts_with('|') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}

/// A table's row without its frame; other lines as they are.
fn cells(line: &str) -> String {
    match line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) {
        Some(row) => {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            format!("- {}", cells.join(": "))
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "# A title\n\nFirst line,\nsecond line.\n\n{{objectives}}\n\n| answer | what |\n|---|---|\n\
        | `a` | **all** |\n\n{{task one}}\n\nDo this:\n\n```\nkubectl get pods\n```\n\n{{hints one}}\n\n{{task two}}\n\nThen that.\n\n## What happened\n\nx\n";

    #[test]
    fn each_part_is_found_and_made_plain() {
        assert_eq!(introduction(README), "First line, second line.\n\n- `a`: all");
        assert_eq!(task(README, "one"), "Do this:\n\n    kubectl get pods");
        assert_eq!(task(README, "two"), "Then that.");
        assert_eq!(task(README, "three"), "");
    }
}
