//! The table of kubectl's verbs as pages: the rows that the end-to-end tests run, with what they printed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::page::Language;

/// Name and text of each file, in the order of the page.
const TABLES: [(&str, &str); 7] = [
    ("reads", include_str!("../../../tests/suite/kubectl_table/reads.yaml")),
    ("writes", include_str!("../../../tests/suite/kubectl_table/writes.yaml")),
    ("workloads", include_str!("../../../tests/suite/kubectl_table/workloads.yaml")),
    ("nodes", include_str!("../../../tests/suite/kubectl_table/nodes.yaml")),
    ("access", include_str!("../../../tests/suite/kubectl_table/access.yaml")),
    ("streams", include_str!("../../../tests/suite/kubectl_table/streams.yaml")),
    ("metrics", include_str!("../../../tests/suite/kubectl_table/metrics.yaml")),
];

/// What of a file of the table is shown.
#[derive(Debug, Deserialize)]
struct Table {
    title: BTreeMap<String, String>,
    rows: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    run: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    code: i32,
    #[serde(default)]
    out: String,
    #[serde(default)]
    err: String,
}

/// One file of the table, for the template.
#[derive(Debug, Serialize)]
pub struct Commands {
    pub title: String,
    pub rows: Vec<Row>,
}

/// A command line and what it printed.
#[derive(Debug, Serialize)]
pub struct Row {
    pub run: String,
    pub files: Vec<File>,
    pub printed: String,
    pub code: i32,
}

#[derive(Debug, Serialize)]
pub struct File {
    pub name: String,
    pub text: String,
}

/// The file of that name. The error names those there are.
pub fn commands(name: &str, language: Language) -> Result<Commands, String> {
    let names = || TABLES.map(|(name, _)| name).join(", ");
    let (_, text) = TABLES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("no table {name}; there are {}", names()))?;
    let table: Table = serde_yaml::from_str(text).expect("the tables are checked by a test");
    let row = |line: Line| Row {
        run: line.run,
        files: line
            .files
            .into_iter()
            .map(|(name, text)| File { name, text: text.trim_end().to_owned() })
            .collect(),
        printed: aligned(format!("{}{}", line.out, line.err).trim_end()),
        code: line.code,
    };
    Ok(Commands {
        title: table.title.get(language.tag()).cloned().unwrap_or_default(),
        rows: table.rows.into_iter().map(row).collect(),
    })
}

/// Puts columns, which the table has two blanks apart, below each other: in lines that follow each other with as many
/// cells and the same indentation.
fn aligned(text: &str) -> String {
    let rows: Vec<(&str, Vec<&str>)> = text
        .lines()
        .map(|line| line.split_at(line.len() - line.trim_start().len()))
        .map(|(indent, rest)| (indent, rest.split("  ").collect()))
        .collect();
    let mut lines = Vec::new();
    for block in rows.chunk_by(|one, next| one.0 == next.0 && one.1.len() == next.1.len()) {
        let width = |column: usize| block.iter().map(|(_, cells)| cells[column].chars().count()).max();
        let widths: Vec<usize> = (0..block[0].1.len()).map(|column| width(column).unwrap_or(0)).collect();
        for (indent, cells) in block {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = format!("{indent}{}", padded.collect::<Vec<_>>().join("   "));
            lines.push(line.trim_end().to_owned());
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let text = "NAME  READY  AGE\nweb-1  1/1  <age>\n\none line\n  Name:  x\n  Labels:  y";
        let expected = "NAME    READY   AGE\nweb-1   1/1     <age>\n\none line\n  Name:     x\n  Labels:   y";
        assert_eq!(aligned(text), expected);
    }

    #[test]
    fn every_table_has_rows_and_a_title_in_both_languages() {
        for (name, _) in TABLES {
            for language in [Language::En, Language::Ko] {
                let commands = commands(name, language).unwrap();
                assert!(!commands.title.is_empty() && !commands.rows.is_empty(), "{name}");
            }
        }
        assert!(commands("nope", Language::En).unwrap_err().contains("there are reads, writes"));
    }
}
