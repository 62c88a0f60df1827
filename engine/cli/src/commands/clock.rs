//! `labkit clock`: lets the lab's time pass at once.

use labkit_lab::span::Span;

use crate::arguments::ClockArguments;
use crate::commands::live::{ask, span};
use crate::control::replies::Clock;
use crate::control::{Request, choose};
use crate::failure::{Exit, Failure, Outcome, spoken};
use crate::screen::{Screen, say};

pub fn run(screen: &Screen, arguments: ClockArguments) -> Outcome {
    let by = arguments.by.as_deref().map(forward).transpose()?;
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let clock: Clock = ask(screen, &lab, &Request::Clock { forward_ms: by.unwrap_or(0) })?;
    if screen.json {
        screen.print_json(&clock);
        return Ok(Exit::Passed);
    }
    let (now, elapsed) = (clock.now, span(clock.elapsed_ms));
    let told = say!(
        screen.language,
        "It is {now} in the lab, {elapsed} after it began.",
        "실습의 시각은 {now}, 시작한 지 {elapsed} 지났습니다."
    );
    screen.print_prose("", &told);
    Ok(Exit::Passed)
}

/// `+5m`, or `5m`, in milliseconds.
fn forward(text: &str) -> Result<u64, Failure> {
    let span = Span::parse(text.strip_prefix('+').unwrap_or(text));
    let span = span.map_err(|message| {
        Failure::usage(message.for_language(spoken())).next(say!(
            spoken(),
            "labkit clock +5m; time does not go back",
            "labkit clock +5m. 시간은 되돌아가지 않습니다"
        ))
    })?;
    Ok(u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX))
}
