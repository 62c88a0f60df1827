//! `${...}` in texts: variants, which are known before a run, and CEL over what the run shows.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::text::{Text, text};

/// A text cut at its templates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Plain(String),
    /// What stands between `${` and `}`.
    Expression(String),
}

/// Cuts a text; an opening `${` without its end is an error.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, Text> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if start > 0 {
            pieces.push(Piece::Plain(rest[..start].to_owned()));
        }
        let inner = &rest[start + 2..];
        let end = closing(inner).ok_or_else(|| {
            text!("`{text}`: a `${{` without its `}}`", "`{text}`: `${{` 를 닫는 `}}` 가 없습니다")
        })?;
        pieces.push(Piece::Expression(inner[..end].trim().to_owned()));
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest.to_owned()));
    }
    Ok(pieces)
}

/// The `}` that ends a template; those within strings and inner braces do not.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(index),
            (None, '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether every template of a text is well formed CEL.
pub(crate) fn check(text: &str) -> Result<(), Text> {
    for piece in pieces(text)? {
        if let Piece::Expression(expression) = piece {
            labkit_expr::Environment::new().compile(&expression).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// The expressions in every string of a value, with the pointer to the string.
pub(crate) fn expressions(value: &Value, pointer: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => {
            for piece in pieces(text).unwrap_or_default() {
                if let Piece::Expression(expression) = piece {
                    found.push((pointer.to_owned(), expression));
                }
            }
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| expressions(item, &format!("{pointer}/{index}"), found));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            expressions(field, &format!("{pointer}/{name}"), found);
        }),
        _ => {}
    }
}

/// Whether a template may stand anywhere in a value.
pub(crate) fn is_in(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(is_in),
        Value::Object(fields) => fields.values().any(is_in),
        _ => false,
    }
}

/// Puts known values in the place of templates that are just their name. A text that is nothing but one
/// template becomes the value itself, so that numbers stay numbers; other templates stay as they are.
pub(crate) fn substitute(value: &mut Value, known: &BTreeMap<String, Value>) {
    match value {
        Value::String(text) if text.contains("${") => {
            let Ok(pieces) = pieces(text) else { return };
            if let [Piece::Expression(name)] = pieces.as_slice()
                && let Some(known) = known.get(name)
            {
                *value = known.clone();
                return;
            }
            *text = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Plain(plain) => plain.clone(),
                    Piece::Expression(name) => match known.get(name) {
                        Some(known) => plain_text(known),
                        None => format!("${{{name}}}"),
                    },
                })
                .collect();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, known)),
        Value::Object(fields) => fields.values_mut().for_each(|field| substitute(field, known)),
        _ => {}
    }
}

/// A value as it reads within a text: strings without quotes.
pub(crate) fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_end_at_their_own_brace() {
        let expression = |text: &str| Piece::Expression(text.to_owned());
        assert_eq!(
            pieces("a${x}b").unwrap(),
            [Piece::Plain("a".into()), expression("x"), Piece::Plain("b".into())]
        );
        assert_eq!(pieces("${ {'}': 1}['}'] }").unwrap(), [expression("{'}': 1}['}']")]);
        assert!(pieces("${x").is_err());
    }

    #[test]
    fn known_names_are_replaced_and_others_kept() {
        let known = BTreeMap::from([("killAt".to_owned(), json!("3s")), ("n".to_owned(), json!(3))]);
        let mut value =
            json!({"at": "${killAt}", "replicas": "${n}", "text": "x-${n}-${faults.crash.target}"});
        substitute(&mut value, &known);
        assert_eq!(value, json!({"at": "3s", "replicas": 3, "text": "x-3-${faults.crash.target}"}));
    }
}
