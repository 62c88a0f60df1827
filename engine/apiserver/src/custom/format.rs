//! The formats of text that a schema may ask for. Counterpart: `kube-openapi/pkg/validation/strfmt`.
//!
//! Formats that are not listed here are not judged, as upstream strips what it does not know.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine;

const FORMATS: [&str; 15] = [
    "byte",
    "cidr",
    "date",
    "date-time",
    "datetime",
    "double",
    "duration",
    "email",
    "float",
    "hostname",
    "int32",
    "int64",
    "ipv4",
    "ipv6",
    "uuid",
];

/// The format if it is one that is judged; else nothing.
pub(crate) fn known(format: &str) -> &str {
    if FORMATS.contains(&format) { format } else { "" }
}

/// Whether the text is of the format.
pub(crate) fn fits(format: &str, text: &str) -> bool {
    match format {
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "cidr" => text.split_once('/').is_some_and(|(address, bits)| {
            let bits = bits.parse::<u8>().ok();
            address.parse::<Ipv4Addr>().is_ok() && bits.is_some_and(|bits| bits <= 32)
                || address.parse::<Ipv6Addr>().is_ok() && bits.is_some_and(|bits| bits <= 128)
        }),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "date-time" | "datetime" => text.contains(['T', 't']) && text.parse::<jiff::Timestamp>().is_ok(),
        "duration" => is_duration(text),
        "email" => {
            let parts = text.split_once('@');
            parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
        }
        "hostname" => labkit_api::validation::is_dns1123_subdomain(&text.to_lowercase()).is_empty(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "uuid" => uuid::Uuid::try_parse(text).is_ok(),
        _ => true,
    }
}

/// `1h30m`, or with words and blanks: `2 days`.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 22] = [
        "ns",
        "nano",
        "us",
        "µs",
        "micro",
        "ms",
        "milli",
        "s",
        "sec",
        "second",
        "m",
        "min",
        "minute",
        "h",
        "hr",
        "hour",
        "d",
        "day",
        "w",
        "wk",
        "week",
        "nanosecond",
    ];
    let mut rest = text.trim();
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        let unit_and_more = number.trim_start();
        if number.len() == rest.len() {
            return false;
        }
        let end = unit_and_more.find(|letter: char| !letter.is_alphabetic()).unwrap_or(unit_and_more.len());
        let unit = unit_and_more[..end].to_lowercase();
        if !UNITS.contains(&unit.as_str()) && !UNITS.contains(&unit.trim_end_matches('s')) {
            return false;
        }
        rest = unit_and_more[end..].trim_start();
        parts += 1;
    }
    parts > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(fits(format, text), "{format} {text}");
        }
        for text in bad {
            assert!(!fits(format, text), "{format} {text}");
        }
    }

    #[test]
    fn formats_tell_good_text_from_bad() {
        check("date-time", &["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+09:00"], &["2026-01-01", "now"]);
        check("date", &["2026-01-01"], &["2026-13-01", "x"]);
        check("ipv4", &["10.0.0.1"], &["10.0.0.256", "::1"]);
        check("ipv6", &["::1"], &["10.0.0.1"]);
        check("cidr", &["10.0.0.0/8", "fd00::/64"], &["10.0.0.0/33", "10.0.0.0"]);
        check("duration", &["1h30m", "5s", "2 days", "1.5h"], &["", "5", "h", "5x"]);
        check("uuid", &["a8098c1a-f86e-11da-bd1a-00112444be1e"], &["a8098c1a"]);
        check("byte", &["aGk="], &["%"]);
        check("email", &["a@example.com"], &["a", "a@"]);
        check("made-up", &["anything"], &[]);
    }
}
