//! What can go wrong with a book that its authors can meet.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A book that could not be built.
#[derive(Debug, Error)]
pub enum BookError {
    /// Every mistake of every chapter, one a line.
    #[error("{}", lines(.0))]
    Directives(Vec<DirectiveError>),
    #[error("{} is no book of labkit's; give an empty or a new folder", .0.display())]
    NotABook(PathBuf),
    #[error("cannot {attempt} {}: {error}", path.display())]
    Files { attempt: &'static str, path: PathBuf, error: std::io::Error },
    #[error("mdBook: {0:#}")]
    MdBook(anyhow::Error),
    #[error("this is not what mdBook sends a preprocessor: {0:#}")]
    Protocol(anyhow::Error),
}

/// A directive that cannot be expanded, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectiveError {
    /// The chapter's file: `labs/2-etcd/kill-the-leader/README.md`.
    pub file: String,
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for DirectiveError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl BookError {
    pub(crate) fn files(attempt: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> BookError {
        let path = path.to_owned();
        move |error| BookError::Files { attempt, path, error }
    }
}

fn lines(errors: &[DirectiveError]) -> String {
    errors.iter().map(DirectiveError::to_string).collect::<Vec<_>>().join("\n")
}
