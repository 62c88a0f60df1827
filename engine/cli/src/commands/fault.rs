//! `labkit fault`: break something, heal it, or see what is broken.

use labkit_lab::Text;
use labkit_lab::span::{Offset, Span};
use serde_json::{Value, json};

use crate::arguments::{FaultArguments, FaultVerb};
use crate::commands::live::ask;
use crate::commands::status::{print_components, print_faults};
use crate::control::replies::{Faults, Met};
use crate::control::{Request, choose};
use crate::failure::{Exit, Failure, Outcome, spoken};
use crate::screen::{Screen, say};

pub fn run(screen: &Screen, arguments: FaultArguments) -> Outcome {
    let request = arguments.verb.as_ref().map(request).transpose()?;
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let Some(request) = request else {
        return list(screen, &ask(screen, &lab, &Request::Faults {})?);
    };
    let met: Met = ask(screen, &lab, &request)?;
    if screen.json {
        screen.print_json(&met);
        return Ok(Exit::Passed);
    }
    let (language, targets) = (screen.language, met.targets.join(", "));
    let text = match (request, met.id) {
        (Request::Heal { .. }, _) if met.targets.is_empty() => {
            say!(language, "Nothing is broken.", "주입된 장애가 없습니다.")
        }
        (Request::Heal { .. }, _) => say!(language, "Healed: {targets}", "복구했습니다: {targets}"),
        (Request::StopComponent { .. }, _) => say!(
            language,
            "Stopped {targets}. labkit fault start {targets} starts it again.",
            "{targets} 멈춤. 다시 시작: labkit fault start {targets}"
        ),
        (Request::StartComponent { .. }, _) => say!(language, "Started {targets}.", "{targets} 시작됨."),
        (_, Some(id)) => say!(
            language,
            "Hit {targets}. labkit fault heal {id} takes it back.",
            "{targets}에 장애 주입됨. 복구: labkit fault heal {id}"
        ),
        (_, None) => targets,
    };
    screen.print_prose("", &text);
    Ok(Exit::Passed)
}

/// The request of a verb; faults are written as in lab files.
fn request(verb: &FaultVerb) -> Result<Request, Failure> {
    let by = |text: &str| Span::parse(text).map(|span| span.to_string()).map_err(told);
    let fault = |fault: Value| Ok(Request::Fault { fault });
    match verb {
        FaultVerb::Kill { target } => fault(json!({ "kill": target })),
        FaultVerb::Pause { target } => fault(json!({ "pause": target })),
        FaultVerb::PowerOff { target } => fault(json!({ "powerOff": target })),
        FaultVerb::PowerLoss { target } => fault(json!({ "powerLoss": target })),
        FaultVerb::Partition { link } => fault(json!({ "partition": link })),
        FaultVerb::Delay { link, by: text } => fault(json!({ "delay": {"link": link, "by": by(text)?} })),
        FaultVerb::Drop { link, probability } => {
            fault(json!({ "drop": {"link": link, "probability": probability} }))
        }
        FaultVerb::SlowDisk { target, by: text } => {
            fault(json!({ "slowDisk": {"target": target, "by": by(text)?} }))
        }
        FaultVerb::FullDisk { target } => fault(json!({ "fullDisk": target })),
        FaultVerb::CorruptByte { target } => fault(json!({ "corruptByte": target })),
        FaultVerb::ClockSkew { target, by: text } => {
            let by = Offset::parse(text).map_err(told)?;
            fault(json!({ "clockSkew": {"target": target, "by": by.to_string()} }))
        }
        FaultVerb::Heal { id } => Ok(Request::Heal { id: id.clone() }),
        FaultVerb::Stop { target } => Ok(Request::StopComponent { target: target.clone() }),
        FaultVerb::Start { target } => Ok(Request::StartComponent { target: target.clone() }),
    }
}

fn told(why: Text) -> Failure {
    Failure::usage(why.for_language(spoken()))
}

fn list(screen: &Screen, faults: &Faults) -> Outcome {
    if screen.json {
        screen.print_json(faults);
        return Ok(Exit::Passed);
    }
    if faults.faults.is_empty() {
        screen.print(&say!(screen.language, "Nothing is broken.", "주입된 장애가 없습니다."));
    }
    print_faults(screen, &faults.faults);
    screen.print("");
    print_components(screen, &faults.components);
    screen.print("");
    screen.print(&say!(
        screen.language,
        "Break one:  labkit fault kill TARGET  (labkit fault --help has more)",
        "장애 주입:   labkit fault kill TARGET  (더 보기: labkit fault --help)"
    ));
    Ok(Exit::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_asked_for_as_lab_files_write_them() {
        let link = || "etcd1 | etcd2".to_owned();
        let delay = request(&FaultVerb::Delay { link: link(), by: "0.2s".to_owned() }).unwrap();
        assert_eq!(
            delay,
            Request::Fault { fault: json!({"delay": {"link": "etcd1 | etcd2", "by": "200ms"}}) }
        );
        let wrong = request(&FaultVerb::Delay { link: link(), by: "soon".to_owned() }).unwrap_err();
        assert!(wrong.exit == Exit::Usage && wrong.message.contains("`soon` is no duration"));
    }
}
