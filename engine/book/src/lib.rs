//! The course as a book: mdBook with our preprocessor, in English and Korean. Results, diagrams and timelines
//! come from graded runs, never from hand.
//!
//! - `page`: what the templates see, in one language; only `from_lab` knows the lab engine's types.
//! - `directive`: `{{task ID}}` and its like become text, through the `templates` of `book/templates`.
//! - `story`, `diagram`, `timeline`: a run, told in few moments, as a sequence diagram and as a table.
//! - `schema`: the reference of lab files, from their JSON Schemas.
//! - `chapters`: the book of one language; `site` writes them all; `preprocess` serves plain mdBook.
//!
//! Invariants: the built book needs no network. The same reports give the same pages. Files are written by
//! `site` alone.

mod chapters;
mod diagram;
mod directive;
mod error;
mod from_lab;
mod kubectl;
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

use std::collections::BTreeMap;
use std::path::PathBuf;

use labkit_lab::{LoadedCourse, Report};

pub use error::{BookError, DirectiveError};
pub use page::Language;
pub use preprocess::{root, supports};

/// What is built, from what, and where to.
#[derive(Debug)]
pub struct BuildOptions<'a> {
    /// The book's folder, where `book.toml` is.
    pub root: PathBuf,
    /// Where the built book goes: a folder that is absent, empty, or an earlier book.
    pub out: PathBuf,
    pub course: &'a LoadedCourse,
    /// The reports of the reference solutions, by lab name. A lab without one says so on its page.
    pub reports: BTreeMap<String, Report>,
}

/// A book that stands on disk.
#[derive(Debug)]
pub struct BuiltBook {
    /// The page that leads to every language.
    pub index: PathBuf,
}

/// Builds the book in every language. It is written beside `out` and moved there when it is whole.
pub fn build(options: BuildOptions<'_>) -> Result<BuiltBook, BookError> {
    let contents = |language| from_lab::contents(options.course, &options.reports, language);
    site::build(&options.root, &options.out, Language::ALL.into_iter().map(contents).collect())
}

/// A run as the text of a mermaid sequence diagram.
pub fn diagram_of_run(report: &Report, language: Language) -> String {
    diagram::draw(&from_lab::run_page(report, language), &words::Words(language)).mermaid
}

/// A run as a page of its own: its diagram, and its timeline as a table that can be filtered. `mermaid` is the script
/// that draws; it becomes part of the page, which so needs no other file.
pub fn page_of_run(report: &Report, language: Language, mermaid: &str) -> String {
    let run = from_lab::run_page(report, language);
    let templates = templates::Templates::new(language);
    let timeline = timeline::timeline(&run, templates.words);
    let diagram = diagram::draw(&run, &templates.words).mermaid;
    let title = report.title.for_language(from_lab::of_lab(language));
    let page =
        serde_json::json!({"language": language.tag(), "title": title, "run": timeline, "diagram": diagram});
    // Not as data of the template: three megabytes that need no escaping.
    templates.render("run", &page).replacen("<!-- mermaid -->", mermaid, 1)
}

/// Answers mdBook, which has sent a book to `labkit book preprocess`: the same book, completed, as JSON.
pub fn preprocess(
    input: &str,
    course: &LoadedCourse,
    reports: &BTreeMap<String, Report>,
) -> Result<String, BookError> {
    preprocess::answer(input, |language| from_lab::contents(course, reports, language))
}
