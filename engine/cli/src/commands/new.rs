//! `labkit new lab`: a lab that proves itself already, to be changed into one's own.

use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};
use serde_json::json;

use crate::arguments::NewLabArguments;
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Ink, Screen, say};

static TEMPLATE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/new-lab");

/// Longer names make no file names, labels or links.
const NAME_MAX: usize = 63;

pub fn lab(screen: &Screen, arguments: &NewLabArguments) -> Outcome {
    let name = &arguments.new_name;
    if !is_name(name) {
        let message = say!(
            screen.language,
            "`{name}` is no name of a lab",
            "`{name}` 은(는) 실습 이름이 될 수 없습니다"
        );
        let suggested = suggestion(name);
        let next = say!(
            screen.language,
            "names are of lower case letters, digits and dashes: labkit new lab {suggested}",
            "이름은 소문자, 숫자, 줄표로 씁니다: labkit new lab {suggested}"
        );
        return Err(Failure::usage(message).next(next));
    }
    let parent = arguments.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let folder = parent.join(name);
    if folder.symlink_metadata().is_ok() {
        let shown = folder.display();
        let message = say!(screen.language, "{shown} is there already", "{shown} 이(가) 이미 있습니다");
        let next = say!(
            screen.language,
            "choose another name, or another folder with --dir",
            "다른 이름을 고르거나 --dir 로 다른 폴더를 주세요"
        );
        return Err(Failure::usage(message).next(next));
    }
    let mut written = Vec::new();
    let mut files = Vec::new();
    collect(&TEMPLATE, &mut files);
    for (path, text) in files {
        let target = folder.join(path);
        let text = filled_in(text, name, &target);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(target.parent().unwrap_or(&folder))?;
            fs::write(&target, text)
        };
        write().map_err(|error| Failure::file("write", &target, &error))?;
        written.push(target);
    }
    if screen.json {
        screen.print_json(&json!({ "lab": name, "folder": folder, "files": written }));
        return Ok(Exit::Passed);
    }
    say_what_next(screen, name, &folder, &written);
    Ok(Exit::Passed)
}

fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends_well = !name.starts_with('-') && !name.ends_with('-');
    !name.is_empty() && name.len() <= NAME_MAX && ends_well && name.chars().all(inner)
}

/// The name that was perhaps meant.
fn suggestion(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    let name = name.get(..NAME_MAX).unwrap_or(&name).trim_end_matches('-');
    if name.is_empty() { "my-lab".to_owned() } else { name.to_owned() }
}

fn collect(folder: &'static Dir<'static>, files: &mut Vec<(&'static Path, &'static str)>) {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(folder) => collect(folder, files),
            DirEntry::File(file) => {
                files.push((file.path(), file.contents_utf8().expect("the template is text")));
            }
        }
    }
}

/// The template's text with the lab's name, and the place of the schema for editors.
fn filled_in(text: &str, name: &str, target: &Path) -> String {
    let lines = text.lines().filter_map(|line| {
        let kind = line.strip_prefix("@@SCHEMA:").and_then(|line| line.strip_suffix("@@"));
        match kind {
            Some(kind) => schema(kind, target),
            None => Some(line.replace("@@NAME@@", name)),
        }
    });
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

/// The line that tells an editor the schema: the nearest schemas/ upwards, as seen from the file.
pub fn schema(kind: &str, target: &Path) -> Option<String> {
    let file = format!("schemas/{kind}.schema.json");
    let whole = std::path::absolute(target).ok()?;
    let folders = whole.parent()?.ancestors().enumerate();
    let (up, _) = folders.into_iter().find(|(_, folder)| folder.join(&file).is_file())?;
    Some(format!("# yaml-language-server: $schema={}{file}", "../".repeat(up)))
}

fn say_what_next(screen: &Screen, name: &str, folder: &Path, written: &[PathBuf]) {
    let language = screen.language;
    let (shown, count) = (folder.display(), written.len());
    screen.print_prose(
        "",
        &say!(
            language,
            "Wrote {shown}: {count} files of a lab that works.",
            "{shown} 작성: 동작하는 실습의 파일 {count}개."
        ),
    );
    for path in written {
        screen.print(&screen.paint(Ink::Dim, &format!("  {}", path.display())));
    }
    screen.print("");
    let steps = [
        (
            format!("labkit lint {shown}"),
            say!(language, "proves it: nothing to complain of", "증명: 불평할 것이 없습니다"),
        ),
        (
            format!("labkit start ./{}", shown.to_string().trim_start_matches("./")),
            say!(language, "plays it", "해 보기"),
        ),
        (format!("labkit run {shown}/ --solution"), say!(language, "grades its solution", "모범 답안 채점")),
    ];
    for (command, why) in steps {
        screen.print(&format!("  {}", screen.paint(Ink::Cyan, &command)));
        screen.print_prose("      ", &why);
    }
    screen.print("");
    screen.print_prose(
        "",
        &say!(
            language,
            "To make it part of a course, name its folder in course.yaml under a session's `labs:`. labkit schema writes the schemas that make your editor complete {name}/lab.yaml.",
            "과정에 넣으려면 course.yaml 의 세션 `labs:` 에 폴더 이름을 적으세요. labkit schema 가 쓰는 스키마로 편집기가 {name}/lab.yaml 을 자동 완성합니다."
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_labs_may_have() {
        assert!(is_name("lease-expires") && is_name("a1"));
        for bad in ["", "-a", "a-", "Lease", "a_b", "../x", "가"] {
            assert!(!is_name(bad), "{bad}");
        }
        assert_eq!(suggestion("Lease Expires!"), "lease-expires");
        assert_eq!(suggestion("../x"), "x");
        assert_eq!(suggestion("가"), "my-lab");
    }

    #[test]
    fn the_schema_is_the_nearest_upwards() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("schemas")).unwrap();
        fs::write(folder.path().join("schemas/lab.schema.json"), "{}").unwrap();
        let file = folder.path().join("labs/session-1/mine/lab.yaml");
        let text = filled_in("@@SCHEMA:lab@@\nname: @@NAME@@\n", "mine", &file);
        assert_eq!(text, "# yaml-language-server: $schema=../../../schemas/lab.schema.json\nname: mine\n");
        let text = filled_in("@@SCHEMA:submission@@\nlab: @@NAME@@\n", "mine", &file);
        assert_eq!(text, "lab: mine\n", "without a schema there is no line");
    }
}
