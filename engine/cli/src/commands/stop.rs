//! `labkit stop`: ends a running lab, and waits until nothing of it is left.

use std::time::Duration;

use serde_json::json;

use crate::arguments::StopArguments;
use crate::control::{self, Request, choose};
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Screen, say};
use crate::state::{LabState, State};

/// A lab ends in milliseconds; a machine that is very busy takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(screen: &Screen, arguments: StopArguments) -> Outcome {
    let labs = match arguments.all {
        true => State::open()?.running(),
        false => vec![choose(screen, arguments.which.name.as_deref())?],
    };
    for lab in &labs {
        end(screen, lab)?;
    }
    let names: Vec<&str> = labs.iter().map(|lab| lab.name.as_str()).collect();
    if screen.json {
        screen.print_json(&json!({ "stopped": names }));
    } else if names.is_empty() {
        screen.print(&say!(screen.language, "No lab was running.", "실행 중인 실습이 없었습니다."));
    } else {
        let names = names.join(", ");
        screen.print(&say!(screen.language, "Stopped: {names}", "끝냄: {names}"));
    }
    Ok(Exit::Passed)
}

/// Asks the lab to end; one that does not listen is told by a signal.
fn end(screen: &Screen, lab: &LabState) -> Result<(), Failure> {
    let asked = control::ask(lab, &Request::Stop {}, &mut |_, _| {});
    if asked.is_ok() && lab.wait_until_ended(PATIENCE) {
        return Ok(());
    }
    for signal in [nix::sys::signal::Signal::SIGTERM, nix::sys::signal::Signal::SIGKILL] {
        let process = lab.process().filter(|_| lab.is_running()).and_then(|pid| i32::try_from(pid).ok());
        let Some(process) = process else { break };
        // It may end by itself between the look and the signal.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), signal);
        if lab.wait_until_ended(PATIENCE) {
            break;
        }
    }
    if lab.is_running() {
        let name = &lab.name;
        return Err(Failure::failed(say!(
            screen.language,
            "{name} does not end",
            "{name} 이(가) 끝나지 않습니다"
        )));
    }
    // Whatever a killed process could not remove itself.
    State::open()?.running();
    Ok(())
}
