//! Submissions that want more than to be graded, each named for what it tries. None touches the host, none earns a
//! point, none harms its neighbours, and each is said in its report.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::class::{HEAD, full_marks, read_vault, row, snapshot, vault};
use crate::home::Home;

/// What only the instructor may see.
const CANARY: &str = "canary-5d1f";
/// What only the neighbour may see.
const SECRET: &str = "neighbours-secret-77aa";

/// What must become of an attack; it never gets a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is not even played.
    Refused,
    /// It is played as what it is, and earns nothing.
    Harmless,
    /// It costs more than a submission may.
    OverLimit,
    /// Bounded either way: by the lab's own time, or by the process's.
    Bounded,
}

use Fate::{Bounded, Harmless, OverLimit, Refused};

/// The folder of attacks.
struct Attacks {
    dir: PathBuf,
    fates: Vec<(String, Fate)>,
}

impl Attacks {
    fn folder(&mut self, name: &str, fate: Fate) -> PathBuf {
        let folder = self.dir.join(name);
        fs::create_dir(&folder).unwrap();
        self.fates.push((name.to_owned(), fate));
        folder
    }

    /// A submission of these bytes.
    fn bytes(&mut self, name: &str, fate: Fate, bytes: impl AsRef<[u8]>) -> PathBuf {
        let folder = self.folder(name, fate);
        fs::write(folder.join("submission.yaml"), bytes).unwrap();
        folder
    }

    /// A submission for the lab with this in it.
    fn with(&mut self, name: &str, fate: Fate, body: impl AsRef<str>) -> PathBuf {
        self.bytes(name, fate, format!("{HEAD}{}\n", body.as_ref()))
    }

    /// A submission that creates what is in a file.
    fn manifest(&mut self, name: &str, file: &str) -> PathBuf {
        self.with(name, Refused, format!("steps: [{{create: {{file: {file}}}}}]"))
    }

    fn condition(&mut self, name: &str, fate: Fate, cel: &str) {
        self.with(name, fate, format!("steps: [{{wait: {{until: \"{cel}\", atMost: 1s}}}}]"));
    }
}

fn attack_by_files(attacks: &mut Attacks) {
    attacks.manifest("manifest-by-path-traversal", "../honest/secret.yaml");
    attacks.manifest("manifest-by-absolute-path", "/etc/passwd");
    attacks.manifest("manifest-by-traversal-in-the-middle", "a/../../honest/secret.yaml");
    attacks.manifest("manifest-of-many-dots", "....//....//canary.txt");
    let link = |folder: PathBuf, to: &str, name: &str| symlink(to, folder.join(name)).unwrap();
    link(attacks.manifest("manifest-links-to-the-host", "m.yaml"), "/etc/passwd", "m.yaml");
    link(attacks.manifest("manifest-links-to-the-canary", "m.yaml"), "../../canary.txt", "m.yaml");
    link(attacks.manifest("manifest-links-to-the-neighbour", "m.yaml"), "../honest/secret.yaml", "m.yaml");
    link(attacks.manifest("manifest-links-to-itself", "m.yaml"), "m.yaml", "m.yaml");
    link(attacks.manifest("manifest-links-to-the-environment", "m.yaml"), "/proc/self/environ", "m.yaml");
    link(attacks.manifest("manifest-links-to-an-endless-device", "m.yaml"), "/dev/zero", "m.yaml");
    link(attacks.manifest("manifest-through-a-linked-folder", "d/secret.yaml"), "../honest", "d");
    let folder = attacks.folder("submission-links-to-the-neighbour", Refused);
    link(folder, "../honest/submission.yaml", "submission.yaml");
    let folder = attacks.folder("lab-folder-links-to-the-neighbour", Refused);
    link(folder, "../honest", "vault");
    symlink("honest", attacks.dir.join("folder-links-to-the-neighbour")).unwrap();
    attacks.fates.push(("folder-links-to-the-neighbour".to_owned(), Refused));
    symlink("/", attacks.dir.join("folder-links-to-the-root")).unwrap();
    attacks.fates.push(("folder-links-to-the-root".to_owned(), Refused));
    let fifo = |path: PathBuf| nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fifo(attacks.folder("submission-is-a-pipe", Refused).join("submission.yaml"));
    fifo(attacks.manifest("manifest-is-a-pipe", "m.yaml").join("m.yaml"));
    let folder = attacks.folder("submission-is-a-socket", Refused);
    drop(UnixListener::bind(folder.join("submission.yaml")).unwrap());
    fs::create_dir(attacks.folder("submission-is-a-folder", Refused).join("submission.yaml")).unwrap();
    attacks.folder("nothing-in-it", Refused);
    let folder = attacks.folder("submission-of-a-terabyte", Refused);
    fs::File::create(folder.join("submission.yaml")).unwrap().set_len(1 << 40).unwrap();
    let files: Vec<String> = (0..12).map(|index| format!("{{create: {{file: {index}.yaml}}}}")).collect();
    let folder =
        attacks.with("nine-megabytes-of-manifests", Refused, format!("steps: [{}]", files.join(", ")));
    let padding = "#".repeat((1 << 20) - 100);
    for index in 0..12 {
        let text = format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c{index}}}}}\n{padding}");
        fs::write(folder.join(format!("{index}.yaml")), text).unwrap();
    }
}

fn attack_by_text(attacks: &mut Attacks) {
    attacks.bytes("not-utf-8", Refused, [HEAD.as_bytes(), b"answers: {victim: \xff\xfe}"].concat());
    attacks.bytes("utf-16", Refused, HEAD.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    attacks.with("nul-in-an-answer", Refused, "answers: {victim: \"etcd1\0\"}\nsteps: \0");
    attacks.with("alias-bomb", Refused, format!("steps: []\nanswers:\n{}", bomb(12, "  ")));
    let text = "x".repeat(1 << 19);
    let copies = "*t, ".repeat(20_000);
    attacks.with(
        "alias-bomb-of-one-long-text",
        Refused,
        format!("answers: {{victim: [&t {text}, {copies}]}}"),
    );
    let folder = attacks.with("alias-bomb-in-a-manifest", Refused, "steps: [{create: {file: m.yaml}}]");
    fs::write(folder.join("m.yaml"), bomb(12, "")).unwrap();
    attacks.with("nested-100000-deep", Refused, format!("answers: {{victim: {}", "[".repeat(100_000)));
    let folder = attacks.with("manifest-nested-100000-deep", Refused, "steps: [{create: {file: m.yaml}}]");
    fs::write(folder.join("m.yaml"), "{a: ".repeat(100_000)).unwrap();
    attacks.with("a-million-answers", Refused, answers(1_000_000));
    attacks.with("thousands-of-unknown-answers", Refused, answers(20_000));
    let twice = "  victim: etcd1\n".repeat(20_000);
    attacks.with("one-answer-20000-times", Refused, format!("answers:\n{twice}"));
    attacks.with("a-name-of-a-megabyte", Refused, format!("answers: {{{}: 1}}", "n".repeat(1_000_000)));
    attacks.with(
        "object-of-the-parser",
        Refused,
        "answers: !!python/object/apply:os.system [touch /tmp/pwned]",
    );
    attacks.with("a-second-document", Refused, format!("---\n{HEAD}"));
    attacks.with("merge-key", Refused, "a: &a {victim: x}\nanswers: {<<: *a}");
    attacks.bytes("another-version", Refused, HEAD.replace("v1alpha1", "v9"));
    attacks.bytes("another-kind", Refused, HEAD.replace("Submission", "Lab"));
    attacks.bytes("another-lab", Refused, HEAD.replace("vault", "../honest"));
    attacks.with("points-for-me", Refused, "points: 10\ngrade: 10");
    attacks.with("two-thousand-steps", Refused, format!("steps:\n{}", "  - wait: 1s\n".repeat(2000)));
}

fn attack_by_steps(attacks: &mut Attacks) {
    let step = |step: &str| format!("steps: [{step}]");
    attacks.with("verb-that-is-not-allowed", Refused, step("{stop: etcd/etcd1}"));
    attacks.with("script-on-the-host", Refused, step("{script: touch /tmp/pwned}"));
    attacks.with("fault-takes-the-labs-name", Refused, step("{fault: {id: crash, kill: etcd/etcd1}}"));
    attacks.with("fault-on-the-grader", Harmless, step("{fault: {id: x, kill: grader}}"));
    attacks.with(
        "fault-cuts-off-the-grader",
        Harmless,
        step("{fault: {id: x, partition: \"grader | apiServer\"}}"),
    );
    attacks.with("fault-of-negative-length", Refused, step("{fault: {id: x, kill: etcd/etcd1, for: -5s}}"));
    attacks.with(
        "fault-more-than-certain",
        Refused,
        step("{fault: {id: x, drop: {link: etcd1 | etcd2, probability: 7}}}"),
    );
    attacks.with("wait-of-negative-length", Refused, step("{wait: -1h}"));
    attacks.with("wait-of-a-century", Refused, step("{wait: 876000h}"));
    attacks.with(
        "load-in-the-graders-name",
        Refused,
        step("{id: grader, load: {rate: 1/s, etcdctl: 'put ${n} x'}}"),
    );
    attacks.with(
        "endless-fast-forward",
        Bounded,
        format!("steps:\n{}", "  - fastForward: 2h\n".repeat(1000)),
    );
    let waits = "  - wait: {until: 'false', atMost: 2h}\n".repeat(1000);
    attacks.with("endless-waiting", Bounded, format!("steps:\n{waits}"));
    let loads = (0..900).map(|n| {
        format!("  - {{id: l{n}, load: {{rate: 1000/s, total: 100000, etcdctl: 'put ${{n}} x'}}}}\n")
    });
    attacks.with("flood-of-writes", Bounded, format!("steps:\n{}  - wait: 2h\n", loads.collect::<String>()));
    let put = format!("  - etcdctl: put big {}\n", "x".repeat(300_000));
    attacks.with(
        "flood-of-outputs",
        Harmless,
        format!("steps:\n{put}{}", "  - etcdctl: get big\n".repeat(500)),
    );
    let shell = "put a b; touch /tmp/pwned $(touch /tmp/pwned) `touch /tmp/pwned` > /tmp/pwned";
    attacks.with("shell-in-a-command", Harmless, step(&format!("{{etcdctl: '{shell}'}}")));
    attacks.with("snapshot-over-the-hosts-file", Harmless, step("{etcdctl: snapshot save ../../canary.txt}"));
    attacks.with(
        "certificates-from-the-host",
        Harmless,
        step("{etcdctl: --cacert=/etc/passwd --endpoints=http://127.0.0.1:1 get a}"),
    );
    attacks.with(
        "endless-keep-alive",
        Bounded,
        step("{etcdctl: lease grant 60}, {etcdctl: lease keep-alive 1}"),
    );
    let objects: String = (0..9000)
        .map(|n| format!("---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c{n}}}}}\n"))
        .collect();
    let folder = attacks.with("thousands-of-objects", Refused, step("{create: {file: m.yaml}}"));
    fs::write(folder.join("m.yaml"), objects).unwrap();
    let million = "{apply: {manifest: {apiVersion: apps/v1, kind: Deployment, metadata: {name: m}, spec: {replicas: 2000000, \
        selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}}}";
    attacks.with("two-million-pods", Bounded, step(&format!("{million}, {{wait: 2h}}")));
    let path =
        "{create: {manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: ../../../../etc/passwd}}}}";
    attacks.with("object-named-as-a-path", Harmless, step(path));
}

fn attack_by_expressions(attacks: &mut Attacks) {
    let nested = |deep: usize, inner: &str| {
        let list = "[1,2,3,4,5,6,7,8,9,0]";
        (0..deep).fold(inner.to_owned(), |inner, level| format!("{list}.all(v{level}, {inner})"))
    };
    // Ended by the budget of turns, or in a slow build by the limit of time.
    attacks.condition("expression-without-end", Bounded, &nested(14, "true"));
    let doubled =
        (0..40).fold("['xxxxxxxx']".to_owned(), |list, n| format!("[{list}].map(v{n}, v{n} + v{n})[0]"));
    attacks.condition("expression-of-all-memory", OverLimit, &format!("size({doubled}) > 0"));
    attacks.condition("expression-of-all-stack", Bounded, &format!("{}1 == 0", "1+".repeat(1990)));
    attacks.condition(
        "expression-of-brackets",
        Refused,
        &format!("{}1{}", "(".repeat(1000), ")".repeat(1000)),
    );
    let hard = format!("'{}'.matches('(a*)*(a|aa)*b')", "a".repeat(2000));
    attacks.condition("expression-with-a-slow-pattern", Harmless, &hard);
    attacks.condition("expression-that-asks-for-the-answer", Harmless, "faults.crash.name");
    attacks.condition("expression-that-names-the-variant", Refused, "code == 1");
}

fn attack_by_answers(attacks: &mut Attacks) {
    let answer = |text: &str| format!("answers: {{victim: {text}, code: {text}}}");
    attacks.with("answer-is-a-template", Harmless, answer("\"${faults.crash.name}\""));
    attacks.with("answer-is-the-variant", Harmless, "answers: {victim: etcd0, code: \"code-${code}\"}");
    attacks.with("answer-is-an-expression", Harmless, answer("{cel: faults.crash.name}"));
    attacks.with("answer-is-blank", Harmless, answer("\"  \""));
    attacks.with("answer-is-nothing", Harmless, answer("null"));
    attacks.with("answer-is-everything", Harmless, answer("[etcd1, etcd2, etcd3]"));
    attacks.with("answer-is-everything-as-text", Harmless, answer("\"etcd1,etcd2,etcd3\""));
    attacks.with("answer-is-not-a-number", Harmless, answer(".nan"));
    attacks.with("answer-is-a-pattern", Harmless, answer("\".*\""));
    attacks.with("answer-of-half-a-megabyte", Harmless, answer(&"e".repeat(250_000)));
    attacks.with(
        "observed-is-forged",
        Harmless,
        "observed: {victim: etcd0, code: x}\nanswers: {victim: etcd0, code: x}",
    );
    attacks.with("expects-to-fail-and-pass", Harmless, "expect: {fails: [open/door]}");
    let step = "steps: [{answer: {id: victim, value: \"${faults.crash.name}\"}}]";
    attacks.with("answer-as-a-step-with-a-template", Harmless, step);
}

/// Folders whose names are the attack.
fn attack_by_names(dir: &Path) -> usize {
    let names: Vec<Vec<u8>> = vec![
        b"=cmd|'calc'!A0".to_vec(),
        b"-rf".to_vec(),
        b"name\nwith\tlines".to_vec(),
        b"name\x1b[2J\x1b]0;pwned\x07".to_vec(),
        b"not-utf-8-\xff\xfe".to_vec(),
        "tsenoh\u{202e}honest".as_bytes().to_vec(),
        b"honest ".to_vec(),
        b"HONEST".to_vec(),
        b"%2e%2e%2fhonest".to_vec(),
        b"x..%c0%afhonest".to_vec(),
        b"\"><script>alert(1)</script>"[..15].to_vec(),
        "가".repeat(85).into_bytes(),
        vec![b'n'; 255],
        b"|*_`<b>`[x](y)".to_vec(),
    ];
    for name in &names {
        let folder = dir.join(OsString::from_vec(name.clone()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("submission.yaml"), HEAD).unwrap();
    }
    names.len()
}

fn answers(count: usize) -> String {
    let answers: String = (0..count).map(|n| format!("  a{n}: 1\n")).collect();
    format!("answers:\n{answers}")
}

fn bomb(levels: usize, indent: &str) -> String {
    let mut text = format!("{indent}a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..levels {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("{indent}a{level}: &a{level} [{aliases}]\n"));
    }
    text
}

#[test]
fn no_submission_touches_the_host_raises_its_grade_or_harms_its_neighbour() {
    let home = Home::new();
    vault(&home);
    home.write("canary.txt", CANARY);
    let honest = full_marks(&read_vault(), "honest");
    home.write("class/honest/submission.yaml", &honest);
    home.write(
        "class/honest/secret.yaml",
        format!("{{apiVersion: v1, kind: Secret, metadata: {{name: {SECRET}}}}}"),
    );
    let alone = home.json(&["grade", "vault", "class"]);
    let mut attacks = Attacks { dir: home.path().join("class"), fates: Vec::new() };
    attack_by_files(&mut attacks);
    attack_by_text(&mut attacks);
    attack_by_steps(&mut attacks);
    attack_by_expressions(&mut attacks);
    attack_by_answers(&mut attacks);
    let named = attack_by_names(&attacks.dir);
    assert!(attacks.fates.len() + named > 80, "{}", attacks.fates.len() + named);
    let before = snapshot(home.path());

    let words =
        ["grade", "vault", "class", "--out", "grades", "--jobs", "2", "--time-limit", "2", "--memory", "256"];
    let graded = home.run(&[&words[..], &["--format", "json"]].concat()).ends_with(1);
    let class: Value = serde_json::from_str(&graded.out).unwrap();

    let rows = class["submissions"].as_array().unwrap();
    assert_eq!(rows.len(), attacks.fates.len() + named + 1);
    let mut surprises = Vec::new();
    for (name, fate) in &attacks.fates {
        let row = row(&class, name);
        let outcome = row["outcome"].as_str().unwrap();
        let as_it_must = match fate {
            Refused => outcome == "refused",
            Harmless => outcome == "graded",
            OverLimit => outcome == "overLimit",
            Bounded => outcome == "graded" || outcome == "overLimit",
        };
        let told = (outcome == "graded") == row["problems"].as_array().unwrap().is_empty();
        if !as_it_must || !told || row["points"] != 0 {
            let (points, problems) = (&row["points"], &row["problems"]);
            surprises
                .push(format!("{name} must be {fate:?}, but is {outcome} with {points} points: {problems}"));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    let passed = rows.iter().filter(|row| row["points"] != 0).count();
    assert_eq!(passed, 1, "only the honest one has points");
    assert_eq!(row(&class, "honest")["points"], 10);
    assert_eq!(row(&class, "honest"), row(&alone, "honest"));

    let mut after = snapshot(home.path());
    let reports: Vec<(String, Vec<u8>)> = after.extract_if(.., |path, _| path.contains("/grades/")).collect();
    assert!(before == after, "a file outside of the results has changed");
    assert!(!Path::new("/tmp/pwned").exists());
    assert_eq!(reports.len(), rows.len() * 2 + 4, "a report a student in two forms, and the summaries");
    for (path, bytes) in &reports {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(CANARY) && !text.contains("root:x:0"), "{path}");
        assert!(path.contains("/honest.") || !text.contains(SECRET), "{path}");
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{path} steers the terminal");
        assert!(bytes.len() < 4 << 20, "{path} has {} bytes", bytes.len());
    }
    let csv = fs::read_to_string(home.path().join("grades/summary.csv")).unwrap();
    assert!(csv.contains("\n'=cmd|") && csv.contains("\n'-rf,"), "{csv}");
}
