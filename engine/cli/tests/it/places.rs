//! Places that are no good: no home, a folder that cannot be written, a disk that is full, lines that end as on
//! Windows, and Ctrl-C at any moment.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::home::{Home, Ran, wait_for};

/// A folder that can be read only, also where the tests are run by root.
fn read_only(home: &Home) -> Option<std::path::PathBuf> {
    let folder = home.path().join("read-only");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    if File::create(folder.join("probe")).is_err() {
        return Some(folder);
    }
    // Root may write anywhere but there.
    Some(std::path::PathBuf::from("/proc"))
}

#[test]
fn the_binary_needs_nothing_but_itself() {
    let home = Home::new();
    let folder = home.path().join("empty");
    std::fs::create_dir(&folder).unwrap();
    let bare = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_labkit"));
        command.args(words).current_dir(&folder).stdin(Stdio::null()).env_clear().env("TMPDIR", home.path());
        Ran::of(command.output().unwrap())
    };
    assert!(bare(&[]).ends_with(0).out.contains("kill-the-leader"));
    bare(&["run", "kill-the-leader", "--solution"]).ends_with(0);
    bare(&["schema", "--out", "schemas"]).ends_with(0);
    assert!(folder.join("schemas/lab.schema.json").is_file());
    #[cfg(feature = "book")]
    {
        bare(&["book", "build"]);
        assert!(folder.join("labkit-book/ko/index.html").is_file());
    }
    bare(&["start", "kill-the-leader"]).ends_with(0);
    assert!(bare(&["check"]).out.contains("✓"));
    bare(&["stop"]).ends_with(0);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let home = Home::new();
    let Some(folder) = read_only(&home) else { return };
    let inside = folder.join("x").display().to_string();
    let cases: [&[&str]; 5] = [
        &["run", "kill-the-leader", "--report", &inside],
        &["schema", "--out", &inside],
        &["new", "lab", "mine", "--dir", &inside],
        &["pack", "--student", "--out", &inside],
        #[cfg(feature = "book")]
        &["book", "build", "--out", &inside],
        #[cfg(not(feature = "book"))]
        &["schema", "--out", &inside],
    ];
    for words in cases {
        let ran = home.run(words).ends_with(2);
        assert!(
            ran.err.contains(&*folder.to_string_lossy()) && ran.err.contains("error: cannot"),
            "{words:?} {}",
            ran.err
        );
    }
    let mut command = home.command(&["start", "kill-the-leader"]);
    let ran = Ran::of(command.env("XDG_STATE_HOME", &inside).output().unwrap()).ends_with(2);
    assert!(ran.err.contains("XDG_STATE_HOME"), "{}", ran.err);
    // Progress that cannot be kept is no reason not to grade.
    let mut command = home.command(&["run", "kill-the-leader", "--solution"]);
    Ran::of(command.env("XDG_DATA_HOME", &inside).output().unwrap()).ends_with(0);
}

#[test]
fn a_full_disk_is_said() {
    if std::fs::metadata("/dev/full").is_err() {
        return eprintln!("SKIPPED: there is no /dev/full");
    }
    let home = Home::new();
    let report = home.run(&["run", "kill-the-leader", "--report", "/dev/full"]).ends_with(2);
    assert!(report.err.contains("No space left"), "{}", report.err);
    let full = File::create("/dev/full").unwrap();
    let ran = home.command(&["run", "kill-the-leader"]).stdout(full).output().unwrap();
    assert!(Ran::of(ran).ends_with(1).err.contains("cannot write the output"));
}

#[test]
fn a_lab_that_was_written_on_windows_is_a_lab() {
    let home = Home::new();
    home.run(&["new", "lab", "mine"]).ends_with(0);
    let mut folders = vec![home.path().join("mine")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap().replace('\n', "\r\n");
            std::fs::write(path, text).unwrap();
        }
    }
    let proven = home.run(&["lint", "mine", "--seeds", "1"]).ends_with(0);
    assert!(proven.out.contains('✓'), "{}", proven.out);
    let started = home.run(&["start", "./mine"]).ends_with(0);
    assert!(!started.out.contains('\r'), "{:?}", started.out);
    assert!(!home.run(&["check"]).out.contains('\r'));
    home.run(&["stop"]).ends_with(0);
}

#[test]
fn ctrl_c_at_any_moment_leaves_nothing_half_done() {
    let home = Home::new();
    let commands: [&[&str]; 4] = [
        &["run", "kill-the-leader", "--solution", "--report", "report.json"],
        &["lint", "--seeds", "2"],
        &["start", "kill-the-leader", "--foreground"],
        &["start", "a-node-dies"],
    ];
    for words in commands {
        for delay_ms in [1, 20, 60, 150, 400] {
            let mut child = home.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(delay_ms));
            // It may have ended by itself.
            let _ =
                Command::new("kill").args(["-INT", &child.id().to_string()]).stderr(Stdio::null()).status();
            wait_for(&format!("{words:?} ends after {delay_ms} ms"), || child.try_wait().unwrap().is_some());
            let report = std::fs::read(home.path().join("report.json"));
            if let Ok(report) = report {
                serde_json::from_slice::<serde_json::Value>(&report)
                    .expect("a report is whole, or not there");
            }
            home.run(&["stop", "--all"]).ends_with(0);
            wait_for("nothing is left", || !home.state().join("kill-the-leader/control.sock").exists());
        }
    }
}
