//! Which course and which lab a command is about.

use std::path::{Path, PathBuf};

use labkit_lab::{
    Diagnostic, Files, LabFolder, LoadedCourse, Submission, Text, load_course, load_lab, load_submission,
};

use crate::arguments::Global;
use crate::failure::{Failure, spoken};
use crate::files::{EmbeddedFiles, FolderFiles, SubmissionFiles};
use crate::screen::{Screen, say};

/// A course that was read.
#[derive(Debug)]
pub struct Open {
    pub loaded: LoadedCourse,
    sessions: Vec<Session>,
}

/// A session with its labs, each with its number such as `2.4`.
#[derive(Debug)]
pub struct Session {
    pub title: Text,
    pub labs: Vec<(String, LabFolder)>,
}

/// A lab that a command named.
#[derive(Debug)]
pub struct Found {
    pub folder: LabFolder,
    /// The name of its course in the record of progress.
    pub course: String,
}

impl Open {
    fn new(loaded: LoadedCourse) -> Open {
        let sessions = loaded.course.sessions.iter().enumerate().map(|(index, session)| {
            let own = session.id.rsplit('-').next().and_then(|number| number.parse().ok());
            let number: usize = own.unwrap_or(index + 1);
            let labs = session.labs.iter().filter_map(|path| loaded.labs.get(path)).cloned();
            let labs = labs.enumerate().map(|(index, lab)| {
                let own = lab.lab.metadata.number.clone();
                (own.unwrap_or_else(|| format!("{number}.{}", index + 1)), lab)
            });
            Session { title: session.title.clone(), labs: labs.collect() }
        });
        let sessions = sessions.collect();
        Open { loaded, sessions }
    }

    /// Its name in the record of progress.
    pub fn id(&self) -> String {
        self.loaded.course.title.en.clone()
    }

    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Every lab with its number, in the course's order.
    pub fn labs(&self) -> impl Iterator<Item = (&str, &LabFolder)> {
        self.sessions.iter().flat_map(|session| &session.labs).map(|(number, lab)| (number.as_str(), lab))
    }

    /// A lab by its name or number.
    pub fn lab(&self, screen: &Screen, wanted: &str) -> Result<&LabFolder, Failure> {
        let found = self.labs().find(|(number, lab)| *number == wanted || lab.name() == wanted);
        found.map(|(_, lab)| lab).ok_or_else(|| {
            let known: Vec<String> =
                self.labs().map(|(number, lab)| format!("{} ({number})", lab.name())).collect();
            let known = known.join(", ");
            let message = say!(
                screen.language,
                "there is no lab {wanted} in this course",
                "이 과정에는 {wanted} 실습이 없습니다"
            );
            let next = say!(
                screen.language,
                "choose one of: {known}; or give the path of a lab's folder",
                "이 중에서 고르세요: {known}. 실습 폴더의 경로를 주어도 됩니다"
            );
            Failure::usage(message).next(next)
        })
    }
}

/// The course of `--course`, else the nearest upwards, else the built-in one.
pub fn open(screen: &Screen, global: &Global) -> Result<Open, Failure> {
    let loaded = match folder(global)? {
        Some(folder) => load_course(&FolderFiles::new(&folder)).map_err(|problems| shown(&folder, problems)),
        None => load_course(&EmbeddedFiles::course())
            .map_err(|problems| shown(Path::new("(built-in course)"), problems)),
    };
    loaded.map(Open::new).map_err(|problems| Failure::diagnostics(screen, problems))
}

/// The folder of course.yaml; `None` for the built-in course.
pub fn folder(global: &Global) -> Result<Option<PathBuf>, Failure> {
    if let Some(named) = &global.course {
        let candidates = [named.clone(), named.join("labs")];
        let found = candidates.into_iter().find(|folder| folder.join("course.yaml").is_file());
        return found.map(Some).ok_or_else(|| {
            let shown = named.display();
            let message = say!(
                spoken(),
                "there is no course.yaml in {shown} nor in its labs/",
                "{shown} 에도 그 안의 labs/ 에도 course.yaml이 없습니다"
            );
            Failure::usage(message).next(say!(
                spoken(),
                "give the folder that has course.yaml in it, or leave --course out",
                "course.yaml이 있는 폴더를 주거나 --course 를 빼세요"
            ))
        });
    }
    let Ok(here) = std::env::current_dir() else { return Ok(None) };
    let upwards = here.ancestors().flat_map(|folder| [folder.join("labs"), folder.to_owned()]);
    Ok(upwards
        .into_iter()
        .find(|folder| folder.join("course.yaml").is_file())
        .map(|folder| relative(&here, folder)))
}

/// A folder as seen from here, where that is shorter to read.
fn relative(here: &Path, folder: PathBuf) -> PathBuf {
    match folder.strip_prefix(here) {
        Ok(rest) if rest.as_os_str().is_empty() => PathBuf::from("."),
        Ok(rest) => rest.to_owned(),
        Err(_) => folder,
    }
}

/// The lab that a word names: a name or a number of the course, or a path.
pub fn find(screen: &Screen, global: &Global, lab: &str) -> Result<Found, Failure> {
    find_all(screen, global, std::slice::from_ref(&lab.to_owned())).map(|mut found| found.remove(0))
}

/// The labs that words name. The course is read only where a word is no path.
pub fn find_all(screen: &Screen, global: &Global, labs: &[String]) -> Result<Vec<Found>, Failure> {
    let mut course = None;
    let mut found = Vec::new();
    for lab in labs {
        if let Some(path) = as_path(lab) {
            found.push(Found { folder: read_lab(screen, &path)?, course: "(labs by path)".to_owned() });
            continue;
        }
        let course: &Open = match &course {
            Some(course) => course,
            None => course.insert(open(screen, global)?),
        };
        found.push(Found { folder: course.lab(screen, lab)?.clone(), course: course.id() });
    }
    Ok(found)
}

/// A word with a slash, or the name of what is a lab's folder here, is a path; lab.yaml itself will do, too.
fn as_path(word: &str) -> Option<PathBuf> {
    let path = Path::new(word);
    let is_lab_file = path.file_name().is_some_and(|name| name == "lab.yaml");
    match word.contains('/') || is_lab_file || word == "." || path.join("lab.yaml").is_file() {
        true if is_lab_file => Some(path.parent().unwrap_or(Path::new("")).to_owned()),
        true => Some(path.to_owned()),
        false => None,
    }
}

/// Reads a lab's folder, wherever it is.
pub fn read_lab(screen: &Screen, path: &Path) -> Result<LabFolder, Failure> {
    let whole = path.canonicalize().map_err(|error| {
        Failure::file("read the lab", path, &error).next(say!(
            spoken(),
            "LAB is a name of the course, its number, or the path of a lab's folder",
            "LAB 은 과정에 있는 이름이나 번호, 또는 실습 폴더의 경로입니다"
        ))
    })?;
    let shown = path.display();
    let (Some(root), Some(name)) = (whole.parent(), whole.file_name()) else {
        let message = say!(spoken(), "{shown} is no lab's folder", "{shown} 은(는) 실습의 폴더가 아닙니다");
        return Err(Failure::usage(message));
    };
    if !whole.join("lab.yaml").exists() {
        let message = say!(spoken(), "there is no lab.yaml in {shown}", "{shown} 에 lab.yaml이 없습니다");
        return Err(Failure::usage(message).next(say!(
            spoken(),
            "a lab is a folder with a lab.yaml",
            "실습은 lab.yaml이 있는 폴더입니다"
        )));
    }
    let name = name.to_string_lossy();
    let read = load_lab(&FolderFiles::new(root), &name);
    read.map_err(|mut problems| {
        for problem in &mut problems {
            let inside = problem.file.strip_prefix(&format!("{name}/")).unwrap_or(&problem.file);
            problem.file = path.join(inside).display().to_string();
        }
        Failure::diagnostics(screen, problems)
    })
}

/// Reads a student's submission: the folder with submission.yaml, or that file itself.
pub fn submission(screen: &Screen, path: &Path, found: &Found) -> Result<Submission, Failure> {
    let is_file = path.file_name().is_some_and(|name| name == "submission.yaml");
    let folder = if is_file { path.parent().unwrap_or(Path::new("")) } else { path };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !folder.is_dir() {
        let shown = folder.display();
        let message = say!(screen.language, "there is no folder {shown}", "{shown} 폴더가 없습니다");
        return Err(Failure::usage(message).next(say!(
            screen.language,
            "a submission is a folder with a submission.yaml; labkit submit --out DIR writes one",
            "제출물은 submission.yaml이 있는 폴더입니다. labkit submit --out DIR 이 써 줍니다"
        )));
    }
    let files: &dyn Files = &SubmissionFiles::new(folder);
    let read = load_submission(files, "", &found.folder.lab);
    read.map_err(|problems| Failure::diagnostics(screen, shown(folder, problems)))
}

/// The problems with their files as seen from here.
fn shown(folder: &Path, mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for problem in &mut problems {
        problem.file = folder.join(&problem.file).display().to_string();
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_a_slash_are_paths() {
        assert_eq!(as_path("kill-the-leader"), None);
        assert_eq!(as_path("2.4"), None);
        assert_eq!(as_path("./mine"), Some(PathBuf::from("./mine")));
        assert_eq!(as_path("labs/mine/lab.yaml"), Some(PathBuf::from("labs/mine")));
    }
}
