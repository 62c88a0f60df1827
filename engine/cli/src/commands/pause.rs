//! `labkit pause`, `step` and `resume`: the lab's time stands, and the student moves it.

use labkit_lab::span::Span;

use crate::arguments::{LiveArguments, StepArguments};
use crate::commands::live::{ask, span};
use crate::control::replies::Clock;
use crate::control::{Request, choose};
use crate::failure::{Exit, Failure, Outcome};
use crate::screen::{Screen, say};

/// One step, in milliseconds, where nothing is said.
const STEP_MS: u64 = 1_000;

pub fn pause(screen: &Screen, arguments: &LiveArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    told(screen, &ask(screen, &lab, &Request::Pause {})?)
}

pub fn resume(screen: &Screen, arguments: &LiveArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    told(screen, &ask(screen, &lab, &Request::Resume {})?)
}

pub fn step(screen: &Screen, arguments: &StepArguments) -> Outcome {
    let by_ms = arguments.by.as_deref().map(|text| millis(screen, text)).transpose()?.unwrap_or(STEP_MS);
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let clock: Clock = ask(screen, &lab, &Request::Clock { forward_ms: 0 })?;
    if !clock.paused {
        let message = say!(
            screen.language,
            "the lab's time runs; only a paused one is stepped",
            "실습의 시간이 흐르고 있습니다. 멈춘 시간만 한 걸음씩 보낼 수 있습니다"
        );
        let next = say!(
            screen.language,
            "labkit pause, then labkit step; labkit clock +1s needs no pause",
            "labkit pause 다음에 labkit step. labkit clock +1s 는 멈추지 않고도 됩니다"
        );
        return Err(Failure::usage(message).next(next));
    }
    told(screen, &ask(screen, &lab, &Request::Step { by_ms })?)
}

fn millis(screen: &Screen, text: &str) -> Result<u64, Failure> {
    let span = Span::parse(text.strip_prefix('+').unwrap_or(text));
    let span = span.map_err(|message| {
        Failure::usage(message.for_language(screen.language)).next(say!(
            screen.language,
            "labkit step, or labkit step 200ms",
            "labkit step, 또는 labkit step 200ms"
        ))
    })?;
    match u64::try_from(span.0.as_millis()) {
        Ok(0) => {
            let message = say!(
                screen.language,
                "a step takes a millisecond at least",
                "한 걸음은 적어도 1밀리초입니다"
            );
            Err(Failure::usage(message).next("labkit step 1ms"))
        }
        millis => Ok(millis.unwrap_or(u64::MAX)),
    }
}

fn told(screen: &Screen, clock: &Clock) -> Outcome {
    if screen.json {
        screen.print_json(clock);
        return Ok(Exit::Passed);
    }
    let (now, elapsed) = (&clock.now, span(clock.elapsed_ms));
    let text = if clock.paused {
        say!(
            screen.language,
            "Time stands at {now}, {elapsed} after the lab began. labkit step moves it by a second, labkit resume lets it run.",
            "시각은 {now} 에 멈춰 있습니다 (시작한 지 {elapsed}). labkit step 은 1초를 흘려보내고, labkit resume 은 다시 흐르게 합니다."
        )
    } else {
        say!(
            screen.language,
            "Time runs: it is {now} in the lab, {elapsed} after it began.",
            "시간이 흐릅니다. 실습의 시각은 {now}, 시작한 지 {elapsed} 지났습니다."
        )
    };
    screen.print_prose("", &text);
    Ok(Exit::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_some_time() {
        let screen = Screen::new(labkit_lab::Language::Ko, false, true);
        let millis = |text: &str| millis(&screen, text);
        assert_eq!(millis("200ms").unwrap(), 200);
        assert_eq!(millis("+1m30s").unwrap(), 90_000);
        assert!(millis("0s").unwrap_err().exit == Exit::Usage);
        assert!(millis("soon").unwrap_err().message.contains("시간 길이가 아닙니다"));
    }
}
