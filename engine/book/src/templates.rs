//! The handlebars templates of `book/templates`, compiled into the binary, and the helpers that they use:
//! `{{t "points"}}` for a word, `{{n 3 "nPoints"}}` for a number with its unit, `{{span ms}}` for a time,
//! `{{md text}}` for a line with `code` and **bold**.

use std::fmt::Write;

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason};
use serde::Serialize;

use crate::page::Language;
use crate::words::Words;

/// Name and text of each template.
const TEMPLATES: [(&str, &str); 12] = [
    ("course", include_str!("../../../book/templates/course.hbs")),
    ("diagram", include_str!("../../../book/templates/diagram.hbs")),
    ("hints", include_str!("../../../book/templates/hints.hbs")),
    ("index", include_str!("../../../book/templates/index.hbs")),
    ("kubectl", include_str!("../../../book/templates/kubectl.hbs")),
    ("lab", include_str!("../../../book/templates/lab.hbs")),
    ("objectives", include_str!("../../../book/templates/objectives.hbs")),
    ("results", include_str!("../../../book/templates/results.hbs")),
    ("run", include_str!("../../../book/templates/run.hbs")),
    ("schema", include_str!("../../../book/templates/schema.hbs")),
    ("task", include_str!("../../../book/templates/task.hbs")),
    ("timeline", include_str!("../../../book/templates/timeline.hbs")),
];

/// The templates in one language.
#[derive(Debug)]
pub struct Templates {
    registry: Handlebars<'static>,
    pub words: Words,
}

impl Templates {
    pub fn new(language: Language) -> Templates {
        let words = Words(language);
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        for (name, text) in TEMPLATES {
            registry.register_template_string(name, text).expect("the templates are checked by a test");
        }
        let word = move |helper: &Helper<'_>, out: &mut dyn Output| Ok(out.write(words.get(text(helper)?))?);
        register(&mut registry, "t", word);
        register(&mut registry, "n", move |helper, out| {
            let number = helper.param(0).map(|number| number.value().to_string()).unwrap_or_default();
            let unit = helper.param(1).and_then(|unit| unit.value().as_str()).unwrap_or_default();
            Ok(out.write(&words.get(unit).replace('#', &number))?)
        });
        register(&mut registry, "md", |helper, out| Ok(out.write(&inline(text(helper)?))?));
        register(&mut registry, "span", move |helper, out| {
            let ms = helper.param(0).and_then(|ms| ms.value().as_u64()).unwrap_or(0);
            Ok(out.write(&words.span(ms))?)
        });
        Templates { registry, words }
    }

    /// Fills in a template.
    pub fn render(&self, name: &str, data: &impl Serialize) -> String {
        self.registry.render(name, data).expect("the templates fit their pages, as a test shows")
    }
}

fn register(
    registry: &mut Handlebars<'static>,
    name: &str,
    helper: impl Fn(&Helper<'_>, &mut dyn Output) -> HelperResult + Send + Sync + 'static,
) {
    let call = move |given: &Helper<'_>,
                     _: &Handlebars<'_>,
                     _: &Context,
                     _: &mut RenderContext<'_, '_>,
                     out: &mut dyn Output|
          -> HelperResult { helper(given, out) };
    registry.register_helper(name, Box::new(call));
}

fn text<'a>(helper: &'a Helper<'_>) -> Result<&'a str, RenderErrorReason> {
    let param = helper.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex("text", 0))?;
    Ok(param.value().as_str().unwrap_or_default())
}

/// A line of prose as HTML: escaped, with `code` and **bold** kept.
pub fn inline(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        let part = handlebars::html_escape(part);
        if index % 2 == 1 {
            write!(html, "<code>{part}</code>").expect("a String takes all");
            continue;
        }
        for (index, part) in part.split("**").enumerate() {
            let (open, close) = if index % 2 == 1 { ("<strong>", "</strong>") } else { ("", "") };
            write!(html, "{open}{part}{close}").expect("a String takes all");
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_code_and_loses_its_markup() {
        assert_eq!(
            inline("see `a<b` and **this** <b>"),
            "see <code>a&lt;b</code> and <strong>this</strong> &lt;b&gt;"
        );
    }

    #[test]
    fn every_word_that_a_template_asks_for_exists() {
        let asked = regex::Regex::new(r#"\{\{(?:t|n \w+) "([^"]+)"\}\}"#).unwrap();
        for (name, text) in TEMPLATES {
            for word in asked.captures_iter(text) {
                assert_ne!(
                    Words(Language::Ko).get(&word[1]),
                    &word[1],
                    "{name}.hbs: {{{{t {:?}}}}}",
                    &word[1]
                );
            }
        }
    }
}
