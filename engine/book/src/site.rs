//! The built book on disk: a tree per language, what they share, and the page that chooses between them. It is
//! written beside its place and then moved there, so that no half-written book is ever seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mdbook_driver::MDBook;
use mdbook_driver::config::Config;
use mdbook_preprocessor::book::Book;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use serde_json::json;

use crate::BuiltBook;
use crate::chapters::{Contents, complete};
use crate::error::BookError;
use crate::page::Language;
use crate::templates::Templates;

/// The preprocessor's name, as in `[preprocessor.labkit]` of book.toml.
const PREPROCESSOR: &str = "labkit";

/// Drawn diagrams need it on some pages only: one copy, which the theme's script loads there.
const MERMAID: &str = "theme/mermaid.min.js";

/// Lies in every book of ours: only such a folder is ever replaced.
const MARKER: &str = ".labkit-book";

/// Builds the book at `root` into `out`.
pub(crate) fn build(root: &Path, out: &Path, languages: Vec<Contents>) -> Result<BuiltBook, BookError> {
    let out = std::path::absolute(out).map_err(BookError::files("find", out))?;
    refuse_foreign(&out)?;
    let folder = out.parent().unwrap_or(&out).to_owned();
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (fresh, old) = (folder.join(format!(".{name}.new")), folder.join(format!(".{name}.old")));
    remove(&fresh)?;
    remove(&old)?;
    fs::create_dir_all(fresh.join("assets")).map_err(BookError::files("make", &fresh))?;
    let written = write(root, &fresh, languages);
    if written.is_err() {
        remove(&fresh)?;
    }
    written?;
    if out.exists() {
        fs::rename(&out, &old).map_err(BookError::files("replace", &out))?;
    }
    fs::rename(&fresh, &out).map_err(BookError::files("write", &out))?;
    remove(&old)?;
    Ok(BuiltBook { index: out.join("index.html") })
}

fn write(root: &Path, fresh: &Path, languages: Vec<Contents>) -> Result<(), BookError> {
    for contents in languages {
        build_language(root, fresh, contents)?;
    }
    let put = |file: &str, bytes: &[u8]| {
        let path = fresh.join(file);
        fs::write(&path, bytes).map_err(BookError::files("write", &path))
    };
    let mermaid = root.join(MERMAID);
    put("assets/mermaid.min.js", &fs::read(&mermaid).map_err(BookError::files("read", &mermaid))?)?;
    let languages: Vec<_> = Language::ALL
        .iter()
        .map(|language| json!({"tag": language.tag(), "name": language.name()}))
        .collect();
    put(
        "index.html",
        Templates::new(Language::En).render("index", &json!({"languages": languages})).as_bytes(),
    )?;
    put(MARKER, b"")
}

fn build_language(root: &Path, fresh: &Path, contents: Contents) -> Result<(), BookError> {
    let config = config(root, fresh, &contents).map_err(BookError::MdBook)?;
    let mut book = MDBook::load_with_config(root, config).map_err(BookError::MdBook)?;
    // Takes the place of the command that book.toml names.
    book.with_preprocessor(InProcess(Arc::new(contents)));
    book.build().map_err(|error| match error.downcast::<BookError>() {
        Ok(ours) => ours,
        Err(error) => BookError::MdBook(error),
    })
}

fn config(root: &Path, fresh: &Path, contents: &Contents) -> anyhow::Result<Config> {
    let tag = contents.language.tag();
    let mut config = Config::from_disk(root.join("book.toml"))?;
    config.book.language = Some(tag.to_owned());
    config.book.src = ["src", tag].iter().collect();
    config.book.title = Some(contents.course.title.clone());
    config.build.build_dir = fresh.join(tag);
    let mut scripts: Vec<PathBuf> = config.get("output.html.additional-js")?.unwrap_or_default();
    scripts.retain(|script| script != Path::new(MERMAID));
    config.set("output.html.additional-js", scripts)?;
    Ok(config)
}

/// Our preprocessor, called by mdBook as a library.
struct InProcess(Arc<Contents>);

impl Preprocessor for InProcess {
    fn name(&self) -> &str {
        PREPROCESSOR
    }

    fn run(&self, _: &PreprocessorContext, book: Book) -> anyhow::Result<Book> {
        Ok(complete(book, &self.0)?)
    }
}

/// A folder that holds something else than a book of ours stays as it is.
fn refuse_foreign(out: &Path) -> Result<(), BookError> {
    let is_empty = fs::read_dir(out).map_or(!out.exists(), |mut entries| entries.next().is_none());
    if is_empty || out.join(MARKER).exists() { Ok(()) } else { Err(BookError::NotABook(out.to_owned())) }
}

fn remove(folder: &Path) -> Result<(), BookError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(BookError::files("remove", folder))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    /// The book's own folder, as it is in the repository.
    fn book() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book")
    }

    fn built(out: &Path) -> Result<BuiltBook, BookError> {
        build(&book(), out, Language::ALL.into_iter().map(sample::contents).collect())
    }

    /// Every file of a folder, by its path from there.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path)
                } else {
                    found.push(path.strip_prefix(folder).unwrap().to_owned())
                }
            }
        }
        found.sort();
        found
    }

    fn pages(folder: &Path) -> Vec<PathBuf> {
        files(folder)
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "html"))
            .collect()
    }

    #[test]
    fn the_built_book_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("book");
        let index = built(&out).unwrap().index;
        assert!(index.is_file());
        assert_eq!(pages(&out.join("en")), pages(&out.join("ko")), "both languages have the same pages");
        assert!(out.join("ko/labs/session-2/kill-the-leader/index.html").is_file());
        needs_no_network(&out);
        every_link_leads_somewhere(&out);
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["book"], "nothing is left beside the book");
    }

    #[track_caller]
    fn needs_no_network(out: &Path) {
        let loads = regex::Regex::new(r#"<(?:script|link|img|iframe|source)[^>]*(?:src|href)="(?:https?:)?//[^"]*"|url\(['"]?(?:https?:)?//|@import"#).unwrap();
        for path in files(out) {
            let is_text = path
                .extension()
                .is_some_and(|extension| ["html", "css"].iter().any(|text| extension == *text));
            if is_text {
                let text = fs::read_to_string(out.join(&path)).unwrap();
                assert_eq!(loads.find(&text).map(|found| found.as_str()), None, "{}", path.display());
            }
        }
    }

    #[track_caller]
    fn every_link_leads_somewhere(out: &Path) {
        let link = regex::Regex::new(r#"(?:href|src)="([^"]*)""#).unwrap();
        let id = regex::Regex::new(r#"\bid="?([^"\s>]+)"#).unwrap();
        let mut broken = Vec::new();
        for path in pages(out) {
            let text = fs::read_to_string(out.join(&path)).unwrap();
            for found in link.captures_iter(&text) {
                let target = &found[1];
                if target.contains("://") || target.starts_with("data:") || target.starts_with("javascript:")
                {
                    continue;
                }
                let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
                let file = if file.is_empty() {
                    out.join(&path)
                } else {
                    out.join(&path).parent().unwrap().join(file)
                };
                let there = fs::read_to_string(&file).ok().filter(|_| !fragment.is_empty());
                let has_id = there.is_none_or(|text| id.captures_iter(&text).any(|id| id[1] == *fragment));
                if !file.exists() || !has_id {
                    broken.push(format!("{} -> {target}", path.display()));
                }
            }
        }
        assert_eq!(broken, Vec::<String>::new());
    }

    #[test]
    fn a_rebuilt_book_takes_the_place_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("book");
        built(&out).unwrap();
        fs::write(out.join("en/stale.html"), "old").unwrap();
        built(&out).unwrap();
        assert!(!out.join("en/stale.html").exists());
    }

    #[test]
    fn a_folder_that_is_no_book_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
        assert!(matches!(built(folder.path()), Err(BookError::NotABook(_))));
        assert!(folder.path().join("thesis.tex").exists());
    }

    #[test]
    fn a_book_that_cannot_be_built_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut contents = sample::contents(Language::En);
        contents.course.sessions[0].labs[0].prose = "{{task nope}}".to_owned();
        let error = build(&book(), &folder.path().join("book"), vec![contents]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "labs/session-2/kill-the-leader/README.md:1: kill-the-leader has no task nope; it has survive"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
