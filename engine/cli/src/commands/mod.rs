//! The commands, one file each; here is only the list.

mod answer;
#[cfg(feature = "book")]
mod book;
mod check;
mod clock;
mod etcd;
mod fault;
mod grade;
mod hint;
mod home;
mod lint;
mod live;
mod new;
mod pack;
mod pause;
mod raft;
mod reset;
mod restore;
mod run;
mod schema;
mod snapshot;
mod start;
mod status;
mod stop;
mod submit;
mod timeline;
mod tour;
mod up;
mod watch;

use crate::arguments::{Arguments, Command, NewCommand};
use crate::failure::Outcome;
use crate::grading::worker;
use crate::screen::Screen;

/// Does what the command line says.
pub fn run(screen: &Screen, arguments: Arguments) -> Outcome {
    let global = &arguments.global;
    let Some(command) = arguments.command else { return home::run(screen, global) };
    match command {
        Command::Tour(arguments) => tour::run(screen, &arguments),
        Command::Start(arguments) => start::run(screen, global, &arguments),
        Command::Check(arguments) => check::run(screen, arguments),
        Command::Watch(arguments) => watch::run(screen, &arguments),
        Command::Hint(arguments) => hint::run(screen, arguments),
        Command::Answer(arguments) => answer::run(screen, arguments),
        Command::Fault(arguments) => fault::run(screen, arguments),
        Command::Clock(arguments) => clock::run(screen, arguments),
        Command::Pause(arguments) => pause::pause(screen, &arguments),
        Command::Step(arguments) => pause::step(screen, &arguments),
        Command::Resume(arguments) => pause::resume(screen, &arguments),
        Command::Raft(arguments) => raft::run(screen, &arguments),
        Command::Timeline(arguments) => timeline::run(screen, &arguments),
        Command::Reset(arguments) => reset::run(screen, &arguments),
        Command::Snapshot(arguments) => snapshot::run(screen, &arguments),
        Command::Restore(arguments) => restore::run(screen, &arguments),
        Command::Status(arguments) => status::run(screen, arguments),
        Command::Submit(arguments) => submit::run(screen, arguments),
        Command::Stop(arguments) => stop::run(screen, arguments),
        Command::Up(arguments) => up::run(screen, &arguments),
        Command::Run(arguments) => run::run(screen, global, &arguments),
        Command::Grade(arguments) => grade::run(screen, global, &arguments),
        Command::Lint(arguments) => lint::run(screen, global, &arguments),
        Command::Pack(arguments) => pack::run(screen, global, &arguments),
        Command::New(NewCommand::Lab(arguments)) => new::lab(screen, &arguments),
        Command::Schema(arguments) => schema::run(screen, global, &arguments),
        Command::Etcd(arguments) => etcd::run(screen, &arguments),
        #[cfg(feature = "book")]
        Command::Book(command) => book::run(screen, global, command),
        Command::Daemon(arguments) => start::daemon(screen, global, &arguments),
        Command::GradeWorker(arguments) => worker::run(screen, global, &arguments),
    }
}
