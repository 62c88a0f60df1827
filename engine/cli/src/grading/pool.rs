//! Worker processes over all cores. Each grades one submission after the other; one that dies is replaced.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::Duration;

use labkit_lab::{Language, Outcome, Report};
use nix::sys::signal::Signal;

use super::class::Submitted;
use super::protocol::{ANSWER_MAX, Answer, Order};
use super::sandbox::{Played, Sandbox};
use crate::arguments::{Global, GradeArguments};
use crate::failure::Failure;
use crate::screen::say;

/// How often a waiting grader looks whether it was interrupted.
const LOOK: Duration = Duration::from_millis(50);
/// The longest that a process takes to read the lab.
const START_MAX: Duration = Duration::from_secs(60);
/// Bytes of a process's last words that are kept.
const LAST_WORDS: usize = 4096;

/// What became of a submission.
#[derive(Debug)]
pub enum Told {
    /// A report, and what its script said last if that failed.
    Report(Box<Report>, Vec<String>),
    /// No report: why, and how that counts.
    Nothing(Outcome, Vec<String>),
}

/// How worker processes are started and bounded.
#[derive(Debug)]
pub struct Pool {
    language: Language,
    arguments: Vec<String>,
    course: Option<std::path::PathBuf>,
    memory_mib: u64,
    seconds: u64,
    /// The longest that an answer takes. Processor time is bounded by the kernel; this is for a process that waits.
    patience: Duration,
    /// Submissions that one process grades before a fresh one takes over.
    renewed_after: usize,
    replay_only: bool,
    sandbox: Option<Sandbox>,
}

impl Pool {
    pub fn new(language: Language, global: &Global, arguments: &GradeArguments) -> Pool {
        let number = |number: u64| number.to_string();
        let words = [
            "--lang",
            language.code(),
            "grade-worker",
            &arguments.lab,
            "--memory",
            &number(arguments.memory),
            "--time-limit",
            &number(arguments.time_limit),
        ];
        Pool {
            language,
            arguments: words.map(str::to_owned).to_vec(),
            course: global.course.clone(),
            memory_mib: arguments.memory,
            seconds: arguments.time_limit,
            patience: Duration::from_secs(
                arguments.patience.unwrap_or(arguments.time_limit.saturating_mul(4).saturating_add(30)),
            ),
            renewed_after: arguments.renewed_after,
            replay_only: arguments.replay_only,
            sandbox: arguments.allow_scripts.then(|| Sandbox::new(language, global, arguments)),
        }
    }

    /// Grades all, `jobs` at a time, and tells of each as it is done, in any order. Ends early when interrupted.
    pub fn grade(
        &self,
        class: &[Submitted],
        jobs: usize,
        interrupted: &AtomicBool,
        done: &(dyn Fn(usize, Told) + Sync),
    ) -> Result<(), Failure> {
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<Failure>> = Mutex::new(None);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..jobs.min(class.len()) {
                scope.spawn(|| {
                    let mut worker = None;
                    while !over.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(submitted) = class.get(index) else { break };
                        match self.turn(scope, &mut worker, submitted, interrupted) {
                            Ok(Some(told)) => done(index, told),
                            Ok(None) => over.store(true, Ordering::Relaxed),
                            Err(error) => {
                                *failure.lock().expect("no panic happens under this lock") = Some(error);
                                over.store(true, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
        });
        failure.into_inner().expect("no panic happens under this lock").map_or(Ok(()), Err)
    }

    /// Grades one; nothing when interrupted.
    fn turn<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        worker: &mut Option<Worker>,
        submitted: &Submitted,
        interrupted: &AtomicBool,
    ) -> Result<Option<Told>, Failure> {
        let (mut played, mut problems) = (None, Vec::new());
        loop {
            let mut own = match worker.take().filter(|worker| worker.graded < self.renewed_after) {
                Some(own) => own,
                None => match Worker::start(scope, self, interrupted)? {
                    Some(own) => own,
                    None => return Ok(None),
                },
            };
            let order = Order {
                folder: submitted.folder.as_os_str().as_bytes().to_vec(),
                student: submitted.student.clone(),
                seed: submitted.seed,
                replay_only: self.replay_only,
                played: played.clone(),
            };
            let heard = own.ask(&order, self.patience, interrupted);
            let death = match heard {
                Heard::Answer(Answer::Script(script)) if played.is_none() => {
                    *worker = Some(own);
                    match self.play(&script, submitted, interrupted) {
                        Some(Ok(done)) => {
                            played = Some(done.submission);
                            problems.extend(done.problem);
                        }
                        Some(Err((outcome, problem))) => {
                            return Ok(Some(Told::Nothing(outcome, vec![problem])));
                        }
                        None => return Ok(None),
                    }
                    continue;
                }
                Heard::Answer(answer) => {
                    own.graded += 1;
                    *worker = Some(own);
                    return Ok(Some(self.told(answer, problems)));
                }
                Heard::Interrupted => return Ok(None),
                Heard::TimedOut => {
                    let seconds = self.patience.as_secs();
                    let message = say!(
                        self.language,
                        "no answer within {seconds} s",
                        "{seconds}초 안에 답이 없었습니다"
                    );
                    return Ok(Some(Told::Nothing(Outcome::OverLimit, vec![message])));
                }
                Heard::Gone => own.end(),
            };
            let (outcome, message) = self.cause(&death);
            let used_up_its_time = death.signal == Some(Signal::SIGXCPU as i32);
            if own.graded == 0 || used_up_its_time {
                return Ok(Some(Told::Nothing(outcome, vec![message])));
            }
            // What earlier submissions left in the process may have been the cause.
        }
    }

    /// Plays a submission's script, if scripts are allowed; nothing when interrupted.
    fn play(
        &self,
        script: &str,
        submitted: &Submitted,
        interrupted: &AtomicBool,
    ) -> Option<Result<Played, (Outcome, String)>> {
        let Some(sandbox) = &self.sandbox else {
            let problem = say!(
                self.language,
                "it is a script, and scripts are run only with --allow-scripts",
                "스크립트입니다. 스크립트는 --allow-scripts 가 있어야 실행합니다"
            );
            return Some(Err((Outcome::Refused, problem)));
        };
        sandbox.play(script, &submitted.student, interrupted)
    }

    fn cause(&self, death: &Death) -> (Outcome, String) {
        let says = |text: &str| death.last_words.contains(text);
        let (seconds, mib) = (self.seconds, self.memory_mib);
        let over = |message: String| (Outcome::OverLimit, message);
        match death.signal {
            Some(signal) if signal == Signal::SIGXCPU as i32 => over(say!(
                self.language,
                "it used more than {seconds} s of processor time",
                "CPU 시간을 {seconds}초 넘게 썼습니다"
            )),
            _ if says("memory allocation of") => over(say!(
                self.language,
                "it used more than {mib} MiB of memory",
                "메모리를 {mib} MiB 넘게 썼습니다"
            )),
            Some(signal) if signal == Signal::SIGKILL as i32 => over(say!(
                self.language,
                "the system killed it: the machine may be out of memory",
                "시스템이 종료시켰습니다. 컴퓨터의 메모리가 부족할 수 있습니다"
            )),
            _ if says("overflowed its stack") => over(say!(
                self.language,
                "it is nested deeper than the grader's stack",
                "채점기의 스택보다 깊이 중첩되었습니다"
            )),
            _ => {
                let last = death.last_words.lines().last().unwrap_or_default();
                let status = death.status;
                let message = say!(
                    self.language,
                    "the grading process died: {status}; {last}",
                    "채점 프로세스가 죽었습니다: {status}; {last}"
                );
                (Outcome::EngineBug, message)
            }
        }
    }

    fn told(&self, answer: Answer, problems: Vec<String>) -> Told {
        match answer {
            Answer::Report(report) => Told::Report(report, problems),
            Answer::Refused(of_it) => {
                Told::Nothing(Outcome::Refused, problems.into_iter().chain(of_it).collect())
            }
            Answer::Panicked(message) => Told::Nothing(Outcome::EngineBug, vec![message]),
            Answer::Ready | Answer::Script(_) => {
                let message = say!(
                    self.language,
                    "the grading process lost its place",
                    "채점 프로세스가 순서를 잃었습니다"
                );
                Told::Nothing(Outcome::EngineBug, vec![message])
            }
        }
    }
}

/// A worker process. It is killed when this is dropped.
struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<Answer>,
    last_words: Arc<Mutex<Vec<u8>>>,
    graded: usize,
}

/// What came of an order.
enum Heard {
    Answer(Answer),
    /// The process has ended, or is of no use any more.
    Gone,
    TimedOut,
    Interrupted,
}

/// How a process ended.
struct Death {
    status: ExitStatus,
    signal: Option<i32>,
    last_words: String,
}

impl Worker {
    /// Starts a process and waits until it has read the lab; nothing when interrupted.
    fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        pool: &Pool,
        interrupted: &AtomicBool,
    ) -> Result<Option<Worker>, Failure> {
        let unable = |what: String| {
            Failure::failed(format!("a grading process did not start: {what}"))
                .next("give it more memory: labkit grade ... --memory 512")
        };
        let myself = std::env::current_exe().map_err(|error| unable(error.to_string()))?;
        let mut command = Command::new(myself);
        command.args(&pool.arguments);
        if let Some(course) = &pool.course {
            command.arg("--course").arg(course);
        }
        // A group of its own: Ctrl-C is the grader's to hear.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // Nothing of the environment is its business. The allocator is told not to claim what it only reserves.
        command.env_clear().env("MIMALLOC_ARENA_EAGER_COMMIT", "0").env("RUST_BACKTRACE", "0");
        let mut child = command.spawn().map_err(|error| unable(error.to_string()))?;
        let orders = child.stdin.take();
        let stdout = child.stdout.take().expect("it was asked for");
        let mut stderr = child.stderr.take().expect("it was asked for");
        let (sender, answers) = sync_channel(1);
        scope.spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = Vec::new();
            while stdout.by_ref().take(ANSWER_MAX).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let Ok(answer) = serde_json::from_slice(&line) else { break };
                if sender.send(answer).is_err() {
                    break;
                }
                line.clear();
            }
        });
        let last_words = Arc::new(Mutex::new(Vec::new()));
        let kept = last_words.clone();
        scope.spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                let mut kept = kept.lock().expect("no panic happens under this lock");
                kept.extend_from_slice(&buffer[..read]);
                let surplus = kept.len().saturating_sub(LAST_WORDS);
                kept.drain(..surplus);
            }
        });
        let mut worker = Worker { child, orders, answers, last_words, graded: 0 };
        match worker.hear(START_MAX, interrupted) {
            Heard::Answer(Answer::Ready) => Ok(Some(worker)),
            Heard::Interrupted => Ok(None),
            Heard::TimedOut => Err(unable(format!("the lab is not read within {} s", START_MAX.as_secs()))),
            Heard::Answer(_) | Heard::Gone => {
                let death = worker.end();
                Err(unable(format!("{}; {}", death.status, death.last_words.trim())))
            }
        }
    }

    fn ask(&mut self, order: &Order, patience: Duration, interrupted: &AtomicBool) -> Heard {
        let mut line = serde_json::to_vec(order).expect("an order is plain data");
        line.push(b'\n');
        let sent = self.orders.as_mut().map(|orders| orders.write_all(&line).and_then(|()| orders.flush()));
        match sent {
            Some(Ok(())) => self.hear(patience, interrupted),
            _ => Heard::Gone,
        }
    }

    fn hear(&mut self, patience: Duration, interrupted: &AtomicBool) -> Heard {
        let mut waited = Duration::ZERO;
        loop {
            match self.answers.recv_timeout(LOOK) {
                Ok(answer) => return Heard::Answer(answer),
                Err(RecvTimeoutError::Disconnected) => return Heard::Gone,
                Err(RecvTimeoutError::Timeout) if interrupted.load(Ordering::Relaxed) => {
                    return Heard::Interrupted;
                }
                Err(RecvTimeoutError::Timeout) => waited += LOOK,
            }
            if waited >= patience {
                return Heard::TimedOut;
            }
        }
    }

    /// Waits for the end of a process that says no more, and listens to its last words.
    fn end(&mut self) -> Death {
        self.orders = None;
        // Its streams are closed: it is ending, or it is killed.
        for _ in 0..20 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let status = self.child.wait().unwrap_or_default();
        // The thread that listens has what was said before the end; give it the moment that it takes to hear it.
        while Arc::strong_count(&self.last_words) > 1 {
            thread::sleep(Duration::from_millis(1));
        }
        let last_words = self.last_words.lock().expect("no panic happens under this lock");
        let last_words = String::from_utf8_lossy(&last_words).into_owned();
        Death { status, signal: status.signal(), last_words }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
