//! What a terminal and a running lab say to each other: over the lab's socket, one JSON document a line. A
//! request is answered by any number of `progress` lines, then by `done` or `failed`.

pub mod replies;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use labkit_lab::steps::Raft;
use labkit_lab::{Query, Wanted};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Exit, Failure, spoken};
use crate::screen::{Screen, say};
use crate::state::{LabState, State, with_socket};

/// What a terminal asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Request {
    Status {},
    Check {},
    /// A check once there is news after the `after`th piece; at once without it.
    News {
        after: Option<u64>,
    },
    Hint {},
    Answer {
        id: String,
        value: Value,
    },
    /// Injects one, in the words of a lab file: `{"kill": "etcd/leader"}`.
    Fault {
        fault: Value,
    },
    Faults {},
    /// All of them, without an id.
    Heal {
        id: Option<String>,
    },
    StopComponent {
        target: String,
    },
    StartComponent {
        target: String,
    },
    Clock {
        forward_ms: u64,
    },
    /// Stops the lab's time.
    Pause {},
    /// Lets it run again.
    Resume {},
    /// Lets that much of it pass while it is stopped.
    Step {
        by_ms: u64,
    },
    /// The store's members and the messages between them; with a verb, after it was done.
    Raft {
        raft: Option<Raft>,
    },
    /// What happened so far.
    Timeline {
        query: Query,
    },
    /// The store at a revision, or an object of it.
    Past {
        revision: i64,
        object: Option<Wanted>,
    },
    Submit {},
    /// Everything that was done, to come back to.
    Snapshot {},
    /// Brings the lab back to the snapshot in a file. Answered when it can be played.
    Restore {
        file: PathBuf,
    },
    /// Answered when the lab can be played anew.
    Reset {},
    Stop {},
}

/// What the lab answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    Progress { done: u64, total: u64 },
    Done(Value),
    Failed { exit: Exit, message: String, next: Option<String> },
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Reply {
        Reply::Failed { exit: failure.exit, message: failure.message, next: failure.next }
    }
}

/// The lab that a command is about: the one that is named, else the terminal's (`LABKIT_LAB`, which the env file
/// of a lab sets), else the only one that runs.
pub fn choose(screen: &Screen, wanted: Option<&str>) -> Result<LabState, Failure> {
    let state = State::open()?;
    let mut running = state.running();
    let names = running.iter().map(|lab| lab.name.clone()).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        let found = running.into_iter().find(|lab| lab.name == wanted);
        return found.ok_or_else(|| {
            let message = say!(
                screen.language,
                "the lab {wanted} is not running",
                "실습 {wanted}은(는) 실행 중이 아닙니다"
            );
            Failure::usage(message).next(match names.as_str() {
                "" => format!("labkit start {wanted}"),
                names => say!(screen.language, "running now: {names}", "지금 실행 중: {names}"),
            })
        });
    }
    let own = std::env::var("LABKIT_LAB").ok();
    if let Some(index) = running.iter().position(|lab| Some(&lab.name) == own.as_ref()) {
        return Ok(running.swap_remove(index));
    }
    match running.len() {
        1 => Ok(running.remove(0)),
        0 => {
            let message = say!(screen.language, "no lab is running", "실행 중인 실습이 없습니다");
            let next = say!(
                screen.language,
                "labkit start LAB (labkit lists the labs)",
                "labkit start LAB (labkit 명령이 실습 목록을 보여 줍니다)"
            );
            Err(Failure::usage(message).next(next))
        }
        _ => {
            let message = say!(
                screen.language,
                "several labs are running: {names}",
                "실습 여러 개가 실행 중입니다: {names}"
            );
            let env = running[0].env();
            let (first, env) = (&running[0].name, env.display());
            let next = say!(
                screen.language,
                "say which one: --lab {first}; for all that this terminal does: . {env}",
                "어느 것인지 알려 주세요: --lab {first}. 이 터미널에서 계속 쓰려면: . {env}"
            );
            Err(Failure::usage(message).next(next))
        }
    }
}

/// Asks a running lab and waits for its answer.
pub fn ask(lab: &LabState, request: &Request, progress: &mut dyn FnMut(u64, u64)) -> Result<Value, Failure> {
    let lost = |error: std::io::Error| {
        let (name, log) = (&lab.name, lab.log());
        let message = say!(
            spoken(),
            "the lab {name} does not answer: {error}",
            "실습 {name} 이(가) 대답하지 않습니다: {error}"
        );
        Failure::failed(message).next(say!(
            spoken(),
            "its log is {}; labkit stop --lab {name} ends it",
            "기록은 {} 에 있습니다. labkit stop --lab {name} 으로 끝낼 수 있습니다",
            log.display()
        ))
    };
    let mut stream = with_socket(lab, |path| UnixStream::connect(path)).map_err(lost)?;
    let mut line = serde_json::to_vec(request).expect("requests are plain data");
    line.push(b'\n');
    stream.write_all(&line).map_err(lost)?;
    for line in BufReader::new(stream).lines() {
        let reply = serde_json::from_str(&line.map_err(lost)?).map_err(std::io::Error::from).map_err(lost)?;
        match reply {
            Reply::Progress { done, total } => progress(done, total),
            Reply::Done(value) => return Ok(value),
            Reply::Failed { exit, message, next } => {
                return Err(Failure { exit, message, next, diagnostics: Vec::new() });
            }
        }
    }
    Err(lost(std::io::ErrorKind::UnexpectedEof.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(request: Request, expected: Value) {
        assert_eq!(serde_json::to_value(&request).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Request>(expected).unwrap(), request);
    }

    #[test]
    fn requests_name_their_verb() {
        check(Request::Check {}, json!({"verb": "check"}));
        check(Request::Clock { forward_ms: 300_000 }, json!({"verb": "clock", "forwardMs": 300_000}));
        check(
            Request::Fault { fault: json!({"kill": "etcd/leader"}) },
            json!({"verb": "fault", "fault": {"kill": "etcd/leader"}}),
        );
        assert!(serde_json::from_value::<Request>(json!({"verb": "explode"})).is_err());
    }
}
