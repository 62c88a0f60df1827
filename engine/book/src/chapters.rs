//! From authored chapters to the whole book of one language: directives expanded, the labs' chapters put where
//! `{{labs}}` stands, and on every page the way to the same page in the other language.

use std::collections::BTreeMap;
use std::path::Path;

use mdbook_preprocessor::book::{Book, BookItem, Chapter};
use serde_json::Value;

use crate::directive::{Scope, expand};
use crate::error::{BookError, DirectiveError};
use crate::page::{CoursePage, LabPage, Language};
use crate::templates::Templates;

/// All that the book of one language is made from, besides its authored chapters.
#[derive(Debug)]
pub struct Contents {
    pub language: Language,
    pub course: CoursePage,
    /// By file name: `lab.schema.json`.
    pub schemas: BTreeMap<String, Value>,
}

/// Completes a book that mdBook has read. Both ways of building come through here.
pub fn complete(mut book: Book, contents: &Contents) -> Result<Book, BookError> {
    let templates = Templates::new(contents.language);
    let (course, schemas) = (&contents.course, &contents.schemas);
    let scope = Scope { templates: &templates, course, depth: 0, lab: None, schemas };
    let mut errors: Vec<DirectiveError> = Vec::new();
    let labs_go_after = book.items.iter().position(has_labs);
    book.for_each_chapter_mut(|chapter| {
        let file = chapter.source_path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        let file = format!("src/{}/{file}", contents.language.tag());
        let depth = chapter.path.as_deref().map_or(0, |path| path.components().count() - 1);
        match expand(&file, &chapter.content, Scope { depth, ..scope }) {
            Ok(content) => chapter.content = content,
            Err(found) => errors.extend(found),
        }
    });
    if let Some(index) = labs_go_after {
        let mut labs: Vec<BookItem> = Vec::new();
        for session in &contents.course.sessions {
            labs.push(BookItem::PartTitle(session.title.clone()));
            for lab in &session.labs {
                match lab_chapter(lab, contents.language, Scope { depth: 3, lab: Some(lab), ..scope }) {
                    Ok(chapter) => labs.push(chapter.into()),
                    Err(found) => errors.extend(found),
                }
            }
        }
        book.items.splice(index + 1..index + 1, labs);
    }
    book.for_each_chapter_mut(|chapter| {
        if let Some(path) = &chapter.path {
            chapter.content.insert_str(0, &language_switch(path, contents.language));
        }
    });
    if errors.is_empty() { Ok(book) } else { Err(BookError::Directives(errors)) }
}

fn has_labs(item: &BookItem) -> bool {
    matches!(item, BookItem::Chapter(chapter) if chapter.content.lines().any(|line| line.trim() == "{{labs}}"))
}

fn lab_chapter(lab: &LabPage, language: Language, scope: Scope<'_>) -> Result<Chapter, Vec<DirectiveError>> {
    let readme = match language {
        Language::En => "README.md",
        Language::Ko => "README.ko.md",
    };
    let prose = expand(&format!("labs/{}/{readme}", lab.folder), &lab.prose, scope)?;
    let head = scope.templates.render("lab", lab);
    let content = format!("# {}\n\n{head}\n\n{}", lab.title, link_chapters(without_title(&prose)));
    let mut chapter = Chapter::new(&lab.title, content, lab.chapter(), Vec::new());
    chapter.source_path = None;
    Ok(chapter)
}

/// The chapter's title comes from lab.yaml; a README may repeat it for those who read it elsewhere.
fn without_title(prose: &str) -> &str {
    let prose = prose.trim_start();
    match prose.strip_prefix("# ") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => prose,
    }
}

/// Links between READMEs become links between chapters.
fn link_chapters(prose: &str) -> String {
    prose.replace("/README.ko.md)", "/index.md)").replace("/README.md)", "/index.md)")
}

/// A link to the same page in each other language. The script of the theme moves it into the menu bar.
fn language_switch(path: &Path, language: Language) -> String {
    let page = path.with_extension("html");
    let up = "../".repeat(path.components().count());
    let links = Language::ALL.into_iter().filter(|other| *other != language).map(|other| {
        let (tag, name) = (other.tag(), other.name());
        format!(r#"<a href="{up}{tag}/{}" lang="{tag}" hreflang="{tag}">{name}</a>"#, page.display())
    });
    format!("<nav class=\"language-switch\">{}</nav>\n\n", links.collect::<Vec<_>>().join(" "))
}
