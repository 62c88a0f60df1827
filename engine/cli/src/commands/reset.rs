//! `labkit reset`: the same lab on a fresh cluster; ports and files stay.

use crate::arguments::LiveArguments;
use crate::commands::live::ask;
use crate::control::{Request, choose};
use crate::daemon::Ready;
use crate::failure::{Exit, Outcome};
use crate::screen::{Screen, say};

pub fn run(screen: &Screen, arguments: &LiveArguments) -> Outcome {
    let lab = choose(screen, arguments.which.name.as_deref())?;
    let ready: Ready = ask(screen, &lab, &Request::Reset {})?;
    if screen.json {
        screen.print_json(&ready);
        return Ok(Exit::Passed);
    }
    let (name, millis) = (&ready.lab, ready.boot_ms);
    let text = say!(
        screen.language,
        "{name} begins anew, after {millis} ms: the first task, a fresh cluster, the same ports and files. Your terminals go on to work.",
        "{name} 을(를) 새로 시작했습니다 ({millis} ms). 첫 과제, 새 클러스터, 같은 포트와 파일입니다. 열려 있는 터미널을 그대로 쓰세요."
    );
    screen.print_prose("", &text);
    screen.print_prose(
        "",
        &say!(
            screen.language,
            "labkit check shows where you stand; labkit timeline --last what had happened before.",
            "지금 상태는 labkit check, 그 전에 일어난 일은 labkit timeline --last 가 보여 줍니다."
        ),
    );
    Ok(Exit::Passed)
}
