//! `metadata.name=a,status.phase!=Running`. Counterpart: `k8s.io/apimachinery/pkg/fields`.

use std::fmt;

/// Terms that must all hold. Which fields a kind offers is the API server's affair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

/// One term: the field at `path` is, or is not, `value`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldRequirement {
    pub path: String,
    pub equals: bool,
    pub value: String,
}

impl FieldSelector {
    pub fn everything() -> FieldSelector {
        FieldSelector::default()
    }

    /// Parses `path=value`, `path==value` and `path!=value`, separated by commas; `\` escapes `,`, `=` and `\`.
    pub fn parse(text: &str) -> Result<FieldSelector, String> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let terms = terms.into_iter().filter(|term| !term.is_empty());
        let requirements = terms.map(|term| parse_term(text, term)).collect::<Result<_, _>>()?;
        Ok(FieldSelector { requirements })
    }

    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether all terms hold; `field` looks a path up, and an absent field is an empty one.
    pub fn matches(&self, field: impl Fn(&str) -> Option<String>) -> bool {
        let holds = |term: &FieldRequirement| {
            (field(&term.path).as_deref().unwrap_or_default() == term.value) == term.equals
        };
        self.requirements.iter().all(holds)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.requirements.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if term.equals { "=" } else { "!=" };
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", term.path)?;
        }
        Ok(())
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn parse_term(text: &str, term: &str) -> Result<FieldRequirement, String> {
    let split = term.char_indices().find_map(|(index, _)| {
        let operator = ["!=", "==", "="].into_iter().find(|operator| term[index..].starts_with(operator))?;
        Some((&term[..index], operator, &term[index + operator.len()..]))
    });
    let (path, operator, value) =
        split.ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{term}'"))?;
    Ok(FieldRequirement { path: path.to_owned(), equals: operator != "!=", value: unescape(value)? })
}

fn unescape(value: &str) -> Result<String, String> {
    let invalid = |sequence: String| format!("invalid field selector: invalid escape sequence: {sequence}");
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => return Err(invalid(format!("\\{other}"))),
                None => return Err(invalid("\\".to_owned())),
            },
            ',' | '=' => {
                let code = u32::from(letter);
                return Err(format!("invalid field selector: unescaped character in value: {code}"));
            }
            plain_letter => plain.push(plain_letter),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let shown = FieldSelector::parse(text).map(|selector| selector.to_string());
        assert_eq!(shown, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn field_selectors_are_parsed_and_shown_sorted() {
        check("", Ok(""));
        check("metadata.name=a", Ok("metadata.name=a"));
        check("status.phase!=Running,metadata.name==a", Ok("metadata.name=a,status.phase!=Running"));
        check("a=x\\,y\\=z\\\\", Ok("a=x\\,y\\=z\\\\"));
        check(",,a=", Ok("a="));
    }

    #[test]
    fn what_is_no_field_selector_is_refused() {
        check("a", Err("invalid selector: 'a'; can't understand 'a'"));
        check("a=b=c", Err("invalid field selector: unescaped character in value: 61"));
        check("a=\\b", Err("invalid field selector: invalid escape sequence: \\b"));
        check("a=\\", Err("invalid field selector: invalid escape sequence: \\"));
    }

    #[test]
    fn an_absent_field_is_an_empty_one() {
        let matches = |text: &str| {
            let field = |path: &str| (path == "metadata.name").then(|| "web".to_owned());
            FieldSelector::parse(text).unwrap().matches(field)
        };
        assert!(matches(""));
        assert!(matches("metadata.name=web"));
        assert!(!matches("metadata.name!=web"));
        assert!(matches("metadata.name=web,spec.nodeName="));
        assert!(!matches("metadata.name=web,spec.nodeName=n1"));
    }
}
