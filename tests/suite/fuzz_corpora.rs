//! The corpora of the fuzz targets, replayed: what was once found stays mended.

use std::path::Path;

#[path = "../fuzz/src/patches.rs"]
mod patches;
#[path = "../fuzz/src/paths.rs"]
mod paths;
#[path = "../fuzz/src/selectors.rs"]
mod selectors;
#[path = "../fuzz/src/strategic_merge.rs"]
mod strategic_merge;

/// Runs a target on each file of its corpus.
#[track_caller]
fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        run(&std::fs::read(file).unwrap());
    }
}

#[test]
fn the_corpora_of_the_fuzz_targets_break_nothing() {
    replay("paths", paths::run);
    replay("selectors", selectors::run);
    replay("patches", patches::run);
    replay("strategic_merge", strategic_merge::run);
}
