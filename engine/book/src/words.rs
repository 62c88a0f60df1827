//! What the book itself says, in each language, and how it writes times.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::page::Language;

/// `{"points": {"en": "points", "ko": "점"}}`
static WORDS: LazyLock<BTreeMap<String, BTreeMap<String, String>>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../book/templates/words.json"))
        .expect("words.json is checked by a test")
});

/// The words of one language.
#[derive(Debug, Clone, Copy)]
pub struct Words(pub Language);

impl Words {
    /// The text of a key of `words.json`; the key itself where there is none.
    pub fn get(self, key: &str) -> &str {
        WORDS.get(key).and_then(|texts| texts.get(self.0.tag())).map_or(key, String::as_str)
    }

    /// A text of a schema, given on one line in English; itself where it has no other.
    pub fn of_schema(self, text: &str) -> &str {
        match self.0 {
            Language::En => text,
            Language::Ko => labkit_lab::schema::korean(text).unwrap_or(text),
        }
    }

    /// A time in a run: `0.12 s`, `40.0 s`, `5 min 40 s`.
    pub fn span(self, ms: u64) -> String {
        let (minute, second) = match self.0 {
            Language::En => (" min ", " s"),
            Language::Ko => ("분 ", "초"),
        };
        match ms {
            0..10_000 => format!("{}.{:02}{second}", ms / 1_000, ms % 1_000 / 10),
            10_000..120_000 => format!("{}.{}{second}", ms / 1_000, ms % 1_000 / 100),
            _ => format!("{}{minute}{:02}{second}", ms / 60_000, ms % 60_000 / 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_in_every_language() {
        for (key, texts) in WORDS.iter() {
            let languages: Vec<&str> = texts.keys().map(String::as_str).collect();
            assert_eq!(languages, ["en", "ko"], "{key}");
        }
    }

    #[test]
    fn times_are_as_exact_as_they_are_long() {
        let spans: Vec<String> =
            [120, 3_204, 40_050, 340_900].map(|ms| Words(Language::En).span(ms)).to_vec();
        assert_eq!(spans, ["0.12 s", "3.20 s", "40.0 s", "5 min 40 s"]);
        assert_eq!([3_204, 340_900].map(|ms| Words(Language::Ko).span(ms)), ["3.20초", "5분 40초"]);
    }
}
