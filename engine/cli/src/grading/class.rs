//! Which folders of a class are submissions, and whose.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use labkit_lab::student_seed;

/// Students of the largest class.
const STUDENTS_MAX: usize = 100_000;

/// A submission to grade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The folder's name, readable on any terminal.
    pub student: String,
    pub folder: PathBuf,
    pub seed: u64,
}

/// What a class's folder holds.
#[derive(Debug, Default)]
pub struct Class {
    /// By student.
    pub submissions: Vec<Submitted>,
    /// What is no folder, by name.
    pub ignored: Vec<String>,
}

/// The submissions of a class: one folder a student. Hidden folders and files are none. A link counts as a
/// submission, so that its student is not forgotten; the worker refuses it.
pub fn read(dir: &Path, lab: &str) -> io::Result<Class> {
    let mut class = Class::default();
    for entry in fs::read_dir(dir)?.take(STUDENTS_MAX) {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type()?;
        match kind.is_dir() || kind.is_symlink() {
            true => class.submissions.push(Submitted::new(lab, student_of(&name), entry.path())),
            false => class.ignored.push(student_of(&name)),
        }
    }
    class.submissions.sort_by(|a, b| a.student.cmp(&b.student));
    class.ignored.sort();
    Ok(class)
}

impl Submitted {
    pub fn new(lab: &str, student: String, folder: PathBuf) -> Submitted {
        let seed = student_seed(lab, &student);
        Submitted { student, folder, seed }
    }
}

/// A file's name as text: bytes that are no text, and characters that steer a terminal, as `\xNN`. Different names
/// stay different.
pub fn student_of(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match is_plain(c) {
                true => text.push(c),
                false => escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| {
        let _ = write!(text, "\\x{byte:02x}");
    });
}

/// Whether a character is only what it looks like: no control, nothing that turns the writing's direction round,
/// nothing invisible.
fn is_plain(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    c != '\\' && !c.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_plainly_and_stay_different() {
        let shown = |bytes: &[u8]| student_of(OsStr::from_bytes(bytes));
        assert_eq!(shown("김민수".as_bytes()), "김민수");
        assert_eq!(shown(b"a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
        assert_eq!(shown(b"a\xff"), "a\\xff");
        assert_eq!(shown(b"a\\xff"), "a\\x5cxff");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\xe2\\x80\\xaeb");
    }

    #[test]
    fn a_class_is_its_folders_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["bob", "alice", ".git"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("carol.zip"), "").unwrap();
        std::os::unix::fs::symlink("alice", dir.path().join("dave")).unwrap();
        let class = read(dir.path(), "lab").unwrap();
        let students: Vec<&str> = class.submissions.iter().map(|one| one.student.as_str()).collect();
        assert_eq!((students, class.ignored), (vec!["alice", "bob", "dave"], vec!["carol.zip".to_owned()]));
        assert_eq!(class.submissions[0].seed, student_seed("lab", "alice"));
    }
}
