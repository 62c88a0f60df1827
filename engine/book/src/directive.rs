//! Directives: lines such as `{{task survive}}`, each on its own line of a chapter, that become what the lab or
//! its run has to say there. Fenced code is left alone, except that fences marked `mermaid` become diagrams.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;
use serde_json::{Value, json};

use crate::diagram::draw;
use crate::error::DirectiveError;
use crate::kubectl::commands;
use crate::page::{CoursePage, LabPage, RunPage, TaskPage};
use crate::schema::Schema;
use crate::templates::Templates;
use crate::timeline::timeline;

/// `{{name}}` or `{{name argument}}`; mdBook's own begin with `{{#`.
static DIRECTIVE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*\{\{\s*([A-Za-z]+)(?:\s+(\S+))?\s*\}\}\s*$").expect("a constant"));

/// What the directives of a chapter can speak of.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    pub templates: &'a Templates,
    pub course: &'a CoursePage,
    /// How many folders the chapter is below the book's root: links lead up as many.
    pub depth: usize,
    /// The lab whose chapter this is.
    pub lab: Option<&'a LabPage>,
    /// By file name: `lab.schema.json`.
    pub schemas: &'a BTreeMap<String, Value>,
}

/// A chapter with its directives expanded; all of its mistakes if there are any.
pub fn expand(file: &str, content: &str, scope: Scope<'_>) -> Result<String, Vec<DirectiveError>> {
    let mut expanded = String::with_capacity(content.len());
    let mut errors = Vec::new();
    let mut fence: Option<Fence> = None;
    for (number, line) in (1..).zip(content.lines()) {
        if let Some(open) = &mut fence {
            if !open.is_closed_by(line) {
                open.push(line, &mut expanded);
                continue;
            }
            open.close(line, scope, &mut expanded);
            fence = None;
        } else if let Some(open) = Fence::opened_by(line) {
            if !open.draws {
                push_line(&mut expanded, line);
            }
            fence = Some(open);
        } else if let Some(directive) = DIRECTIVE.captures(line) {
            let argument = directive.get(2).map(|argument| argument.as_str());
            match text_of(&directive[1], argument, scope) {
                Ok(text) => push_line(&mut expanded, &format!("\n{}\n", text.trim_end())),
                Err(message) => errors.push(DirectiveError { file: file.to_owned(), line: number, message }),
            }
        } else {
            push_line(&mut expanded, line);
        }
    }
    if errors.is_empty() { Ok(expanded) } else { Err(errors) }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn text_of(name: &str, argument: Option<&str>, scope: Scope<'_>) -> Result<String, String> {
    let templates = scope.templates;
    match (name, argument) {
        // Where the labs' chapters go; `chapters` puts them there.
        ("labs", None) => Ok(String::new()),
        ("course", None) => {
            let up = "../".repeat(scope.depth);
            Ok(templates.render("course", &json!({"up": up, "course": scope.course})))
        }
        ("schema", Some(file)) => schema(file, scope),
        ("kubectl", Some(table)) => Ok(templates.render("kubectl", &commands(table, templates.words.0)?)),
        ("objectives", None) => Ok(templates.render("objectives", lab(name, scope)?)),
        ("task", Some(id)) => Ok(templates.render("task", task(id, lab(name, scope)?)?)),
        ("hints", Some(id)) => Ok(templates.render("hints", task(id, lab(name, scope)?)?)),
        ("results", None) => Ok(of_run("results", lab(name, scope)?, scope, RunPage::clone)),
        ("timeline", None) => {
            Ok(of_run("timeline", lab(name, scope)?, scope, |run| timeline(run, templates.words)))
        }
        ("diagram", None) => {
            Ok(of_run("diagram", lab(name, scope)?, scope, |run| draw(run, &templates.words)))
        }
        ("task" | "hints", None) => Err(format!("{{{{{name}}}}} needs the id of a task: {{{{{name} ID}}}}")),
        ("kubectl", None) => Err("{{kubectl}} needs a table: {{kubectl reads}}".to_owned()),
        ("schema", None) => Err("{{schema}} needs a file of schemas/".to_owned()),
        ("labs" | "course" | "objectives" | "results" | "timeline" | "diagram", Some(_)) => {
            Err(format!("{{{{{name}}}}} stands alone"))
        }
        _ => Err(format!(
            "no directive {{{{{name}}}}}; there are course, diagram, hints ID, kubectl TABLE, labs, objectives, results, schema FILE, task ID, timeline"
        )),
    }
}

fn lab<'a>(name: &str, scope: Scope<'a>) -> Result<&'a LabPage, String> {
    scope.lab.ok_or_else(|| format!("{{{{{name}}}}} belongs in the README of a lab"))
}

fn task<'a>(id: &str, lab: &'a LabPage) -> Result<&'a TaskPage, String> {
    let ids = || lab.tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>().join(", ");
    lab.task(id).ok_or_else(|| format!("{} has no task {id}; it has {}", lab.id, ids()))
}

fn schema(file: &str, scope: Scope<'_>) -> Result<String, String> {
    let files = || scope.schemas.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let schema = scope.schemas.get(file).ok_or_else(|| format!("no schema {file}; there are {}", files()))?;
    Ok(scope.templates.render("schema", &Schema::of(schema, scope.templates.words)))
}

/// A template about the lab's run, or one line that says that there is none.
fn of_run<D: Serialize>(
    template: &str,
    lab: &LabPage,
    scope: Scope<'_>,
    data: impl FnOnce(&RunPage) -> D,
) -> String {
    #[derive(Serialize)]
    struct OfRun<D> {
        lab: String,
        run: D,
    }
    match &lab.run {
        Some(run) => scope.templates.render(template, &OfRun { lab: lab.id.clone(), run: data(run) }),
        None => format!("<p class=\"absent\">{}</p>", scope.templates.words.get("notRun")),
    }
}

/// A fenced block that is open.
struct Fence {
    mark: String,
    /// A mermaid block: gathered, then emitted for the page's script to draw.
    draws: bool,
    body: String,
}

impl Fence {
    fn opened_by(line: &str) -> Option<Fence> {
        let start = line.trim_start();
        let character = start.chars().next().filter(|c| ['`', '~'].contains(c))?;
        let mark: String = start.chars().take_while(|c| *c == character).collect();
        let draws = start[mark.len()..].trim() == "mermaid";
        (mark.len() >= 3).then_some(Fence { mark, draws, body: String::new() })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let line = line.trim();
        line.starts_with(&self.mark) && line.chars().all(|c| self.mark.starts_with(c))
    }

    fn push(&mut self, line: &str, expanded: &mut String) {
        // An empty line would end the HTML block that a diagram is.
        if !(self.draws && line.trim().is_empty()) {
            push_line(if self.draws { &mut self.body } else { expanded }, line);
        }
    }

    fn close(&self, line: &str, scope: Scope<'_>, expanded: &mut String) {
        if self.draws {
            let drawing = json!({"lab": Value::Null, "run": {"mermaid": self.body}});
            push_line(expanded, &scope.templates.render("diagram", &drawing));
        } else {
            push_line(expanded, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Language;
    use crate::sample;

    #[track_caller]
    fn expanded(language: Language, content: &str) -> Result<String, Vec<DirectiveError>> {
        let templates = Templates::new(language);
        let contents = sample::contents(language);
        let lab = sample::lab(language);
        let scope = Scope {
            templates: &templates,
            course: &contents.course,
            depth: 0,
            lab: Some(&lab),
            schemas: &contents.schemas,
        };
        expand("labs/x/README.md", content, scope)
    }

    /// Compares with `testdata/<name>.html`; with `LABKIT_BLESS` set it rewrites that file instead.
    #[track_caller]
    fn check(name: &str, language: Language, content: &str) {
        let actual = expanded(language, content).unwrap();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/{name}.html"));
        if std::env::var_os("LABKIT_BLESS").is_some() {
            std::fs::write(&path, &actual).unwrap();
        }
        let golden =
            std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("no {}: bless it", path.display()));
        assert_eq!(actual, golden, "{}", path.display());
    }

    #[test]
    fn each_directive_says_what_its_template_does() {
        let directives =
            ["objectives", "task survive", "hints survive", "results", "diagram", "timeline", "course"];
        for directive in directives {
            let name = directive.split(' ').next().unwrap();
            check(name, Language::En, &format!("{{{{{directive}}}}}\n"));
        }
        check("schema", Language::En, "{{schema lab.schema.json}}\n");
    }

    #[test]
    fn korean_pages_speak_korean() {
        check("results.ko", Language::Ko, "{{results}}\n");
        check("task.ko", Language::Ko, "{{task survive}}\n");
    }

    #[test]
    fn code_is_left_alone_and_mermaid_becomes_a_diagram() {
        let code = "````md\n{{task x}}\n```mermaid\n````\n";
        assert_eq!(expanded(Language::En, code).unwrap(), code);
        let drawn = expanded(Language::En, "```mermaid\ngraph TD; A-->B\n```\n").unwrap();
        assert!(drawn.contains("<pre class=\"mermaid\">graph TD; A--&gt;B\n</pre>"), "{drawn}");
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let errors = expanded(
            Language::En,
            "{{task nope}}\n\n{{taks survive}}\n{{hints}}\n{{results x}}\n{{schema y}}\n",
        )
        .unwrap_err();
        let errors: Vec<String> = errors.iter().map(DirectiveError::to_string).collect();
        let expected = [
            "labs/x/README.md:1: kill-the-leader has no task nope; it has survive",
            "labs/x/README.md:3: no directive {{taks}}; there are course, diagram, hints ID, kubectl TABLE, labs, objectives, results, schema FILE, task ID, timeline",
            "labs/x/README.md:4: {{hints}} needs the id of a task: {{hints ID}}",
            "labs/x/README.md:5: {{results}} stands alone",
            "labs/x/README.md:6: no schema y; there are course.schema.json, lab.schema.json, submission.schema.json",
        ];
        assert_eq!(errors, expected);
    }
}
