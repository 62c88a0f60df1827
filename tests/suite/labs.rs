//! Every lab of the course proves itself: the untouched start does not pass, the solution has full marks, each
//! wrong solution fails exactly what it names, on every seed, every mutant of the solution loses points or is declared
//! equivalent with its reason, and one seed gives one report.

use labkit_lab::{LabFolder, lint_lab};
use labkit_tests::chaos::seeds;
use labkit_tests::course::{course, grade_own};

#[track_caller]
fn proves_itself(name: &str) {
    let course = course();
    let lab = course.labs.values().find(|lab| lab.name() == name).expect("the course has it");
    let result = lint_lab(lab, seeds());
    assert_eq!(result.problems, []);
    let survivors: Vec<&str> = result.survivors.iter().map(|survivor| survivor.mutant.as_str()).collect();
    assert_eq!(survivors, Vec::<&str>::new(), "mistakes that cost nothing, and are not declared equivalent");
    assert!(result.mutants > 0 && result.mutants > 2 * result.equivalent.len() as u64);
    assert!(result.runs >= seeds() * 4, "start, solution and two wrong ones");
    one_seed_gives_one_report(lab);
}

fn one_seed_gives_one_report(lab: &LabFolder) {
    let report = |seed| grade_own(lab, "solution", &lab.solution, seed).to_json();
    let first = report(5);
    for _ in 0..2 {
        let again = report(5);
        let differing = first.lines().zip(again.lines()).find(|(first, again)| first != again);
        assert_eq!(differing, None, "{}: two runs of one seed differ", lab.name());
        assert_eq!(again.len(), first.len());
    }
}

#[test]
fn follow_one_pod_proves_itself() {
    proves_itself("follow-one-pod");
}

#[test]
fn remove_one_organ_proves_itself() {
    proves_itself("remove-one-organ");
}

#[test]
fn kill_the_leader_proves_itself() {
    proves_itself("kill-the-leader");
}

#[test]
fn a_node_dies_proves_itself() {
    proves_itself("a-node-dies");
}

#[test]
fn every_lab_of_the_course_is_proven_here() {
    let mut names: Vec<String> = course().labs.values().map(|lab| lab.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["a-node-dies", "follow-one-pod", "kill-the-leader", "remove-one-organ"]);
}
