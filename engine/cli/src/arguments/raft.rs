//! The command line of `labkit raft`.

use clap::{Args, Subcommand};

use super::WhichLab;

#[derive(Debug, Args)]
#[command(subcommand_help_heading = "Verbs", subcommand_value_name = "VERB", disable_help_subcommand = true)]
pub struct RaftArguments {
    #[command(subcommand)]
    pub verb: Option<RaftVerb>,
    #[command(flatten)]
    pub which: WhichLab,
}

/// What to do with the messages between the store's members.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum RaftVerb {
    /// Let the messages between the members wait, and time stand.
    Hold,
    /// Let the next message arrive, and see what it changed.
    Deliver {
        /// How many.
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
    },
    /// Let all messages arrive by themselves again, and time run.
    Release,
}
