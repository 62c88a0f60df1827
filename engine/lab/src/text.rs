//! What is said to people, in each language of the course.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A language of the course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    En,
    Ko,
}

impl Language {
    /// English, in which the course is written, first.
    pub const ALL: [Language; 2] = [Language::En, Language::Ko];

    /// `en` or `ko`.
    pub fn code(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Ko => "ko",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A text for people, in English and in Korean. Both are required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// English.
    #[schemars(length(min = 1))]
    pub en: String,
    /// Korean.
    #[schemars(length(min = 1))]
    pub ko: String,
}

/// A text of two formats; what is named after them is a [`Text`], of which each language takes its own.
macro_rules! text {
    ($en:literal, $ko:literal $(, $part:ident)*) => {
        $crate::text::Text {
            en: { $(let $part = &$part.en;)* format!($en) },
            ko: { $(let $part = &$part.ko;)* format!($ko) },
        }
    };
}
pub(crate) use text;

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::plain(text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::plain(text)
    }
}

/// In English, for where one language is spoken.
impl From<Text> for String {
    fn from(text: Text) -> String {
        text.en
    }
}

impl Text {
    pub fn new(en: &str, ko: &str) -> Text {
        Text { en: en.to_owned(), ko: ko.to_owned() }
    }

    /// A text in the words of a tool, the same in every language.
    pub fn plain(text: impl Into<String>) -> Text {
        let en = text.into();
        Text { ko: en.clone(), en }
    }

    /// Texts one after the other, language by language.
    pub(crate) fn joined<'a>(texts: impl IntoIterator<Item = &'a Text>, separator: &str) -> Text {
        let (en, ko): (Vec<&str>, Vec<&str>) =
            texts.into_iter().map(|text| (text.en.as_str(), text.ko.as_str())).unzip();
        Text { en: en.join(separator), ko: ko.join(separator) }
    }

    pub fn for_language(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ko => &self.ko,
        }
    }
}
