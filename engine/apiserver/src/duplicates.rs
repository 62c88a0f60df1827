//! JSON and YAML read as JSON, with the fields that stand twice in one object. The last one counts.
//! Counterpart: `UnmarshalStrict` in `sigs.k8s.io/json`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// More duplicates than that are not named.
const NAMED_MAX: usize = 100;

/// How deep Go's decoder follows. What is less deep and too deep for ours is refused in its own words.
const DEPTH_MAX: usize = 10_000;

/// Parses JSON; beside the value what is wrong with its fields: `duplicate field "spec.replicas"`. Bytes that are not
/// UTF-8 become U+FFFD, as in Go.
pub(crate) fn from_json(text: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let text = replacing_what_is_not_utf8(text);
    let parsed = read(|seed| {
        let mut json = serde_json::Deserializer::from_str(&text);
        let value = seed.deserialize(&mut json)?;
        json.end().map(|()| value)
    });
    parsed.map_err(|error| match exceeds_depth(&text) {
        true => serde_json::Error::custom("exceeded max depth"),
        false => error,
    })
}

/// Whether brackets stand within each other deeper than Go reads.
fn exceeds_depth(text: &str) -> bool {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    text.bytes().any(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'{' | b'[' if !is_quoted => depth += 1,
            b'}' | b']' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEPTH_MAX
    })
}

/// The same for YAML.
pub(crate) fn from_yaml(text: &[u8]) -> Result<(Value, Vec<String>), serde_yaml::Error> {
    read(|seed| seed.deserialize(serde_yaml::Deserializer::from_slice(text)))
}

/// Each byte that is part of no character becomes one.
fn replacing_what_is_not_utf8(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        replaced.push_str(chunk.valid());
        replaced.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    Cow::Owned(replaced)
}

/// Reads once without paths, as nearly all bodies have no duplicate, and with them where one does.
fn read<E>(parse: impl Fn(Reader<'_>) -> Result<Value, E>) -> Result<(Value, Vec<String>), E> {
    let found = RefCell::new(Vec::new());
    let value = parse(Reader { path: None, found: &found })?;
    if !found.take().is_empty() {
        parse(Reader { path: Some(String::new()), found: &found })?;
    }
    Ok((value, found.into_inner()))
}

struct Reader<'a> {
    /// Where the value stands; `None` while nobody asks.
    path: Option<String>,
    found: &'a RefCell<Vec<String>>,
}

impl<'a> Reader<'a> {
    fn field(&self, name: &str) -> Reader<'a> {
        let join = |path: &String| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        Reader { path: self.path.as_ref().map(join), found: self.found }
    }

    fn index(&self, index: usize) -> Reader<'a> {
        Reader { path: self.path.as_ref().map(|path| format!("{path}[{index}]")), found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.index(list.len()))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let inner = self.field(&name);
            let is_named = self.found.borrow().len() < NAMED_MAX;
            if let Some(path) = inner.path.as_ref().filter(|_| is_named && map.contains_key(&name)) {
                self.found.borrow_mut().push(format!("duplicate field {path:?}"));
            }
            let value = fields.next_value_seed(inner)?;
            if map.insert(name, value).is_some() && self.path.is_none() {
                self.found.borrow_mut().push(String::new());
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn duplicates_are_named_with_their_path_and_the_last_one_counts() {
        let text = br#"{"a": 1, "b": {"c": [{"d": 1, "d": 2}], "a": null}, "a": 3.5}"#;
        let (value, duplicates) = from_json(text).unwrap();
        assert_eq!(value, json!({"a": 3.5, "b": {"c": [{"d": 2}], "a": null}}));
        assert_eq!(duplicates, ["duplicate field \"b.c[0].d\"", "duplicate field \"a\""]);
        let (value, duplicates) = from_yaml(b"a: {b: x}\nc: [1, -2, true, ~]\n").unwrap();
        assert_eq!((value, duplicates.len()), (json!({"a": {"b": "x"}, "c": [1, -2, true, null]}), 0));
        assert_eq!(from_yaml(b"a: 1\na: 2\n").unwrap().1, ["duplicate field \"a\""]);
    }

    #[test]
    fn bytes_that_are_no_characters_are_replaced_one_by_one() {
        let (value, _) = from_json(b"{\"a\": \"x\xff\xe2\x82y\"}").unwrap();
        assert_eq!(value, json!({"a": "x\u{fffd}\u{fffd}\u{fffd}y"}));
        assert!(from_json(b"{\xff}").is_err());
    }

    #[test]
    fn no_more_than_a_hundred_duplicates_are_named() {
        let text = format!("{{{}\"a\": 1}}", "\"a\": 1,".repeat(100_000));
        assert_eq!(from_json(text.as_bytes()).unwrap().1.len(), 100);
    }

    #[test]
    fn what_is_no_json_is_refused_as_before() {
        assert!(from_json(b"{\"a\": 1} x").is_err());
        assert!(from_json(b"{\"a\": ").is_err());
        assert!(from_json("[".repeat(10_000).as_bytes()).is_err());
        let error = from_json("[".repeat(10_001).as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "exceeded max depth");
        let error =
            from_json(format!("\"{}\\\"\" x", "[".repeat(10_001)).as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("trailing characters"), "{error}");
    }
}
