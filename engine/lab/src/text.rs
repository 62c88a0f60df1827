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

impl Text {
    pub fn new(en: &str, ko: &str) -> Text {
        Text { en: en.to_owned(), ko: ko.to_owned() }
    }

    pub fn for_language(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ko => &self.ko,
        }
    }
}
