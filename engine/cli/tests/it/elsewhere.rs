//! A class graded in parts, as the pods of an Indexed Job do it.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::class::{HEAD, full_marks, read_vault, row, vault};
use crate::home::{Home, Ran};
use crate::live::{has, start};

const JOB: [&str; 8] = [
    "grade",
    "kill-the-leader",
    "handed-in",
    "--on",
    "kubernetes",
    "--image",
    "registry.example/labkit:1",
    "--shards",
];

#[test]
fn the_job_grades_a_part_of_the_class_in_each_pod() {
    let home = Home::new();
    let job = home.json(&[&JOB[..], &["3"]].concat());
    let spec = &job["spec"];
    assert_eq!((&spec["completionMode"], &spec["completions"]), (&json!("Indexed"), &json!(3)));
    let container = &spec["template"]["spec"]["containers"][0];
    let words: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words[..3], ["grade", "kill-the-leader", "/class/submissions"]);
    assert!(words.join(" ").contains("--out /class/grades --shards 3"), "{words:?}");
    let yaml = home.run(&[&JOB[..], &["3", "--lang", "ko"]].concat()).ends_with(0).out;
    assert!(yaml.contains("# 2. kubectl apply") && yaml.contains("복사"), "{yaml}");
    let parsed: Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(parsed, job);
    let by_number = home.run(&["grade", "2.4", "in", "--on", "kubernetes", "--image", "i"]).ends_with(0).out;
    assert!(by_number.contains("job/labkit-grade-kill-the-leader\n"), "{by_number}");
    assert!(home.run(&JOB[..5]).ends_with(2).err.contains("--image"));
    let path = home.run(&["grade", "./x", "in", "--on", "kubernetes", "--image", "i"]).ends_with(2);
    assert!(path.err.contains("./x"), "{}", path.err);
}

#[test]
fn an_api_server_accepts_the_job_strictly() {
    if !has("kubectl") {
        return;
    }
    let home = Home::new();
    let (ready, _) = start(&home, "follow-one-pod");
    let yaml = home.run(&[&JOB[..], &["3"]].concat()).ends_with(0).out;
    let file = home.write("job.yaml", yaml);
    let kubectl = |line: &str| crate::live::client(&ready, "kubectl", line);
    let created = kubectl(&format!("create -f {} --validate=strict", file.display()));
    assert_eq!(created.unwrap(), "job.batch/labkit-grade-kill-the-leader created\n");
    let stored: Value =
        serde_json::from_str(&kubectl("get job labkit-grade-kill-the-leader -o json").unwrap()).unwrap();
    assert_eq!(
        (&stored["spec"]["completions"], &stored["spec"]["backoffLimitPerIndex"]),
        (&json!(3), &json!(2))
    );
}

#[test]
fn the_parts_of_a_class_are_the_class() {
    let home = Home::new();
    vault(&home);
    home.write("class/alice/submission.yaml", full_marks(&read_vault(), "alice"));
    for student in ["bob", "carol", "dave", "erin"] {
        home.write(&format!("class/{student}/submission.yaml"), HEAD);
    }
    let whole = home.run(&["grade", "vault", "class", "--format", "json"]).ends_with(0).out;
    let words = ["grade", "vault", "class", "--out", "grades", "--shards", "2", "--resume"];
    let part = |index: &str| {
        let mut command = home.command(&words);
        Ran::of(command.env("JOB_COMPLETION_INDEX", index).stdin(Stdio::null()).output().unwrap())
    };
    assert!(part("2").ends_with(2).err.contains("JOB_COMPLETION_INDEX"));
    assert!(home.run(&words).ends_with(2).err.contains("from 0 to 1"));
    let (first, second) = (part("0").ends_with(0), part("1").ends_with(0));
    assert!(first.err.contains("[3/3]") && second.err.contains("[2/2]"), "{} {}", first.err, second.err);
    assert!(!home.path().join("grades/summary.csv").exists(), "a part has no summary");
    let collected = home.run(&["grade", "vault", "class", "--out", "grades", "--resume", "--format", "json"]);
    let collected = collected.ends_with(0);
    assert_eq!(collected.out, whole, "put together they are the class");
    assert!(!collected.err.contains("[1/"), "nothing is graded again: {}", collected.err);
    assert!(home.path().join("grades/summary.csv").exists());
    let class: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(row(&class, "alice")["points"], 10);
}
