//! The built book in a real browser, without a network: diagrams drawn, in both languages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use labkit_book::{BuildOptions, build};
use labkit_tests::course::{course, grade_own};
use labkit_tests::live::has;
use tempfile::TempDir;

/// The page as the browser has it once its scripts have run.
fn rendered(page: &Path, profile: &Path) -> String {
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("chromium starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn chromium_draws_each_labs_diagram_in_both_languages() {
    if !has("chromium") {
        return;
    }
    let course = course();
    let reports: BTreeMap<String, _> = course
        .labs
        .values()
        .map(|lab| (lab.name().to_owned(), grade_own(lab, "solution", &lab.solution, 1)))
        .collect();
    let folder = TempDir::new().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../book");
    let out: PathBuf = folder.path().join("book");
    build(BuildOptions { root, out: out.clone(), course: &course, reports }).unwrap();
    for (language, passed) in [("en", "passed"), ("ko", "통과")] {
        for (path, lab) in &course.labs {
            let page = out.join(language).join("labs").join(path).join("index.html");
            let profile = folder.path().join(format!("{language}-{}", lab.name()));
            let dom = rendered(&page, &profile);
            let name = lab.name();
            assert!(
                dom.contains("aria-roledescription=\"sequence\""),
                "{language} {name}: no diagram is drawn"
            );
            assert!(!dom.contains("Syntax error in text"), "{language} {name}: mermaid refuses the diagram");
            assert!(dom.contains(passed), "{language} {name}: no verdicts");
        }
    }
}
