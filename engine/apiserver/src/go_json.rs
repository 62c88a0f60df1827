//! JSON as Go's scanner reads it: what it says of a wrong syntax, and how deep it follows.
//! Counterpart: `encoding/json/scanner.go`.

/// How many levels Go's decoder follows.
const DEPTH_MAX: usize = 10_000;

/// Stands for what was [`cut`] off.
const CUT: &str = "\u{0}cut";

/// Fails in Go's words where the text is not one JSON value.
pub(crate) fn check(text: &[u8]) -> Result<(), String> {
    Scanner { text, at: 0, open: Vec::new() }.document()
}

/// The text without what stands deeper than `levels`, for a decoder that follows no deeper. The text is JSON.
pub(crate) fn cut(text: &str, levels: usize) -> String {
    let mut shallow = String::with_capacity(text.len());
    let (mut depth, mut kept, mut is_quoted, mut is_escaped) = (0_usize, 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'{' | b'[' if !is_quoted => {
                depth += 1;
                if depth == levels + 1 {
                    shallow.push_str(&text[kept..at]);
                    shallow.push_str("\"\\u0000cut\"");
                }
            }
            b'}' | b']' if !is_quoted => {
                if depth == levels + 1 {
                    kept = at + 1;
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    shallow.push_str(&text[kept..]);
    shallow
}

/// Whether something was cut off of this value.
pub(crate) fn is_cut(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text == CUT,
        serde_json::Value::Array(items) => items.iter().any(is_cut),
        serde_json::Value::Object(fields) => fields.values().any(is_cut),
        _ => false,
    }
}

/// What may come next.
#[derive(Clone, Copy)]
enum Expected {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    /// What follows a value: a comma, an end, or nothing.
    Rest,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// What is open, from the outside in: whether it is an object.
    open: Vec<bool>,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), String> {
        let mut expected = Expected::Value;
        loop {
            while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
                self.at += 1;
            }
            if self.at == self.text.len() && self.open.is_empty() && matches!(expected, Expected::Rest) {
                return Ok(());
            }
            let byte = self.next()?;
            expected = match expected {
                Expected::ValueOrEnd if byte == b']' => self.close(),
                Expected::KeyOrEnd if byte == b'}' => self.close(),
                Expected::Value | Expected::ValueOrEnd => self.value(byte)?,
                Expected::Key | Expected::KeyOrEnd if byte == b'"' => {
                    self.string()?;
                    Expected::Colon
                }
                Expected::Key | Expected::KeyOrEnd => {
                    return Err(invalid(byte, "looking for beginning of object key string"));
                }
                Expected::Colon if byte == b':' => Expected::Value,
                Expected::Colon => return Err(invalid(byte, "after object key")),
                Expected::Rest => match (self.open.last(), byte) {
                    (Some(true), b',') => Expected::Key,
                    (Some(false), b',') => Expected::Value,
                    (Some(true), b'}') | (Some(false), b']') => self.close(),
                    (Some(true), _) => return Err(invalid(byte, "after object key:value pair")),
                    (Some(false), _) => return Err(invalid(byte, "after array element")),
                    (None, _) => return Err(invalid(byte, "after top-level value")),
                },
            };
        }
    }

    fn next(&mut self) -> Result<u8, String> {
        let byte = self.text.get(self.at).ok_or_else(|| "unexpected end of JSON input".to_owned())?;
        self.at += 1;
        Ok(*byte)
    }

    fn close(&mut self) -> Expected {
        self.open.pop();
        Expected::Rest
    }

    fn value(&mut self, first: u8) -> Result<Expected, String> {
        match first {
            b'{' | b'[' => {
                self.open.push(first == b'{');
                if self.open.len() > DEPTH_MAX {
                    return Err(invalid(first, "exceeded max depth"));
                }
                return Ok(if first == b'{' { Expected::KeyOrEnd } else { Expected::ValueOrEnd });
            }
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number(first)?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            other => return Err(invalid(other, "looking for beginning of value")),
        }
        Ok(Expected::Rest)
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for letter in word.bytes().skip(1) {
            let found = self.next()?;
            if found != letter {
                let context = format!("in literal {word} (expecting '{}')", char::from(letter));
                return Err(invalid(found, &context));
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let digit = self.next()?;
                            if !digit.is_ascii_hexdigit() {
                                return Err(invalid(digit, "in \\u hexadecimal character escape"));
                            }
                        }
                    }
                    other => return Err(invalid(other, "in string escape code")),
                },
                control @ 0..=0x1f => return Err(invalid(control, "in string literal")),
                _ => {}
            }
        }
    }

    fn number(&mut self, first: u8) -> Result<(), String> {
        let first = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if first != b'0' {
            self.digits();
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn digit(&mut self, context: &str) -> Result<u8, String> {
        let byte = self.next()?;
        if byte.is_ascii_digit() { Ok(byte) } else { Err(invalid(byte, context)) }
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }
}

fn invalid(byte: u8, context: &str) -> String {
    let shown = match byte {
        b'\'' => "\\'".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        0..=0x1f | 0x7f => format!("\\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!("\\u{byte:04x}"),
        other => char::from(other).to_string(),
    };
    format!("invalid character '{shown}' {context}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_syntax_is_refused_in_gos_words() {
        for (text, expected) in [
            ("", "unexpected end of JSON input"),
            ("{\"a\":", "unexpected end of JSON input"),
            ("\"a", "unexpected end of JSON input"),
            ("xx", "invalid character 'x' looking for beginning of value"),
            ("not json", "invalid character 'o' in literal null (expecting 'u')"),
            ("{a: 1}", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\": 1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("{\"a\": 1,}", "invalid character '}' looking for beginning of object key string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1e+x", "invalid character 'x' in exponent of numeric literal"),
            ("01", "invalid character '1' after top-level value"),
            ("'a'", "invalid character '\\'' looking for beginning of value"),
        ] {
            assert_eq!(check(text.as_bytes()), Err(expected.to_owned()), "{text}");
        }
        for text in
            ["{}", " [1, -2.5e+3, \"\\u00e9\\n\", null, true, false, {\"a\": {}}] ", "0", "\"\"", "[]"]
        {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn ten_thousand_levels_are_followed_and_no_more() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(nested(10_000).as_bytes()), Ok(()));
        let refused = Err("invalid character '[' exceeded max depth".to_owned());
        assert_eq!(check(nested(10_001).as_bytes()), refused);
        assert_eq!(check("[".repeat(3_000_000).as_bytes()), refused);
    }

    #[test]
    fn what_is_too_deep_is_cut_off_and_known_again() {
        let text = r#"{"a": [1, {"b": [2]}, "]"], "c": {"d": {}}}"#;
        let shallow = cut(text, 2);
        assert_eq!(shallow, r#"{"a": [1, "\u0000cut", "]"], "c": {"d": "\u0000cut"}}"#);
        let mut value: serde_json::Value = serde_json::from_str(&shallow).unwrap();
        assert!(is_cut(&value));
        value["c"] = serde_json::Value::Null;
        assert!(is_cut(&value));
        value["a"] = serde_json::Value::Null;
        assert!(!is_cut(&value));
        assert_eq!(cut(text, 9), text);
    }
}
