//! etcdctl's commands over an in-process [`Client`], with etcdctl's own text. Counterpart of `etcdctl/ctlv3`.
//!
//! - [`args`]: flags and positional arguments.
//! - [`kv`], [`lease`], [`members`], [`admin`]: the commands.
//! - [`print`]: what several commands print alike.

mod admin;
mod args;
mod kv;
mod lease;
mod members;
mod print;

use args::{Args, Flag};
use futures::future::BoxFuture;

use crate::client::Client;
use crate::error::EtcdError;

/// What a run of etcdctl leaves behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CtlOutput {
    pub stdout: String,
    pub stderr: String,
    /// 0, 1 for an error, 4 for a format that a command cannot print, 128 for bad arguments.
    pub code: i32,
}

/// Why a command printed an error.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    /// What follows `Error: `; with nothing to follow, the line is left out.
    message: String,
    code: i32,
    /// What was printed before it failed.
    stdout: String,
    stderr: String,
}

impl Failure {
    fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), code: 1, stdout: String::new(), stderr: String::new() }
    }

    /// `ExitBadFeature`.
    fn bad_feature(message: impl Into<String>) -> Failure {
        Failure { code: 4, ..Failure::new(message) }
    }

    /// `ExitBadArgs`.
    fn bad_args(message: impl Into<String>) -> Failure {
        Failure { code: 128, ..Failure::new(message) }
    }
}

impl From<EtcdError> for Failure {
    fn from(error: EtcdError) -> Failure {
        Failure::new(error.to_string())
    }
}

/// One command: the words that name it, and the flags that it knows beside the global ones.
struct Command {
    words: &'static [&'static str],
    flags: &'static [Flag],
}

const COMMANDS: &[Command] = &[
    Command { words: &["put"], flags: kv::PUT_FLAGS },
    Command { words: &["get"], flags: kv::GET_FLAGS },
    Command { words: &["del"], flags: kv::DEL_FLAGS },
    Command { words: &["compaction"], flags: &[Flag::switch("physical")] },
    Command { words: &["member", "add"], flags: admin::ADD_FLAGS },
    Command { words: &["member", "remove"], flags: &[] },
    Command { words: &["member", "promote"], flags: &[] },
    Command { words: &["member", "update"], flags: admin::UPDATE_FLAGS },
    Command { words: &["move-leader"], flags: &[] },
    Command { words: &["alarm", "list"], flags: &[] },
    Command { words: &["alarm", "disarm"], flags: &[] },
    Command { words: &["defrag"], flags: &[Flag::switch("cluster")] },
    Command { words: &["endpoint", "hashkv"], flags: admin::HASHKV_FLAGS },
    Command { words: &["lease", "grant"], flags: &[] },
    Command { words: &["lease", "revoke"], flags: &[] },
    Command { words: &["lease", "timetolive"], flags: &[Flag::switch("keys")] },
    Command { words: &["lease", "keep-alive"], flags: &[Flag::switch("once")] },
    Command { words: &["lease", "list"], flags: &[] },
    Command { words: &["endpoint", "status"], flags: &[Flag::switch("cluster")] },
    Command { words: &["endpoint", "health"], flags: &[Flag::switch("cluster")] },
    Command { words: &["member", "list"], flags: &[] },
];

/// Runs one command: `["put", "foo", "bar"]`, `["get", "/registry", "--prefix", "--keys-only"]`. A leading
/// `etcdctl` is skipped.
pub fn run<'a>(client: &'a Client, args: &'a [&'a str]) -> BoxFuture<'a, CtlOutput> {
    Box::pin(async move {
        match dispatch(client, args).await {
            Ok(stdout) => CtlOutput { stdout, stderr: String::new(), code: 0 },
            Err(Failure { message, code, stdout, mut stderr }) => {
                if !message.is_empty() {
                    stderr.push_str(&format!("Error: {message}\n"));
                }
                CtlOutput { stdout, stderr, code }
            }
        }
    })
}

async fn dispatch(client: &Client, args: &[&str]) -> Result<String, Failure> {
    let args = args.strip_prefix(&["etcdctl"]).unwrap_or(args);
    let (command, args) = Args::parse(COMMANDS, args)?;
    let client = args.client(client)?;
    match command.words {
        ["put"] => kv::put(&client, &args).await,
        ["get"] => kv::get(&client, &args).await,
        ["del"] => kv::del(&client, &args).await,
        ["compaction"] => kv::compaction(&client, &args).await,
        ["lease", "grant"] => lease::grant(&client, &args).await,
        ["lease", "revoke"] => lease::revoke(&client, &args).await,
        ["lease", "timetolive"] => lease::time_to_live(&client, &args).await,
        ["lease", "keep-alive"] => lease::keep_alive(&client, &args).await,
        ["lease", "list"] => lease::list(&client, &args).await,
        ["endpoint", "status"] => members::status(&client, &args).await,
        ["endpoint", "health"] => members::health(&client, &args).await,
        ["member", "list"] => members::list(&client, &args).await,
        ["member", "add"] => admin::member_add(&client, &args).await,
        ["member", "remove"] => admin::member_remove(&client, &args).await,
        ["member", "promote"] => admin::member_promote(&client, &args).await,
        ["member", "update"] => admin::member_update(&client, &args).await,
        ["move-leader"] => admin::move_leader(&client, &args).await,
        ["alarm", "list"] => admin::alarm_list(&client, &args).await,
        ["alarm", "disarm"] => admin::alarm_disarm(&client, &args).await,
        ["defrag"] => admin::defrag(&client, &args).await,
        ["endpoint", "hashkv"] => admin::hash_kv(&client, &args).await,
        words => unreachable!("{words:?} is in the list of commands"),
    }
}
