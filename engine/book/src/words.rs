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
}

/// A time in a run: `0.12 s`, `40.0 s`, `5 min 40 s`.
pub fn span(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10),
        10_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
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
        let spans: Vec<String> = [120, 3_204, 40_050, 340_900].into_iter().map(span).collect();
        assert_eq!(spans, ["0.12 s", "3.20 s", "40.0 s", "5 min 40 s"]);
    }
}
