//! What students get: the course without its solutions.

use crate::home::Home;

#[test]
fn students_get_labs_that_work_and_no_solutions() {
    let home = Home::new();
    assert!(home.run(&["pack"]).ends_with(2).err.contains("--student"));
    let packed = home.run(&["pack", "--student", "--out", "handout"]).ends_with(0);
    assert!(packed.out.contains("cd handout"), "{}", packed.out);
    let lab = home.path().join("handout/labs/session-2/kill-the-leader");
    for there in ["lab.yaml", "README.md", "README.ko.md", "start/submission.yaml"] {
        assert!(lab.join(there).is_file(), "{there}");
    }
    for kept_back in ["solution", "wrong"] {
        assert!(!lab.join(kept_back).exists(), "{kept_back}");
    }
    assert!(home.path().join("handout/schemas/lab.schema.json").is_file());
    assert!(
        home.run(&["pack", "--student", "--out", "handout"]).ends_with(2).err.contains("is there already")
    );

    let within = |words: &[&str]| {
        let mut command = home.command(words);
        command.current_dir(home.path().join("handout"));
        crate::home::Ran::of(command.output().unwrap())
    };
    assert!(within(&["run", "kill-the-leader"]).ends_with(1).out.contains("Kill the leader"));
    let none = within(&["run", "kill-the-leader", "--solution"]).ends_with(2);
    assert!(none.err.contains("packed for students"), "{}", none.err);
    let proven = within(&["lint", "labs/session-2/kill-the-leader", "--lang", "ko"]).ends_with(1);
    assert!(proven.out.contains("학생용 사본"), "{}", proven.out);
    within(&["start", "kill-the-leader"]).ends_with(0);
    within(&["stop"]).ends_with(0);

    home.run(&["pack", "2.4", "--student", "--out", "one"]).ends_with(0);
    let course = std::fs::read_to_string(home.path().join("one/labs/course.yaml")).unwrap();
    assert!(course.contains("kill-the-leader") && !course.contains("follow-one-pod"), "{course}");
    assert!(home.run(&["pack", "no-such", "--student", "--out", "x"]).ends_with(2).err.contains("no-such"));
}
