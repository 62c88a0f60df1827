//! The course as a book: mdBook with our preprocessor, in English and Korean. Results, diagrams and timelines
//! come from graded runs, never from hand.
//!
//! - [`page`]: what the templates see, in one language; only `from_lab` knows the lab engine's types.
//! - [`directive`]: `{{task ID}}` and its like become text, through the [`templates`] of `book/templates`.
//! - [`story`], [`diagram`], [`timeline`]: a run, told in few moments, as a sequence diagram and as a table.
//! - [`schema`]: the reference of lab files, from their JSON Schemas.
//! - [`chapters`]: the book of one language; [`site`] writes them all; [`preprocess`] serves plain mdBook.
//!
//! Invariants: the built book needs no network. The same reports give the same pages. Files are written by
//! [`site`] alone.

mod chapters;
mod diagram;
mod directive;
mod error;
mod page;
mod preprocess;
#[cfg(test)]
mod sample;
mod schema;
mod site;
mod story;
mod templates;
mod timeline;
mod words;

use std::path::PathBuf;

pub use error::{BookError, DirectiveError};
pub use preprocess::{root, supports};

/// A book that stands on disk.
#[derive(Debug)]
pub struct BuiltBook {
    /// The page that leads to every language.
    pub index: PathBuf,
}
