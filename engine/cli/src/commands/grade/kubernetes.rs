//! `labkit grade --on kubernetes`: an Indexed Job that grades a class in several pods. Each pod grades its part of the
//! class as `labkit grade` does anywhere, and writes reports to the volume that all share; whoever has the volume then
//! makes the summary with `--resume`, which grades nothing again.

use serde_json::{Value, json};

use crate::arguments::{Global, GradeArguments};
use crate::course::Found;
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Screen, say};

/// Pods, where nobody says how many.
const SHARDS: u64 = 4;

/// Characters of a Job's name, which becomes a label of its pods.
const NAME_MAX: usize = 63;

/// MiB that a pod needs besides what its submissions may use.
const OWN_MEMORY: u64 = 256;

pub fn write(screen: &Screen, global: &Global, arguments: &GradeArguments, found: &Found) -> Outcome {
    if arguments.lab.contains('/') || arguments.lab == "." {
        let message = say!(
            screen.language,
            "a pod does not see {}: name a lab of the course",
            "파드에서는 {} 이(가) 보이지 않습니다. 과정의 실습 이름을 주세요",
            arguments.lab
        );
        return Err(Failure::usage(message).next(say!(
            screen.language,
            "for a course of your own, copy its labs/ to the volume and give --course",
            "자기 과정이라면 labs/ 를 볼륨에 복사하고 --course 를 주세요"
        )));
    }
    let job = job(global, arguments, found.folder.name());
    if screen.json {
        screen.print_json(&job);
        return Ok(Exit::Passed);
    }
    let yaml = serde_yaml::to_string(&job).expect("a Job is plain data");
    screen.print(&format!("{}{yaml}", comment(screen, global, arguments, found.folder.name())));
    Ok(Exit::Passed)
}

/// What to do with it, above the document.
fn comment(screen: &Screen, global: &Global, arguments: &GradeArguments, lab: &str) -> String {
    let (claim, job, dir) = (&arguments.claim, job_name(lab), arguments.dir.display());
    let labs = match global.course {
        Some(_) => say!(screen.language, ", and your course's labs/", ", 그리고 과정의 labs/"),
        None => String::new(),
    };
    say!(
        screen.language,
        "# 1. Copy {dir} to the volume of the claim {claim}, as submissions/{labs}.\n\
         # 2. kubectl apply -f FILE; kubectl wait --for=condition=complete --timeout=1h job/{job}\n\
         # 3. Copy grades/ from the volume, and: labkit grade {lab} {dir} --out grades --resume\n",
        "# 1. {claim} 클레임의 볼륨에 {dir} 을(를) submissions/ 로 복사합니다{labs}.\n\
         # 2. kubectl apply -f FILE; kubectl wait --for=condition=complete --timeout=1h job/{job}\n\
         # 3. 볼륨의 grades/ 를 가져와서: labkit grade {lab} {dir} --out grades --resume\n"
    )
}

/// The Job's name, whatever the lab was called by.
fn job_name(lab: &str) -> String {
    let mut name = format!("labkit-grade-{lab}");
    name.truncate(NAME_MAX);
    name.trim_end_matches('-').to_owned()
}

fn job(global: &Global, arguments: &GradeArguments, lab: &str) -> Value {
    let shards = arguments.shards.unwrap_or(SHARDS);
    let jobs = arguments.jobs.unwrap_or(1);
    let number = |number: u64| number.to_string();
    let mut words = vec!["grade".to_owned(), lab.to_owned(), "/class/submissions".to_owned()];
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    flag("--out", "/class/grades".to_owned());
    flag("--shards", number(shards));
    flag("--jobs", number(jobs));
    flag("--memory", number(arguments.memory));
    flag("--time-limit", number(arguments.time_limit));
    if global.course.is_some() {
        flag("--course", "/class/labs".to_owned());
    }
    words.extend(arguments.replay_only.then(|| "--replay-only".to_owned()));
    // A pod that is started once more goes on where the one before it was.
    words.push("--resume".to_owned());
    let memory = format!("{}Mi", OWN_MEMORY + jobs * arguments.memory);
    let name = job_name(lab);
    let labels = json!({"app.kubernetes.io/name": "labkit", "app.kubernetes.io/component": "grade", "labkit.dev/lab": lab});
    let container = json!({
        "name": "grade",
        "image": arguments.image,
        "args": words,
        "env": [{"name": "HOME", "value": "/tmp"}],
        "resources": {
            "requests": {"cpu": number(jobs), "memory": memory},
            "limits": {"memory": memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [{"name": "class", "mountPath": "/class"}, {"name": "tmp", "mountPath": "/tmp"}],
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": shards,
            "parallelism": shards,
            "backoffLimitPerIndex": 2,
            "maxFailedIndexes": shards,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": [
                        {"name": "class", "persistentVolumeClaim": {"claimName": arguments.claim}},
                        {"name": "tmp", "emptyDir": {}},
                    ],
                },
            },
        },
    })
}
