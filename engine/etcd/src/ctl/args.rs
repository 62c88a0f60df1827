//! A command line as etcdctl reads it: flags anywhere, with `=` or as the next word; `--` ends them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Command, Failure};
use crate::client::Client;

/// A flag without its dashes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    name: &'static str,
    takes_value: bool,
}

impl Flag {
    pub const fn switch(name: &'static str) -> Flag {
        Flag { name, takes_value: false }
    }

    pub const fn value(name: &'static str) -> Flag {
        Flag { name, takes_value: true }
    }
}

const GLOBAL_FLAGS: &[Flag] =
    &[Flag::value("endpoints"), Flag::value("command-timeout"), Flag::value("write-out")];

/// How a command prints its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Simple,
    Fields,
    Json,
    Table,
}

#[derive(Debug)]
pub(super) struct Args {
    flags: BTreeMap<&'static str, String>,
    pub positional: Vec<String>,
}

impl Args {
    /// Finds the command, and sorts what follows into flags and positional arguments.
    pub fn parse<'a>(commands: &'a [Command], args: &[&str]) -> Result<(&'a Command, Args), Failure> {
        // The words of a command come first, but for global flags.
        let words: Vec<&str> = without_flags(args);
        let command = commands.iter().find(|command| words.starts_with(command.words));
        let Some(command) = command else {
            let word = words.first().copied().unwrap_or_default();
            return Err(Failure::new(format!("unknown command {word:?} for \"etcdctl\"")));
        };
        let mut parsed = Args { flags: BTreeMap::new(), positional: Vec::new() };
        let mut rest = args.iter().copied();
        while let Some(word) = rest.next() {
            if word == "--" {
                parsed.positional.extend(rest.by_ref().map(str::to_owned));
            } else if let Some(flag) = word.strip_prefix("--") {
                parsed.flag(command, flag, &mut rest)?;
            } else if let Some(value) = word.strip_prefix("-w") {
                parsed.flag(command, &format!("write-out{value}"), &mut rest)?;
            } else {
                parsed.positional.push(word.to_owned());
            }
        }
        parsed.positional.drain(..command.words.len());
        Ok((command, parsed))
    }

    fn flag<'b>(
        &mut self,
        command: &Command,
        flag: &str,
        rest: &mut impl Iterator<Item = &'b str>,
    ) -> Result<(), Failure> {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let known = GLOBAL_FLAGS.iter().chain(command.flags).find(|flag| flag.name == name);
        let known = known.ok_or_else(|| Failure::new(format!("unknown flag: --{name}")))?;
        let value = match value {
            Some(value) => value,
            None if !known.takes_value => "true",
            None => rest.next().ok_or_else(|| Failure::new(format!("flag needs an argument: --{name}")))?,
        };
        self.flags.insert(known.name, value.to_owned());
        Ok(())
    }

    pub fn is_set(&self, switch: &str) -> bool {
        self.flags.get(switch).is_some_and(|value| value == "true")
    }

    pub fn text(&self, flag: &str) -> Option<&str> {
        self.flags.get(flag).map(String::as_str)
    }

    /// A flag's number; 0 when it is not given.
    pub fn number(&self, flag: &str) -> Result<i64, Failure> {
        let Some(value) = self.flags.get(flag) else { return Ok(0) };
        value.parse().map_err(|_| {
            Failure::new(format!(
                "invalid argument {value:?} for \"--{flag}\" flag: strconv.ParseInt: parsing {value:?}: invalid syntax"
            ))
        })
    }

    /// How to print: one of the formats that the command knows.
    pub fn format(&self, known: &[Format]) -> Result<Format, Failure> {
        let name = self.text("write-out").unwrap_or("simple");
        let format = match name {
            "simple" => Format::Simple,
            "fields" => Format::Fields,
            "json" => Format::Json,
            "table" => Format::Table,
            _ => return Err(Failure::bad_feature("unsupported output format")),
        };
        if known.contains(&format) {
            return Ok(format);
        }
        Err(Failure::bad_feature(format!("{name} not supported as output format")))
    }

    /// The client for this command: at the named endpoints, with the given time.
    pub fn client(&self, client: &Client) -> Result<Client, Failure> {
        let mut client = client.clone();
        if let Some(endpoints) = self.text("endpoints") {
            let members: Result<Vec<u64>, Failure> = endpoints
                .split(',')
                .map(|endpoint| {
                    let member = client.cluster().peer(host_of(endpoint));
                    member.map(|peer| peer.id).map_err(|error| Failure::new(error.to_string()))
                })
                .collect();
            client = client.at(members?);
        }
        if let Some(timeout) = self.text("command-timeout") {
            let deadline = go_duration(timeout).ok_or_else(|| {
                Failure::new(format!(
                    "invalid argument {timeout:?} for \"--command-timeout\" flag: time: invalid duration {timeout:?}"
                ))
            })?;
            client = client.with_deadline(deadline);
        }
        Ok(client)
    }
}

/// The positional words, as far as that can be said before the command is known.
fn without_flags<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut words = Vec::new();
    let mut rest = args.iter().copied();
    while let Some(word) = rest.next() {
        if !word.starts_with('-') {
            words.push(word);
        } else if word == "-w" || GLOBAL_FLAGS.iter().any(|flag| word.strip_prefix("--") == Some(flag.name)) {
            rest.next();
        }
    }
    words
}

/// `etcd1` of `https://etcd1:2379`.
fn host_of(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    rest.split_once(':').map_or(rest, |(host, _)| host)
}

/// `5s`, `1m30s`, `500ms`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let seconds = match &rest[digits..digits + letters] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number * seconds).ok()?;
        rest = &rest[digits + letters..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_duration(text: &str, millis: Option<u64>) {
        assert_eq!(go_duration(text), millis.map(Duration::from_millis), "{text}");
    }

    #[test]
    fn durations_are_read_as_in_go() {
        check_duration("5s", Some(5000));
        check_duration("1m30s", Some(90_000));
        check_duration("1.5s", Some(1500));
        check_duration("500ms", Some(500));
        check_duration("5", None);
        check_duration("", None);
    }

    #[test]
    fn an_endpoint_names_its_member() {
        assert_eq!(["etcd1", "etcd1:2379", "https://etcd1:2379"].map(host_of), ["etcd1"; 3]);
    }
}
