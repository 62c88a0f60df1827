//! A class as CSV (RFC 4180), for a spreadsheet or a learning management system.

use super::{ClassReport, Graded, Verdict};
use crate::text::Language;

impl ClassReport {
    /// One row a student, one column a check; the cell of a check that was skipped is empty.
    pub fn to_csv(&self) -> String {
        let head = ["student", "points", "points_max", "percent", "outcome", "self_reported", "seed"];
        let mut head: Vec<String> = head.map(str::to_owned).to_vec();
        head.extend(self.statistics().into_iter().map(|row| row.check));
        head.push("problem".to_owned());
        let mut out = line(&head);
        self.submissions.iter().for_each(|graded| out.push_str(&line(&row(graded))));
        out
    }
}

fn row(graded: &Graded) -> Vec<String> {
    let percent = 100.0 * f64::from(graded.points) / f64::from(graded.points_max.max(1));
    let mut row = vec![
        graded.student.clone(),
        graded.points.to_string(),
        graded.points_max.to_string(),
        format!("{percent:.1}"),
        graded.outcome.word(Language::En).to_owned(),
        graded.self_reported.to_string(),
        graded.seed.to_string(),
    ];
    row.extend(graded.checks().map(|(_, check)| match check.verdict {
        Verdict::Skipped => String::new(),
        _ => check.points.to_string(),
    }));
    let problem = graded.problems.first().and_then(|problem| problem.lines().next());
    row.push(problem.unwrap_or_default().to_owned());
    row
}

fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell. One that a spreadsheet would run as a formula begins with an apostrophe, so that it is text.
fn quoted(cell: &str) -> String {
    let cell = match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{cell}"),
        _ => cell.to_owned(),
    };
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::super::class::tests::class;

    #[test]
    fn names_cannot_become_formulas_or_columns() {
        let expected = "student,points,points_max,percent,outcome,self_reported,seed,put/key,put/name,problem\r\n\
            '=cmd|' /C calc'!A0,4,4,100.0,graded,0,7,2,2,\r\n\
            \"김민수, \"\"민수\"\"\",0,4,0.0,graded,0,7,0,,\r\n\
            x,0,4,0.0,refused,0,7,0,0,submission.yaml:1:1: no\r\n";
        assert_eq!(class().to_csv(), expected);
    }
}
