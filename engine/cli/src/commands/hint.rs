//! `labkit hint`: one more hint each time.

use crate::arguments::LiveArguments;
use crate::commands::live::ask;
use crate::control::replies::Hints;
use crate::control::{Request, choose};
use crate::failure::{Exit, Outcome};
use crate::screen::{Ink, Screen, say};

pub fn run(screen: &Screen, arguments: LiveArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let hints: Hints = ask(screen, &lab, &Request::Hint {})?;
    if screen.json {
        screen.print_json(&hints);
        return Ok(Exit::Passed);
    }
    let language = screen.language;
    for (index, hint) in hints.given.iter().enumerate() {
        let newest = index + 1 == hints.given.len();
        let head = format!("{} ({})", say!(language, "Hint {}", "힌트 {}", index + 1), hint.task);
        screen.print(&screen.paint(if newest { Ink::Bold } else { Ink::Dim }, &head));
        screen.print_prose("  ", hint.text.for_language(language));
    }
    let (left, plural) = (hints.left, if hints.left == 1 { "" } else { "s" });
    let more = match (hints.given.is_empty(), left) {
        (true, 0) => say!(
            language,
            "There is no hint for what is open now. labkit check says why it is red.",
            "지금 열려 있는 것에는 힌트가 없습니다. 왜 빨간지는 labkit check 가 알려 줍니다."
        ),
        (false, 0) => say!(language, "That was the last hint for now.", "지금은 이것이 마지막 힌트입니다."),
        _ => say!(
            language,
            "{left} more hint{plural}: labkit hint",
            "힌트가 {left}개 더 있습니다: labkit hint"
        ),
    };
    screen.print_prose("", &more);
    Ok(Exit::Passed)
}
