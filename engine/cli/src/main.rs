//! `labkit`: the one binary. Arguments, files, sockets, stdout and exit codes are its business; what a lab
//! is and how it is graded is `labkit-lab`'s.
//!
//! - [`arguments`]: the command line; [`help`]: its help, grouped by reader and in the reader's language.
//! - [`commands`]: one file per command.
//! - [`course`]: which course, which lab; [`files`]: reading them from a folder or from the binary.
//! - [`daemon`]: a lab that is played live; [`control`]: what terminals and the daemon say to each other.
//! - [`grading`]: a class in a pool of worker processes.
//! - [`state`]: the folder where running labs are recorded; [`progress`]: the student's best points; [`last_run`]:
//!   what happened last.
//! - [`screen`]: language, colours, width; [`failure`]: exit codes and the one report on stderr.
//!
//! Invariants: `~/.kube/config` is never touched. A command that fails says what to do next. What ends,
//! leaves no process and no socket behind.

mod arguments;
mod commands;
mod control;
mod course;
mod daemon;
mod failure;
mod files;
mod grading;
mod help;
mod kubeadm;
mod last_run;
mod open_files;
mod progress;
mod prose;
mod screen;
mod state;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use failure::Failure;

/// Control planes are made of very many small objects; this allocator is faster with those than the platform's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let (arguments, screen) = match help::parse(std::env::args_os().collect()) {
        Ok(parsed) => parsed,
        Err(exit) => return exit.into(),
    };
    failure::speak(screen.language);
    let outcome = catch_unwind(AssertUnwindSafe(|| commands::run(&screen, arguments)));
    let outcome = outcome.unwrap_or_else(|_| {
        Err(Failure::bug("a panic, reported above").next("please report it with the command that you gave"))
    });
    outcome
        .unwrap_or_else(|failure| {
            failure.report(&screen);
            failure.exit
        })
        .into()
}
