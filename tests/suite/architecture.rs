//! The direction of dependencies, as the architecture page has it. A crate depends on exactly the crates
//! that it names there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Crate and what it stands on, in the order of the layers.
const LAYERS: &[(&str, &[&str])] = &[
    ("sim", &[]),
    ("api", &[]),
    ("etcd", &["sim"]),
    ("client", &["api", "sim"]),
    ("pki", &["sim"]),
    ("expr", &["api"]),
    ("apiserver", &["api", "sim", "etcd", "client", "expr", "pki"]),
    ("controllers", &["api", "sim", "client", "pki"]),
    ("scheduler", &["api", "sim", "client"]),
    ("node", &["api", "sim", "client"]),
    (
        "cluster",
        &["sim", "api", "etcd", "client", "pki", "expr", "apiserver", "controllers", "scheduler", "node"],
    ),
    ("lab", &["cluster", "api", "sim", "expr"]),
    ("book", &["lab"]),
    ("cli", &["book", "lab", "cluster", "sim"]),
];

fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut within = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            within = line == "[dependencies]";
        } else if within && let Some(rest) = line.strip_prefix("labkit-") {
            let name: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            found.insert(name);
        }
    }
    found
}

#[test]
fn crates_depend_downwards_only_and_on_what_they_name() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine");
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(&engine).unwrap() {
        let path = entry.unwrap().path();
        let Ok(manifest) = std::fs::read_to_string(path.join("Cargo.toml")) else { continue };
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} is in no layer"));
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let found = dependencies(&manifest);
        let excess: Vec<&String> = found.difference(&allowed).collect();
        assert!(excess.is_empty(), "{name} must not depend on {excess:?}");
        seen.insert(name);
    }
    assert_eq!(seen.len(), LAYERS.len());
}

#[test]
fn only_the_cli_has_a_binary() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine");
    let mut binaries = Vec::new();
    for entry in std::fs::read_dir(&engine).unwrap() {
        let path = entry.unwrap().path();
        if path.join("src/main.rs").exists() {
            binaries.push(path.file_name().unwrap().to_owned());
        }
    }
    assert_eq!(binaries, ["cli"]);
}
