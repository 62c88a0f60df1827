//! What several commands print alike.

use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::api::{KeyValue, ResponseHeader};

pub(super) fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Key and value on a line each.
pub(super) fn simple(out: &mut String, kv: &KeyValue, values_only: bool) {
    if !values_only {
        out.push_str(&text(&kv.key));
        out.push('\n');
    }
    out.push_str(&text(&kv.value));
    out.push('\n');
}

/// An object of the fields that are not zero, empty or false: Go leaves those out.
pub(super) fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let is_something = |value: &Value| match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_u64() != Some(0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    };
    let fields = fields.into_iter().filter(|(_, value)| is_something(value));
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<String, Value>>())
}

pub(super) fn header(header: &ResponseHeader) -> Value {
    object([
        ("cluster_id", header.cluster_id.into()),
        ("member_id", header.member_id.into()),
        ("revision", header.revision.into()),
        ("raft_term", header.raft_term.into()),
    ])
}

pub(super) fn key_value(kv: &KeyValue) -> Value {
    object([
        ("key", STANDARD.encode(&kv.key).into()),
        ("create_revision", kv.create_revision.into()),
        ("mod_revision", kv.mod_revision.into()),
        ("version", kv.version.into()),
        ("value", STANDARD.encode(&kv.value).into()),
        ("lease", kv.lease.into()),
    ])
}

pub(super) fn header_fields(out: &mut String, header: &ResponseHeader) {
    field(out, "ClusterID", header.cluster_id);
    field(out, "MemberID", header.member_id);
    field(out, "Revision", header.revision);
    field(out, "RaftTerm", header.raft_term);
}

pub(super) fn key_value_fields(out: &mut String, kv: &KeyValue) {
    field(out, "Key", format!("{:?}", text(&kv.key)));
    field(out, "CreateRevision", kv.create_revision);
    field(out, "ModRevision", kv.mod_revision);
    field(out, "Version", kv.version);
    field(out, "Value", format!("{:?}", text(&kv.value)));
    field(out, "Lease", kv.lease);
}

pub(super) fn field(out: &mut String, name: &str, value: impl std::fmt::Display) {
    writeln!(out, "\"{name}\" : {value}").expect("a string takes any text");
}

/// A framed table: headings centred, cells to the right.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let rule: String =
        widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect::<String>() + "+\n";
    let mut out = rule.clone();
    for (heading, width) in headings.iter().zip(&widths) {
        out.push_str(&format!("| {heading:^width$} "));
    }
    out.push_str("|\n");
    out.push_str(&rule);
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            out.push_str(&format!("| {cell:>width$} "));
        }
        out.push_str("|\n");
    }
    out.push_str(&rule);
    out
}

/// `20 kB`, `1.3 MB`: as go-humanize writes it.
pub(super) fn human_bytes(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes.max(0) as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let value = (value * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 && unit > 0 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// `1.223034ms`, `2.5s`, `0s`: as Go writes it.
pub(super) fn human_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (value, unit) = match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        _ => (nanos as f64 / 1e9, "s"),
    };
    format!("{value}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_in_go() {
        assert_eq!(
            [20_480, 24_576, 1_310_720, 999, 0].map(human_bytes),
            ["20 kB", "25 kB", "1.3 MB", "999 B", "0 B"]
        );
        let nanos = [0, 12_500, 1_223_034, 2_500_000_000].map(|n| human_duration(Duration::from_nanos(n)));
        assert_eq!(nanos, ["0s", "12.5µs", "1.223034ms", "2.5s"]);
    }

    #[test]
    fn a_table_is_framed_as_by_etcdctl() {
        let rows = [vec!["5c76a90ae78bcee7".to_owned(), "started".to_owned(), "false".to_owned()]];
        let expected = "\
+------------------+---------+------------+
|        ID        | STATUS  | IS LEARNER |
+------------------+---------+------------+
| 5c76a90ae78bcee7 | started |      false |
+------------------+---------+------------+
";
        assert_eq!(table(&["ID", "STATUS", "IS LEARNER"], &rows), expected);
    }
}
