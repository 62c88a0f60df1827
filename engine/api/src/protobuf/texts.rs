//! Values whose JSON is a text with a syntax of its own: amounts, times, bytes. Counterpart: `UnmarshalJSON` of
//! `resource.Quantity` and `metav1.Time`, `encoding/base64`.

use serde_json::Value;

use crate::quantity::Quantity;

/// Writes an amount in its canonical form: `1000m` is `1`.
pub(super) fn settle_quantity(value: &mut Value) -> Result<(), String> {
    let canonical = Quantity::from_value(value)?.to_string();
    if value.as_str() != Some(&canonical) {
        *value = Value::String(canonical);
    }
    Ok(())
}

/// Refuses what is no base64, in Go's words. Line ends within are dropped.
pub(super) fn settle_base64(text: &mut String) -> Result<(), String> {
    if text.contains(['\r', '\n']) {
        check_base64(text)?;
        text.retain(|letter| !matches!(letter, '\r' | '\n'));
        return Ok(());
    }
    check_base64(text)
}

fn check_base64(text: &str) -> Result<(), String> {
    let corrupt = |at: usize| Err(format!("illegal base64 data at input byte {at}"));
    let mut letters = text.bytes().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    let mut quantum = 0;
    while let Some((at, byte)) = letters.next() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => quantum = (quantum + 1) % 4,
            b'=' if quantum >= 2 => {
                if quantum == 2 {
                    match letters.next() {
                        None => return corrupt(text.len()),
                        Some((next, byte)) if byte != b'=' => return corrupt(next),
                        Some(_) => {}
                    }
                }
                return letters.next().map_or(Ok(()), |(rest, _)| corrupt(rest));
            }
            _ => return corrupt(at),
        }
    }
    if quantum == 0 { Ok(()) } else { corrupt(text.len() - quantum) }
}

/// Refuses what is no time of RFC 3339, in Go's words.
pub(super) fn check_time(text: &str) -> Result<(), String> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(());
    }
    let refuse = |rest: &str, part: &str| {
        Err(format!(
            "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {rest:?} as {part:?}"
        ))
    };
    let mut rest = text;
    for part in ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"] {
        let is_number = part.as_bytes()[0].is_ascii_digit();
        let fits = rest.get(..part.len()).is_some_and(|found| match is_number {
            true => found.bytes().all(|byte| byte.is_ascii_digit()),
            false => found == part,
        });
        if !fits {
            return refuse(rest, part);
        }
        rest = &rest[part.len()..];
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
    }
    if rest.is_empty() || !rest.starts_with(['Z', '+', '-']) {
        return refuse(rest, "Z07:00");
    }
    Err(format!("parsing time {text:?}: day out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_judged_as_go_judges_it() {
        for (text, expected) in [
            ("", None),
            ("YQ==", None),
            ("YWI=", None),
            ("YW\nJj", None),
            ("abc", Some(0)),
            ("abcde", Some(4)),
            ("abc!", Some(3)),
            ("a===", Some(1)),
            ("YQ=", Some(3)),
            ("YQ=x", Some(3)),
            ("YQ==YQ==", Some(4)),
            ("hello world", Some(5)),
        ] {
            let expected =
                expected.map_or(Ok(()), |at| Err(format!("illegal base64 data at input byte {at}")));
            assert_eq!(check_base64(text), expected, "{text}");
        }
        let mut lines = "YW\r\nJj\n".to_owned();
        settle_base64(&mut lines).unwrap();
        assert_eq!(lines, "YWJj");
    }

    #[test]
    fn times_are_judged_as_go_judges_them() {
        let error = |text: &str| check_time(text).unwrap_err();
        assert!(error("").ends_with("cannot parse \"\" as \"2006\""));
        assert!(error("2026-1-1").ends_with("cannot parse \"1-1\" as \"01\""));
        assert!(error("2026-01-01").ends_with("cannot parse \"\" as \"T\""));
        assert!(error("2026-01-01T00:00:00").ends_with("cannot parse \"\" as \"Z07:00\""));
        assert_eq!(error("2026-02-31T00:00:00Z"), "parsing time \"2026-02-31T00:00:00Z\": day out of range");
        for text in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456Z", "2026-01-01T09:00:00+09:00"] {
            assert_eq!(check_time(text), Ok(()));
        }
    }
}
