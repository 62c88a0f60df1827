//! Scripts of submissions: a real shell, with real clients, in bubblewrap. The sandbox has no network but its own
//! loopback, and in it the lab itself runs: nothing of this machine can be reached. What comes out is what `labkit
//! submit` writes, a submission like any other, which is then graded as data. So a script that lies about what it did
//! has only handed in something else.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use labkit_lab::{Language, Outcome};
use tempfile::NamedTempFile;

use crate::arguments::{Global, GradeArguments};
use crate::course;
use crate::failure::Failure;
use crate::screen::{Screen, say};

/// How often a waiting grader looks whether the script is done, or it was interrupted.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes of the longest submission that is taken out of a sandbox.
const PLAYED_MAX: u64 = 1 << 20;

/// Folders of the system that a shell and its programs need, read only. Where one is missing, it is left out.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives"];

/// Where this program stands within the sandbox.
const LABKIT: &str = "/opt/labkit/labkit";

/// How [`PLAY`] ends where nothing could be played.
const NO_FOLDER: i32 = 90;
const NO_LAB: i32 = 91;

/// What runs in the sandbox: the lab, the script in it, and then the submission on stdout. A script that fails has
/// done what it did until then; how it ended is told on stderr.
const PLAY: &str = r#"
mkdir -p /tmp/home /tmp/work && cd /tmp/work || exit 90
labkit start "$LAB" --student "$STUDENT" >/tmp/start.log 2>&1 || { tail -n 3 /tmp/start.log >&2; exit 91; }
. /tmp/home/.local/state/labkit/*/env
sh /opt/labkit/script </dev/null >/tmp/script.log 2>&1
code=$?
last=$(tail -c 2000 /tmp/script.log | tail -n 3)
: >/tmp/script.log
labkit submit --out /tmp/out >/tmp/submit.log 2>&1 || { tail -n 3 /tmp/submit.log >&2; exit 92; }
[ "$code" -eq 0 ] || printf '%s\n%s\n' "$code" "$last" >&2
cat /tmp/out/submission.yaml
"#;

/// What a script came to.
#[derive(Debug)]
pub struct Played {
    /// The text of a submission.yaml.
    pub submission: String,
    /// How the script ended, if it failed.
    pub problem: Option<String>,
}

/// How scripts are run and bounded.
#[derive(Debug)]
pub struct Sandbox {
    language: Language,
    lab: String,
    /// What has to be seen within, and where: the course, and a lab that is named by its path.
    folders: Vec<(PathBuf, String)>,
    seconds: u64,
    memory_mib: u64,
}

/// Finds out whether scripts can be run on this machine.
pub fn find(screen: &Screen) -> Result<(), Failure> {
    let tried = Command::new("bwrap").args(ISOLATION).args(system()).args(["--", "true"]).output();
    let why = match tried {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let message = say!(
        screen.language,
        "scripts cannot be run here: bubblewrap (bwrap) does not work: {why}",
        "여기서는 스크립트를 실행할 수 없습니다. bubblewrap(bwrap)이 동작하지 않습니다: {why}"
    );
    Err(Failure::usage(message).next(say!(
        screen.language,
        "install it (Debian: apt-get install bubblewrap) and let it make namespaces; or leave --allow-scripts out",
        "설치하고(Debian: apt-get install bubblewrap) 네임스페이스를 만들 수 있게 하거나, --allow-scripts 를 빼세요"
    )))
}

/// A world of its own: no network, no processes, no user of this machine, and no right to make another one.
const ISOLATION: [&str; 15] = [
    "--unshare-user",
    "--disable-userns",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--uid",
    "1000",
    "--gid",
    "1000",
    "--cap-drop",
    "ALL",
    "--die-with-parent",
    "--new-session",
];

fn system() -> Vec<&'static str> {
    let bound = SYSTEM.iter().flat_map(|folder| ["--ro-bind-try", folder, folder]);
    bound.chain(["--clearenv", "--proc", "/proc", "--dev", "/dev"]).collect()
}

impl Sandbox {
    pub fn new(language: Language, global: &Global, arguments: &GradeArguments) -> Sandbox {
        let mut folders = Vec::new();
        let course = course::folder(global).ok().flatten().and_then(|folder| folder.canonicalize().ok());
        folders.extend(course.map(|folder| (folder, "/tmp/work/labs".to_owned())));
        let mut lab = arguments.lab.clone();
        let path = Path::new(&lab).canonicalize().ok().filter(|path| path.join("lab.yaml").is_file());
        if let Some((name, path)) = path.and_then(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        {
            folders.push((path, format!("/tmp/work/{name}")));
            lab = format!("./{name}");
        }
        Sandbox { language, lab, folders, seconds: arguments.time_limit, memory_mib: arguments.memory }
    }

    /// The submission that came of a script, or why there is none; nothing when interrupted.
    pub fn play(
        &self,
        script: &str,
        student: &str,
        interrupted: &AtomicBool,
    ) -> Option<Result<Played, (Outcome, String)>> {
        let bug = |what: String| Some(Err((Outcome::EngineBug, what)));
        // The file stays until the sandbox ends, which has it bound.
        let (mut child, _script) = match self.start(script, student) {
            Ok(started) => started,
            Err(error) => {
                return bug(say!(
                    self.language,
                    "the sandbox did not start: {error}",
                    "샌드박스가 시작되지 않았습니다: {error}"
                ));
            }
        };
        let mut stdout = child.stdout.take().expect("it was asked for").take(PLAYED_MAX + 1);
        let mut stderr = child.stderr.take().expect("it was asked for").take(4096);
        thread::scope(|scope| {
            let out = scope.spawn(move || {
                let mut bytes = Vec::new();
                stdout.read_to_end(&mut bytes).map(|_| bytes)
            });
            let err = scope.spawn(move || {
                let mut bytes = Vec::new();
                let _ = stderr.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).trim().to_owned()
            });
            let mut waited = Duration::ZERO;
            let status = loop {
                match child.try_wait() {
                    Ok(Some(status)) => break Some(status),
                    Ok(None) if waited < self.patience() && !interrupted.load(Ordering::Relaxed) => {
                        thread::sleep(LOOK);
                        waited += LOOK;
                    }
                    // With the first of its processes all others end, too.
                    _ => {
                        let _ = child.kill();
                        let _ = child.wait();
                        break None;
                    }
                }
            };
            let (out, err) = (out.join().ok()?.unwrap_or_default(), err.join().ok()?);
            let Some(status) = status else {
                let seconds = self.patience().as_secs();
                let message = say!(
                    self.language,
                    "its script did not end within {seconds} s",
                    "스크립트가 {seconds}초 안에 끝나지 않았습니다"
                );
                let told = Some(Err((Outcome::OverLimit, message)));
                return told.filter(|_| !interrupted.load(Ordering::Relaxed));
            };
            match status.code() {
                Some(0) => {}
                Some(NO_FOLDER | NO_LAB) => {
                    return bug(say!(
                        self.language,
                        "the lab did not start in the sandbox: {err}",
                        "샌드박스에서 실습이 시작되지 않았습니다: {err}"
                    ));
                }
                _ => {
                    let message = say!(
                        self.language,
                        "its script ended the lab, or spoiled what it needs ({status}): {err}",
                        "스크립트가 실습을 끝냈거나 실습에 필요한 것을 망가뜨렸습니다({status}): {err}"
                    );
                    return Some(Err((Outcome::Refused, message)));
                }
            }
            match String::from_utf8(out) {
                Ok(text) if text.len() as u64 <= PLAYED_MAX => {
                    Some(Ok(Played { submission: text, problem: self.ended(&err) }))
                }
                _ => {
                    let message = say!(
                        self.language,
                        "its script led to a submission of more than 1 MiB",
                        "스크립트로 만들어진 제출물이 1 MiB 보다 큽니다"
                    );
                    Some(Err((Outcome::Refused, message)))
                }
            }
        })
    }

    /// How a script failed: the first line of `told` is its exit code, the others are what it printed last.
    fn ended(&self, told: &str) -> Option<String> {
        let (code, last) = told.split_once('\n').unwrap_or((told, ""));
        let code: u8 = code.parse().ok()?;
        let last: String =
            last.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
        Some(say!(
            self.language,
            "its script failed with exit code {code}: {last}",
            "스크립트가 종료 코드 {code} 로 실패했습니다: {last}"
        ))
    }

    /// Real time, of which a script may use four times as much as of the processor's.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.seconds.saturating_mul(4))
    }

    fn start(&self, script: &str, student: &str) -> std::io::Result<(Child, NamedTempFile)> {
        let mut file = NamedTempFile::new()?;
        file.write_all(script.as_bytes())?;
        let mut command = Command::new("bwrap");
        command.args(ISOLATION).args(system());
        // Half of the memory for files at most: they are kept in it.
        let files = (self.memory_mib << 20) / 2;
        command.args(["--size", &files.to_string(), "--tmpfs", "/tmp"]);
        command.arg("--ro-bind").arg(std::env::current_exe()?).arg(LABKIT);
        command.arg("--ro-bind").arg(file.path()).arg("/opt/labkit/script");
        for (folder, within) in &self.folders {
            command.arg("--ro-bind").arg(folder).arg(within);
        }
        command.args(["--remount-ro", "/"]);
        for (name, value) in [
            ("HOME", "/tmp/home"),
            ("PATH", "/opt/labkit:/usr/local/bin:/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
            ("LAB", &self.lab),
            ("STUDENT", student),
        ] {
            command.args(["--setenv", name, value]);
        }
        let (seconds, kib) = (self.seconds, self.memory_mib << 10);
        let limits = format!("ulimit -c 0; ulimit -t {seconds}; ulimit -d {kib}; {PLAY}");
        command.args(["--", "sh", "-c", &limits]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        Ok((command.spawn()?, file))
    }
}
