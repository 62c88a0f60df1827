//! `labkit pack --student`: the course as students get it.

use std::fs;
use std::path::{Path, PathBuf};

use labkit_lab::{Files, LabFolder, schema_text, schemas};
use serde_json::json;

use crate::arguments::{Global, PackArguments};
use crate::course::{self, Open};
use crate::failure::{Exit, Failure, Outcome};
use crate::files::{EmbeddedFiles, FolderFiles};
use crate::screen::{Screen, say};

/// What students do not get.
const KEPT_BACK: [&str; 2] = ["solution", "wrong"];

pub fn run(screen: &Screen, global: &Global, arguments: &PackArguments) -> Outcome {
    let open = course::open(screen, global)?;
    let chosen = chosen(screen, &open, &arguments.labs)?;
    let out = &arguments.out;
    if out.symlink_metadata().is_ok() {
        let shown = out.display();
        let message = say!(screen.language, "{shown} is there already", "{shown} 이(가) 이미 있습니다");
        let next = say!(screen.language, "give another folder with --out", "--out 으로 다른 폴더를 주세요");
        return Err(Failure::usage(message).next(next));
    }
    let files: Box<dyn Files> = match course::folder(global)? {
        Some(folder) => Box::new(FolderFiles::new(&folder)),
        None => Box::new(EmbeddedFiles::course()),
    };
    let mut texts = vec![(PathBuf::from("labs/course.yaml"), course_of(&open, &chosen))];
    for lab in &chosen {
        collect(files.as_ref(), &lab.dir, 0, &mut texts)?;
    }
    texts.extend(
        schemas()
            .into_iter()
            .map(|(name, schema)| (Path::new("schemas").join(name), schema_text(&schema).into_bytes())),
    );
    for (path, bytes) in &texts {
        put(&out.join(path), bytes)?;
    }
    let names: Vec<&str> = chosen.iter().map(|lab| lab.name()).collect();
    if screen.json {
        screen.print_json(&json!({"out": out, "labs": names, "files": texts.len()}));
        return Ok(Exit::Passed);
    }
    let (shown, count, first) = (out.display(), names.len(), names.first().copied().unwrap_or_default());
    screen.print_prose(
        "",
        &say!(
            screen.language,
            "Wrote {shown}: {count} labs, without solutions. Students play them there: cd {shown}, then labkit start {first}.",
            "{shown} 작성: 모범 답안을 뺀 실습 {count}개. 학생은 그 안에서 실습합니다: cd {shown} 한 다음 labkit start {first}."
        ),
    );
    Ok(Exit::Passed)
}

/// The labs that are named, in the course's order; all without a name.
fn chosen<'a>(screen: &Screen, open: &'a Open, wanted: &[String]) -> Result<Vec<&'a LabFolder>, Failure> {
    for word in wanted {
        open.lab(screen, word)?;
    }
    let is_chosen = |number: &str, lab: &LabFolder| {
        wanted.is_empty() || wanted.iter().any(|word| word == number || word == lab.name())
    };
    Ok(open.labs().filter(|(number, lab)| is_chosen(number, lab)).map(|(_, lab)| lab).collect())
}

/// course.yaml with these labs alone.
fn course_of(open: &Open, chosen: &[&LabFolder]) -> Vec<u8> {
    let mut course = open.loaded.course.clone();
    for session in &mut course.sessions {
        session.labs.retain(|path| chosen.iter().any(|lab| lab.dir == Path::new(path)));
    }
    course.sessions.retain(|session| !session.labs.is_empty());
    let text = serde_yaml::to_string(&course).expect("a course is plain data");
    format!("# yaml-language-server: $schema=../schemas/course.schema.json\n{text}").into_bytes()
}

/// The files of a lab's folder, but for those that are kept back.
fn collect(
    files: &dyn Files,
    folder: &Path,
    depth: usize,
    texts: &mut Vec<(PathBuf, Vec<u8>)>,
) -> Result<(), Failure> {
    for name in files.list(&folder.to_string_lossy()) {
        let path = folder.join(&name);
        if depth == 0 && KEPT_BACK.contains(&name.as_str()) {
            continue;
        }
        let inner = path.to_string_lossy();
        match files.read(&inner) {
            Ok(bytes) => texts.push((Path::new("labs").join(&path), bytes)),
            Err(_) if !files.list(&inner).is_empty() => collect(files, &path, depth + 1, texts)?,
            Err(error) => return Err(Failure::file("read", &path, &error)),
        }
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(path, bytes)
    };
    write().map_err(|error| Failure::file("write", path, &error))
}
