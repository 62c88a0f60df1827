//! What lint finds in labs whose files are all well formed: checks that look at nothing, mistakes that cost nothing,
//! READMEs that differ.

use labkit_lab::{Equivalent, Expect, LabFolder, Language, LintResult, Text, lint_lab};

use crate::made;

/// A lab with one check, and two wrong submissions that do nothing.
fn lab(check: &str, steps: &str) -> LabFolder {
    let check = format!("{{id: seen, title: {{en: Seen, ko: 보임}}, points: 2, {check}}}");
    let mut lab =
        made("{etcd: {members: 1}}", " []", &format!("\n  - id: one\n    checks: [{check}]"), steps);
    let mut wrong = lab.start.clone();
    wrong.expect = Some(Expect { fails: vec!["one/seen".to_owned()] });
    lab.wrong = [("idle".to_owned(), wrong.clone()), ("idle-too".to_owned(), wrong)].into();
    lab
}

fn put() -> LabFolder {
    lab("etcd: {keys: [{key: a, value: b}]}", " [{etcdctl: put a b}, {etcdctl: put c d}, {etcdctl: get a}]")
}

#[track_caller]
fn check(result: &LintResult, problem: &str) {
    assert!(result.problems.iter().any(|told| told.en.contains(problem)), "{:#?}", result.problems);
    assert_eq!(result.mutants, 0, "the mutants of a lab that is not right are not tried");
}

#[test]
fn mistakes_that_cost_nothing_are_reported_and_are_no_problem() {
    let result = lint_lab(&put(), 1);
    assert_eq!(result.problems, []);
    let survivors: Vec<&str> = result.survivors.iter().map(|survivor| survivor.what.en.as_str()).collect();
    assert_eq!(
        survivors,
        [
            "it leaves out step 2, `etcdctl put c d`",
            "step 2 has etcdctl: \"put c d-mutant\" instead of \"put c d\"",
        ]
    );
    assert_eq!(result.mutants, 4, "reading is no step that could be left out");
}

#[test]
fn a_mutant_that_the_solution_declares_is_no_survivor() {
    let mut lab = put();
    let because = Text::new("c is nobody's key", "c 는 아무도 보지 않는 키");
    let equivalent = |mutants: &[&str]| Equivalent {
        mutants: mutants.iter().map(|mutant| (*mutant).to_owned()).collect(),
        because: because.clone(),
    };
    lab.solution.equivalent = vec![equivalent(&["without-step-2", "step-2.etcdctl"])];
    let result = lint_lab(&lab, 2);
    assert_eq!((&result.problems[..], &result.survivors[..]), (&[][..], &[][..]));
    let declared: Vec<(&str, &[u64])> =
        result.equivalent.iter().map(|of| (of.mutant.as_str(), of.seeds.as_slice())).collect();
    assert_eq!(declared, [("without-step-2", &[1, 2][..]), ("step-2.etcdctl", &[1, 2][..])]);
    assert_eq!(result.equivalent[0].because.as_ref(), Some(&because));

    lab.solution.equivalent.push(equivalent(&["without-step-1", "step-9.x"]));
    let problems = lint_lab(&lab, 1).problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].en.contains("names step-9.x") && problems[1].ko.contains("without-step-1"));
}

#[test]
fn a_check_that_passes_on_an_empty_cluster_is_a_problem() {
    let blind = lab("cel: \"etcd.members.size() == 1\"", " [{etcdctl: put a b}]");
    check(&lint_lab(&blind, 1), "one/seen passes on an empty cluster");
}

#[test]
fn both_languages_give_the_same_commands() {
    let mut lab = put();
    let readme = |code: &str| format!("# x\n\n{{{{task one}}}}\n\n```\n{code}\n```\n");
    lab.readme.insert(Language::En, readme("etcdctl put a b  # writes\netcdctl get a"));
    lab.readme.insert(Language::Ko, readme("etcdctl put a b  # 쓰기"));
    check(
        &lint_lab(&lab, 1),
        "README.ko.md lacks a command in one that the other language has: etcdctl get a",
    );
    lab.readme.insert(Language::Ko, readme("# 읽기\netcdctl put a b\netcdctl get a"));
    assert_eq!(lint_lab(&lab, 1).problems, []);
}
