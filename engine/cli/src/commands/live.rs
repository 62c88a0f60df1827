//! What the commands for a running lab share.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::control::{self, Request};
use crate::failure::{Failure, spoken};
use crate::screen::{Screen, say};
use crate::state::LabState;
use crate::work::Work;

/// Asks a running lab, with a bar where it takes long.
pub fn ask<T: DeserializeOwned>(screen: &Screen, lab: &LabState, request: &Request) -> Result<T, Failure> {
    let mut work = None;
    let reply = control::ask(lab, request, &mut |done, total| {
        let work = work.get_or_insert_with(|| Work::of_time(screen, total));
        work.at(done);
        if screen.is_terminal {
            work.say(&format!("{} / {}", span(done), span(total)));
        }
    })?;
    drop(work);
    of_this_version(lab, reply)
}

/// What a lab answered, as this program knows it.
pub fn of_this_version<T: DeserializeOwned>(lab: &LabState, reply: Value) -> Result<T, Failure> {
    serde_json::from_value(reply).map_err(|error| {
        let name = &lab.name;
        let message = say!(
            spoken(),
            "the lab {name} was started by another version of labkit: {error}",
            "실습 {name} 은(는) 다른 버전의 labkit으로 시작했습니다: {error}"
        );
        Failure::failed(message).next(say!(
            spoken(),
            "labkit stop --lab {name}, then start it again",
            "labkit stop --lab {name} 다음에 다시 시작하세요"
        ))
    })
}

/// `4m05s`: a span of a lab's time.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) if millis < 10_000 => format!("{seconds}.{}s", millis % 1000 / 100),
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes:02}m{seconds:02}s"),
    }
}
