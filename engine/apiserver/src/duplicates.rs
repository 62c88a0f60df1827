//! JSON and YAML read as JSON, with the fields that stand twice in one object. The last one counts.
//! Counterpart: `UnmarshalStrict` in `sigs.k8s.io/json`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::go_json;

/// More duplicates than that are not named.
const NAMED_MAX: usize = 100;

/// How many levels our decoder follows.
const LEVELS_MAX: usize = 127;

/// What is to be said of a body beside its value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remarks {
    /// `duplicate field "spec.replicas"`, in order.
    pub duplicates: Vec<String>,
    /// Whether a part deeper than our decoder follows was left out; where it was, [`go_json::is_cut`] knows.
    pub is_cut: bool,
}

/// Parses JSON; the error is in Go's words. Bytes that are not UTF-8 become U+FFFD, as in Go.
pub(crate) fn from_json(text: &[u8]) -> Result<(Value, Remarks), String> {
    let text = replacing_what_is_not_utf8(text);
    if let Ok((value, duplicates)) = parse(&text) {
        return Ok((value, Remarks { duplicates, is_cut: false }));
    }
    go_json::check(text.as_bytes())?;
    let (value, duplicates) =
        parse(&go_json::cut(&text, LEVELS_MAX)).map_err(|error| format!("json: {error}"))?;
    Ok((value, Remarks { duplicates, is_cut: true }))
}

fn parse(text: &str) -> Result<(Value, Vec<String>), serde_json::Error> {
    read(|seed| {
        let mut json = serde_json::Deserializer::from_str(text);
        let value = seed.deserialize(&mut json)?;
        json.end().map(|()| value)
    })
}

/// The same for YAML.
pub(crate) fn from_yaml(text: &[u8]) -> Result<(Value, Remarks), serde_yaml::Error> {
    let (value, duplicates) = read(|seed| seed.deserialize(serde_yaml::Deserializer::from_slice(text)))?;
    Ok((value, Remarks { duplicates, is_cut: false }))
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
        let (value, Remarks { duplicates, .. }) = from_json(text).unwrap();
        assert_eq!(value, json!({"a": 3.5, "b": {"c": [{"d": 2}], "a": null}}));
        assert_eq!(duplicates, ["duplicate field \"b.c[0].d\"", "duplicate field \"a\""]);
        let (value, Remarks { duplicates, .. }) = from_yaml(b"a: {b: x}\nc: [1, -2, true, ~]\n").unwrap();
        assert_eq!((value, duplicates.len()), (json!({"a": {"b": "x"}, "c": [1, -2, true, null]}), 0));
        assert_eq!(from_yaml(b"a: 1\na: 2\n").unwrap().1.duplicates, ["duplicate field \"a\""]);
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
        assert_eq!(from_json(text.as_bytes()).unwrap().1.duplicates.len(), 100);
    }

    #[test]
    fn what_is_no_json_is_refused_in_gos_words() {
        let error = |text: &str| from_json(text.as_bytes()).unwrap_err();
        assert_eq!(error("{\"a\": 1} x"), "invalid character 'x' after top-level value");
        assert_eq!(error(&"[".repeat(10_000)), "unexpected end of JSON input");
        assert_eq!(error(&"[".repeat(10_001)), "invalid character '[' exceeded max depth");
    }

    #[test]
    fn what_is_deeper_than_we_decode_is_cut_off() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        for (levels, is_cut) in [(1, false), (127, false), (128, true), (10_000, true)] {
            let (value, remarks) = from_json(nested(levels).as_bytes()).unwrap();
            assert_eq!((remarks.is_cut, go_json::is_cut(&value)), (is_cut, is_cut), "{levels}");
        }
    }
}
