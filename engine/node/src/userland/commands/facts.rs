//! Commands that tell where they run: names, dates, the environment.

use std::time::Duration;

use super::{Done, Found, Invocation, find};
use crate::shell::parse_sleep;

pub(super) async fn run(name: &str, call: &mut Invocation<'_>) -> Done {
    let arguments = call.arguments().to_vec();
    let text = match name {
        "date" => return date(call, &arguments).await,
        "env" => return environment(call, &arguments).await,
        "hostname" => call.shell.value("HOSTNAME").unwrap_or_default(),
        "id" => id(call.shell.at.ids, arguments.first().map(String::as_str)),
        "kill" => return kill(call, &arguments).await,
        "nproc" => "1".to_owned(),
        "printenv" => return print_environment(call, &arguments).await,
        "pwd" => call.shell.at.working_directory.clone(),
        "sleep" => return sleep(call, &arguments).await,
        "tty" if call.shell.at.is_terminal => "/dev/pts/0".to_owned(),
        "tty" => {
            call.say("not a tty\n").await?;
            return Ok(1);
        }
        "uname" => uname(call, &arguments),
        "which" => return which(call, &arguments).await,
        // whoami
        _ if call.shell.at.ids.0 == 0 => "root".to_owned(),
        _ => return call.complain(format!("unknown uid {}", call.shell.at.ids.0)).await,
    };
    call.say(text + "\n").await?;
    Ok(0)
}

async fn date(call: &Invocation<'_>, arguments: &[String]) -> Done {
    let format =
        arguments.iter().find_map(|word| word.strip_prefix('+')).unwrap_or("%a %b %e %H:%M:%S UTC %Y");
    match jiff::fmt::strtime::format(format, call.now()) {
        Ok(text) => {
            call.say(text + "\n").await?;
            Ok(0)
        }
        Err(_) => call.complain(format!("invalid format '{format}'")).await,
    }
}

async fn environment(call: &mut Invocation<'_>, arguments: &[String]) -> Done {
    let mut child = call.shell.clone();
    let mut rest = arguments;
    while let Some((name, value)) = rest.first().and_then(|word| word.split_once('=')) {
        child.at.environment.insert(name.to_owned(), value.to_owned());
        rest = &rest[1..];
    }
    if !rest.is_empty() {
        let io = call.io.clone();
        return Ok(child.program(rest, io).await);
    }
    let all: String = child.at.environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    call.say(all).await?;
    Ok(0)
}

async fn print_environment(call: &Invocation<'_>, names: &[String]) -> Done {
    let environment = &call.shell.at.environment;
    let shown: Vec<String> = match names {
        [] => environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect(),
        names => names.iter().filter_map(|name| Some(format!("{}\n", environment.get(name)?))).collect(),
    };
    call.say(shown.concat()).await?;
    Ok(i32::from(shown.len() < names.len()))
}

fn id(ids: (i64, i64), option: Option<&str>) -> String {
    let named = |id: i64| if id == 0 { "0(root)".to_owned() } else { id.to_string() };
    match option {
        Some("-u") => ids.0.to_string(),
        Some("-g" | "-G") => ids.1.to_string(),
        Some("-un" | "-nu") if ids.0 == 0 => "root".to_owned(),
        _ => format!("uid={} gid={} groups={}", named(ids.0), named(ids.1), named(ids.1)),
    }
}

fn uname(call: &Invocation<'_>, arguments: &[String]) -> String {
    let host = call.shell.value("HOSTNAME").unwrap_or_default();
    let all = ["Linux", &host, "6.1.0", "#1 SMP", "x86_64", "Linux"];
    match arguments.first().map(String::as_str) {
        Some("-a") => all.join(" "),
        Some("-n") => host,
        Some("-r") => all[2].to_owned(),
        Some("-m") => all[4].to_owned(),
        _ => all[0].to_owned(),
    }
}

/// `kill 1` asks the container to end; `kill -9 1` does nothing from within, as the kernel has it.
async fn kill(call: &Invocation<'_>, arguments: &[String]) -> Done {
    let signal = arguments.iter().find(|word| word.starts_with('-')).map_or("-TERM", String::as_str);
    let Some(process) = arguments.iter().find(|word| !word.starts_with('-')) else {
        return call.complain("you need to specify whom to kill").await;
    };
    if process != "1" {
        return call.complain(format!("can't kill pid {process}: No such process")).await;
    }
    if matches!(signal, "-TERM" | "-15" | "-SIGTERM") {
        (call.shell.at.terminate)();
    }
    Ok(0)
}

async fn sleep(call: &Invocation<'_>, arguments: &[String]) -> Done {
    let Some(first) = arguments.first() else {
        return call.complain("missing operand").await;
    };
    match parse_sleep(first) {
        Some(Some(duration)) => tokio::time::sleep(duration.min(Duration::from_secs(365 * 24 * 3600))).await,
        Some(None) => std::future::pending().await,
        None => return call.complain(format!("invalid number '{first}'")).await,
    }
    Ok(0)
}

async fn which(call: &Invocation<'_>, names: &[String]) -> Done {
    let mut code = 0;
    for name in names {
        let search = super::super::path_of(&call.shell.at.environment);
        match find(call.files(), &call.shell.at.working_directory, search, name) {
            Found::Program(found) => call.say(format!("/bin/{found}\n")).await?,
            Found::Script(_) => call.say(format!("{}\n", call.path(name))).await?,
            Found::NotThere | Found::NotExecutable => code = 1,
        }
    }
    Ok(code)
}
