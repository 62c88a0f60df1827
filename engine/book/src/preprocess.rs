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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mdbook_driver::MDBook;
    use mdbook_preprocessor::PreprocessorContext;

    use super::*;
    use crate::sample;

    #[test]
    fn mdbook_gets_the_same_book_that_we_build_ourselves() {
        let book = MDBook::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book")).unwrap();
        let context = PreprocessorContext::new(book.root.clone(), book.config.clone(), "html".to_owned());
        let sent = serde_json::to_string(&(context, &book.book)).unwrap();
        let answered = answer(&sent, sample::contents).unwrap();
        let completed = complete(book.book, &sample::contents(Language::En)).unwrap();
        assert_eq!(answered, serde_json::to_string(&completed).unwrap());
        assert!(answered.contains("labkit start kill-the-leader"));
        assert_eq!(root(&sent).unwrap(), book.root);
    }

    #[test]
    fn what_mdbook_did_not_send_is_refused() {
        assert!(matches!(answer("{}", sample::contents), Err(BookError::Protocol(_))));
    }
}
