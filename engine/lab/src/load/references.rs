//! What a schema cannot say: ids are unique, and whatever is named is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use labkit_api::selector::{FieldSelector, LabelSelector};
use regex::Regex;
use serde_json::Value;

use super::names::Names;
use super::reader::Loaded;
use super::submissions::{answer_ids, has_template};
use crate::cel::Condition;
use crate::course::Course;
use crate::diagnostic::Diagnostic;
use crate::document::{Document, PROBLEMS_MAX, Part, list_of, suggestion};
use crate::faults::FaultSpec;
use crate::lab::{Lab, Task};
use crate::objects::ObjectRef;
use crate::run::VARIABLES;
use crate::steps::{Step, write_of};
use crate::submission::Submission;
use crate::text::{Text, text};

/// Collects the problems of one document.
struct Finder<'a> {
    document: &'a Document,
    names: Names,
    /// The custom kinds that the lab, or the submission, defines.
    custom_kinds: BTreeSet<String>,
    has_api_server: bool,
    problems: Vec<Diagnostic>,
}

pub(super) fn of_course(loaded: &Loaded<Course>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (session, of) in loaded.typed.sessions.iter().enumerate() {
        let mut once = |name: &str, pointer: String| {
            if !seen.insert(name.to_owned()) {
                problems.push(loaded.document.problem(
                    &pointer,
                    Part::Value,
                    text!("`{name}` is there already", "`{name}` 은(는) 이미 있습니다"),
                ));
            }
        };
        once(&of.id, format!("/sessions/{session}/id"));
        of.labs
            .iter()
            .enumerate()
            .for_each(|(index, lab)| once(lab, format!("/sessions/{session}/labs/{index}")));
    }
    problems
}

pub(super) fn of_lab(loaded: &Loaded<Lab>, folder: &str) -> Vec<Diagnostic> {
    let lab = &loaded.typed;
    let mut finder = Finder {
        document: &loaded.document,
        names: Names::of(lab),
        custom_kinds: custom_kinds(lab, &loaded.value),
        has_api_server: lab.cluster.api_server.is_some(),
        problems: Vec::new(),
    };
    finder.lab(lab, &loaded.value, folder);
    finder.problems
}

pub(super) fn of_submission(loaded: &Loaded<Submission>, lab: &Lab) -> Vec<Diagnostic> {
    let submission = &loaded.typed;
    let mut finder = Finder {
        document: &loaded.document,
        names: Names::of(lab),
        custom_kinds: custom_kinds(lab, &loaded.value),
        has_api_server: lab.cluster.api_server.is_some(),
        problems: Vec::new(),
    };
    if submission.lab != lab.metadata.name {
        let (theirs, ours) = (&submission.lab, &lab.metadata.name);
        finder.say(
            "/lab",
            text!(
                "this is for the lab `{theirs}`, not for `{ours}`",
                "이것은 `{ours}` 이(가) 아니라 실습 `{theirs}` 의 제출물입니다"
            ),
        );
    }
    finder.steps("/steps", &submission.steps, Some(lab));
    let answers = answer_ids(lab);
    for id in submission.answers.keys().filter(|id| !answers.contains(&id.as_str())) {
        finder.unknown(&format!("/answers/{}", escaped(id)), Part::Key, "answer", id, &answers);
    }
    let checks: Vec<String> = lab
        .tasks
        .iter()
        .flat_map(|task| task.checks.iter().map(|check| format!("{}/{}", task.id, check.id)))
        .collect();
    let checks: Vec<&str> = checks.iter().map(String::as_str).collect();
    for (index, id) in submission.expect.iter().flat_map(|expect| &expect.fails).enumerate() {
        if !checks.contains(&id.as_str()) {
            finder.unknown(&format!("/expect/fails/{index}"), Part::Value, "check", id, &checks);
        }
    }
    finder.problems
}

impl Finder<'_> {
    fn say(&mut self, pointer: &str, message: impl Into<Text>) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        self.problems.push(self.document.problem(pointer, Part::Value, message));
    }

    fn unknown(&mut self, pointer: &str, part: Part, what: &str, name: &str, known: &[&str]) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let what = thing(what);
        let message = text!("no {what} `{name}`", "{what} `{name}` 이(가) 없습니다", what);
        let help = suggestion(name, known.iter().copied());
        self.problems.push(self.document.problem(pointer, part, message).with_help(help));
    }

    fn unique<'a>(&mut self, what: &str, ids: impl Iterator<Item = (String, &'a str)>) {
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        for (pointer, id) in ids {
            if let Some(earlier) = seen.get(id) {
                let line = self.document.problem(earlier, Part::Value, "").line;
                let what = thing(what);
                self.say(
                    &pointer,
                    text!(
                        "the {what} `{id}` is there already, at line {line}",
                        "{what} `{id}` 은(는) {line}번째 줄에 이미 있습니다",
                        what
                    ),
                );
            } else {
                seen.insert(id, pointer);
            }
        }
    }

    fn lab(&mut self, lab: &Lab, value: &Value, folder: &str) {
        let name = folder.rsplit('/').next().unwrap_or_default();
        if !name.is_empty() && name != lab.metadata.name {
            let called = &lab.metadata.name;
            self.say(
                "/metadata/name",
                text!(
                    "the lab is called `{called}`, its folder `{name}`; they must be the same",
                    "실습의 이름은 `{called}`, 폴더는 `{name}` 입니다. 둘은 같아야 합니다"
                ),
            );
        }
        for problem in lab.cluster.problems() {
            let message = Text { en: problem.message, ko: problem.korean };
            self.say(&format!("/cluster{}", problem.pointer), message);
        }
        for (index, verb) in lab.submission.allow.iter().enumerate() {
            if !Step::VERBS.contains(&verb.as_str()) {
                self.unknown(&format!("/submission/allow/{index}"), Part::Value, "verb", verb, Step::VERBS);
            }
        }
        self.variants(lab);
        self.templates(value);
        self.steps("/setup", &lab.setup, None);
        let step_ids = lab
            .setup
            .iter()
            .enumerate()
            .filter_map(|(i, step)| Some((format!("/setup/{i}/id"), step.id.as_deref()?)));
        self.unique("step", step_ids);
        self.unique(
            "task",
            lab.tasks.iter().enumerate().map(|(i, task)| (format!("/tasks/{i}/id"), task.id.as_str())),
        );
        let fault_ids = lab.tasks.iter().enumerate().flat_map(|(t, task)| {
            task.faults
                .iter()
                .enumerate()
                .map(move |(f, fault)| (format!("/tasks/{t}/faults/{f}/id"), fault.id.as_str()))
        });
        self.unique("fault", fault_ids);
        for (index, task) in lab.tasks.iter().enumerate() {
            self.task(&format!("/tasks/{index}"), task);
        }
    }

    fn variants(&mut self, lab: &Lab) {
        for (name, variant) in &lab.variants {
            let pointer = format!("/variants/{}", escaped(name));
            if variant.duration.is_some_and(|[low, high]| low > high)
                || variant.integer.is_some_and(|[low, high]| low > high)
            {
                self.say(
                    &pointer,
                    text!("`{name}`: the first end is above the second", "`{name}`: 시작이 끝보다 큽니다"),
                );
            }
            if VARIABLES.contains(&name.as_str()) || name == "n" {
                self.say(
                    &pointer,
                    text!(
                        "`{name}` has a meaning of its own; choose another name",
                        "`{name}` 은(는) 따로 뜻이 있는 이름입니다. 다른 이름을 쓰세요"
                    ),
                );
            }
        }
    }

    /// Templates that are no variant are expressions, and only steps are run with those.
    fn templates(&mut self, value: &Value) {
        let mut found = Vec::new();
        crate::template::expressions(value, "", &mut found);
        for (pointer, expression) in found {
            let in_load = pointer.starts_with("/setup/") && pointer.contains("/load/");
            if self.names.variants.contains(&expression) || (expression == "n" && in_load) {
                continue;
            }
            let problem = match pointer.starts_with("/setup/") {
                true => self.names.problem_of(&expression, &[], &[]),
                false => {
                    let variants: Vec<&str> = self.names.variants.iter().map(String::as_str).collect();
                    let help = suggestion(&expression, variants.iter().copied());
                    Some(text!(
                        "no variant `{expression}`; {help}",
                        "변형 `{expression}` 은(는) 없습니다. {help}",
                        help
                    ))
                }
            };
            if let Some(problem) = problem {
                self.say(&pointer, problem);
            }
        }
    }

    fn steps(&mut self, pointer: &str, steps: &[Step], submitted_to: Option<&Lab>) {
        for (index, step) in steps.iter().enumerate() {
            let at = format!("{pointer}/{index}");
            let (verb, _) = step.verb();
            match submitted_to {
                Some(lab) => {
                    let allowed: Vec<&str> =
                        lab.submission.allow.iter().map(String::as_str).chain(["answer"]).collect();
                    if !allowed.contains(&verb) {
                        let allowed = list_of(allowed);
                        let message = text!(
                            "this lab does not allow `{verb}` in a submission; it allows {allowed}",
                            "이 실습의 제출물에는 `{verb}` 을(를) 쓸 수 없습니다. 쓸 수 있는 것: {allowed}",
                            allowed
                        );
                        self.problems.push(self.document.problem(
                            &format!("{at}/{verb}"),
                            Part::Key,
                            message,
                        ));
                    }
                    if let Some(task) = step.task.as_ref().filter(|task| lab.task(task).is_none()) {
                        let tasks: Vec<&str> = lab.tasks.iter().map(|task| task.id.as_str()).collect();
                        self.unknown(&format!("{at}/task"), Part::Value, "task", task, &tasks);
                    }
                    if let Some(fault) =
                        step.fault.as_ref().filter(|fault| self.names.faults.contains(&fault.id))
                    {
                        let id = &fault.id;
                        let message = text!(
                            "`{id}` is a fault of the lab; choose another id",
                            "`{id}` 은(는) 실습의 장애입니다. 다른 id 를 쓰세요"
                        );
                        self.say(&format!("{at}/fault/id"), message);
                    }
                    if let Some(answer) =
                        step.answer.as_ref().filter(|answer| !self.names.answers.contains(&answer.id))
                    {
                        let answers = answer_ids(lab);
                        self.unknown(&format!("{at}/answer/id"), Part::Value, "answer", &answer.id, &answers);
                    }
                }
                None if step.task.is_some() => self.say(
                    &format!("{at}/task"),
                    Text::new("setup comes before all tasks", "setup 은 모든 과제보다 먼저입니다"),
                ),
                None => {}
            }
            self.step(&at, step);
        }
    }

    fn step(&mut self, at: &str, step: &Step) {
        if let Some(fault) = &step.fault {
            if fault.at.is_some() || fault.when.is_some() {
                let message = Text::new(
                    "a fault that is a step strikes when the step is done; `at` and `when` go with a task's faults",
                    "단계로 쓴 장애는 그 단계를 할 때 일어납니다. `at` 과 `when` 은 과제의 장애에 씁니다",
                );
                self.say(&format!("{at}/fault"), message);
            }
            self.fault_times(&format!("{at}/fault"), fault);
        }
        if let Some(crate::steps::Wait::Until { condition, .. }) = &step.wait {
            self.condition(&format!("{at}/wait/until"), condition);
        }
        if let Some(load) = &step.load {
            match &step.id {
                None => self.say(
                    at,
                    Text::new(
                        "a load needs an id, by which checks name it",
                        "부하에는 검사가 부를 id 가 필요합니다",
                    ),
                ),
                Some(id) if TAKEN.is_match(id) => self.say(
                    &format!("{at}/id"),
                    text!(
                        "`{id}` is the name of a component; choose another",
                        "`{id}` 은(는) 컴포넌트의 이름입니다. 다른 이름을 쓰세요"
                    ),
                ),
                Some(_) => {}
            }
            if let Err(message) = write_of(&load.etcdctl.replace("${n}", "1")) {
                self.say(&format!("{at}/load/etcdctl"), message);
            } else if !load.etcdctl.contains("${n}") {
                self.say(
                    &format!("{at}/load/etcdctl"),
                    Text::new(
                        "every write would be the same; put ${n} into its key or value",
                        "모든 쓰기가 같아집니다. 키나 값에 ${n} 을 넣으세요",
                    ),
                );
            }
        }
        if let Some(delete) = &step.delete {
            self.kind(&format!("{at}/delete/kind"), &delete.kind, delete.api_version.as_deref());
        }
        if let Some(patch) = &step.patch {
            self.kind(&format!("{at}/patch/kind"), &patch.kind, patch.api_version.as_deref());
        }
        if let Some(scale) = &step.scale {
            self.kind(&format!("{at}/scale/kind"), &scale.kind, None);
        }
    }

    fn task(&mut self, at: &str, task: &Task) {
        self.unique(
            "check",
            task.checks
                .iter()
                .enumerate()
                .map(|(i, check)| (format!("{at}/checks/{i}/id"), check.id.as_str())),
        );
        for (index, fault) in task.faults.iter().enumerate() {
            let at = format!("{at}/faults/{index}");
            if fault.at.is_none() && fault.when.is_none() {
                let message = Text::new(
                    "when does it strike? add `at: 3s`, or `when:` and a condition",
                    "언제 일어납니까? `at: 3s`, 또는 `when:` 과 조건을 넣으세요",
                );
                self.say(&at, message);
            }
            if let Some(when) = &fault.when {
                self.condition(&format!("{at}/when"), when);
            }
            self.fault_times(&at, fault);
        }
        let checks: Vec<&str> = task.checks.iter().map(|check| check.id.as_str()).collect();
        for (index, hint) in task.hints.iter().enumerate() {
            if let Some(id) = hint.after_failed.as_ref().filter(|id| !checks.contains(&id.as_str())) {
                self.unknown(&format!("{at}/hints/{index}/afterFailed"), Part::Value, "check", id, &checks);
            }
        }
        for (index, check) in task.checks.iter().enumerate() {
            let at = format!("{at}/checks/{index}");
            for (number, id) in check.after.iter().enumerate() {
                if !checks[..index].contains(&id.as_str()) {
                    let pointer = format!("{at}/after/{number}");
                    match checks.contains(&id.as_str()) {
                        true => self.say(
                            &pointer,
                            text!(
                                "`{id}` stands below; `after` names checks that stand above",
                                "`{id}` 은(는) 아래에 있습니다. `after` 에는 위에 있는 검사를 적습니다"
                            ),
                        ),
                        false => self.unknown(&pointer, Part::Value, "check", id, &checks),
                    }
                }
            }
            self.check(&at, check);
        }
    }

    fn check(&mut self, at: &str, check: &crate::checks::Check) {
        let timings = [
            ("eventually", check.eventually.is_some()),
            ("always", check.always.is_some()),
            ("never", check.never.is_some()),
            ("throughout", check.throughout.is_some()),
        ];
        let set: Vec<&str> = timings.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
        if set.len() > 1 {
            let set = list_of(set);
            self.say(at, text!("{set} exclude each other", "{set} 은(는) 함께 쓸 수 없습니다", set));
        }
        if let Some(resource) = &check.resource {
            if resource.of.name.is_none() {
                let message = Text::new(
                    "the check names no object: add `name:`",
                    "검사가 가리키는 객체가 없습니다. `name:` 을 넣으세요",
                );
                self.say(&format!("{at}/resource/of"), message);
            }
            if resource.absent && resource.object.is_some() {
                self.say(&format!("{at}/resource"), exclusive("absent", "object"));
            }
            self.object(&format!("{at}/resource/of"), &resource.of);
        }
        if let Some(count) = &check.count {
            if count.is.is_none() && count.at_least.is_none() && count.at_most.is_none() {
                let message = Text::new(
                    "how many? add `is`, `atLeast` or `atMost`",
                    "몇 개입니까? `is`, `atLeast`, `atMost` 중 하나를 넣으세요",
                );
                self.say(&format!("{at}/count"), message);
            }
            if count.of.name.is_some() {
                let message = Text::new(
                    "what has a name is not counted; use `resource`",
                    "이름이 있는 것은 세지 않습니다. `resource` 를 쓰세요",
                );
                self.say(&format!("{at}/count/of"), message);
            }
            self.object(&format!("{at}/count/of"), &count.of);
        }
        if let Some(event) = &check.event {
            match &event.regarding {
                Some(regarding) => self.object(&format!("{at}/event/regarding"), regarding),
                None => self.api_server(&format!("{at}/event")),
            }
        }
        if let Some(cel) = &check.cel {
            self.condition(&format!("{at}/cel"), &cel.0);
        }
        if check.live && check.answer.is_none() {
            let message = Text::new(
                "only an answer is judged by the live run",
                "실제 진행으로 판정하는 것은 답뿐입니다",
            );
            self.say(&format!("{at}/live"), message);
        }
        if let Some(answer) = &check.answer {
            for (name, condition) in [("equals", &answer.equals), ("oneOf", &answer.one_of)] {
                if let Some(condition) = condition {
                    self.condition(&format!("{at}/answer/{name}"), condition);
                }
            }
        }
        if let Some(load) = check.load.as_ref().filter(|load| !self.names.loads.contains(&load.id)) {
            let loads = self.names.loads.clone();
            let loads: Vec<&str> = loads.iter().map(String::as_str).collect();
            self.unknown(&format!("{at}/load/id"), Part::Value, "load", &load.id, &loads);
        }
    }

    fn fault_times(&mut self, at: &str, fault: &FaultSpec) {
        if fault.lasts.is_some() && fault.heal_at.is_some() {
            self.say(at, exclusive("for", "healAt"));
        }
    }

    fn condition(&mut self, at: &str, condition: &Condition) {
        let at = if condition.bound().is_empty() { at.to_owned() } else { format!("{at}/cel") };
        if let Some(problem) = self.names.problem_of(condition.cel.source(), &condition.bound(), &[]) {
            self.say(&at, problem);
        }
        for (name, object) in &condition.objects {
            let parent = at.trim_end_matches("/cel");
            self.object(&format!("{parent}/objects/{}", escaped(name)), object);
        }
    }

    fn object(&mut self, at: &str, object: &ObjectRef) {
        self.api_server(at);
        self.kind(&format!("{at}/kind"), &object.kind, object.api_version.as_deref());
        let templated = has_template(&serde_json::to_value(object).expect("a reference is plain data"));
        if let Some(Err(error)) =
            object.label_selector.as_ref().filter(|_| !templated).map(|text| LabelSelector::parse(text))
        {
            self.say(&format!("{at}/labelSelector"), error);
        }
        if let Some(Err(error)) =
            object.field_selector.as_ref().filter(|_| !templated).map(|text| FieldSelector::parse(text))
        {
            self.say(&format!("{at}/fieldSelector"), error);
        }
    }

    fn kind(&mut self, at: &str, kind: &str, api_version: Option<&str>) {
        let is_custom = match api_version {
            Some(version) => !crate::objects::is_built_in(version),
            None => self.custom_kinds.contains(kind),
        };
        if !is_custom && let Err(error) = crate::objects::resource(kind, api_version) {
            self.say(at, error);
        }
    }

    fn api_server(&mut self, at: &str) {
        if !self.has_api_server {
            let message = Text::new(
                "this lab boots no API server: add `apiServer: {}` to its cluster",
                "이 실습에는 API 서버가 없습니다. cluster 에 `apiServer: {}` 를 넣으세요",
            );
            self.say(at, message);
        }
    }
}

fn custom_kinds(lab: &Lab, document: &Value) -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    let setup = serde_json::to_value(&lab.setup).expect("steps are plain data");
    crate::objects::defined_in(&setup, &mut kinds);
    crate::objects::defined_in(document, &mut kinds);
    kinds
}

/// What a lab gives ids to.
fn thing(what: &str) -> Text {
    let in_korean = match what {
        "answer" => "답",
        "check" => "검사",
        "fault" => "장애",
        "load" => "부하",
        "step" => "단계",
        "task" => "과제",
        "verb" => "동사",
        other => other,
    };
    Text::new(what, in_korean)
}

fn exclusive(one: &str, other: &str) -> Text {
    text!("`{one}` and `{other}` exclude each other", "`{one}` 과(와) `{other}` 은(는) 함께 쓸 수 없습니다")
}

/// Names in the world that a load may not take.
static TAKEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(etcd\d*|driver|grader|kubectl|etcdctl|cluster)$").expect("a constant"));

/// A key as it stands in a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
