//! mdBook's preprocessor protocol, so that plain `mdbook build book` works with `labkit` on the PATH: mdBook writes
//! `[context, book]` as JSON to the command's stdin and reads the book back from its stdout.

use std::path::PathBuf;

use mdbook_preprocessor::parse_input;

use crate::chapters::{Contents, complete};
use crate::error::BookError;
use crate::page::Language;

/// Whether the preprocessor serves a renderer: `labkit book preprocess supports html` exits with 0.
pub fn supports(renderer: &str) -> bool {
    renderer == "html"
}

/// The book's root folder, from what mdBook sent.
pub fn root(input: &str) -> Result<PathBuf, BookError> {
    let (context, _) = parse_input(input.as_bytes()).map_err(BookError::Protocol)?;
    Ok(context.root)
}

/// The answer to what mdBook sent. `contents` is asked for the language that book.toml names.
pub(crate) fn answer(input: &str, contents: impl FnOnce(Language) -> Contents) -> Result<String, BookError> {
    let (context, book) = parse_input(input.as_bytes()).map_err(BookError::Protocol)?;
    let language = Language::of_tag(context.config.book.language.as_deref().unwrap_or("en"));
    let book = complete(book, &contents(language))?;
    serde_json::to_string(&book).map_err(|error| BookError::Protocol(error.into()))
}
