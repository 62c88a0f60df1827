//! The command line. The doc comments are its help, in English; `help` adds the examples, the groups and the
//! Korean.

mod etcd;
mod grade;
mod raft;
mod up;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use etcd::{ClusterState, CompactionMode, EtcdArguments};
pub use grade::{GradeArguments, GradeFormat, GradeOn, WorkerArguments};
pub use raft::{RaftArguments, RaftVerb};
pub use up::UpArguments;

/// Labs on how Kubernetes works inside: real kubectl and etcdctl against a control plane that boots at once.
#[derive(Debug, Parser)]
#[command(name = "labkit", version, disable_help_subcommand = false, infer_subcommands = false)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The course's folder [default: the nearest labs/course.yaml upwards, else the built-in course].
    #[arg(long, global = true, value_name = "DIR")]
    pub course: Option<PathBuf>,
    /// The language, en or ko [default: from LANG].
    #[arg(long, global = true, value_enum, value_name = "LANGUAGE", hide_possible_values = true)]
    pub lang: Option<LanguageTag>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours; NO_COLOR=1 says the same.
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// A language, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LanguageTag {
    En,
    Ko,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// See it all in 60 seconds, without kubectl.
    ///
    /// Boots a control plane with three etcd members, kills their leader while somebody writes, shows what
    /// the members then said to each other, and explains one red check. Begin here.
    Tour(TourArguments),
    /// Start a lab: its own control plane, for your own kubectl and etcdctl.
    ///
    /// The control plane runs in the background until `labkit stop`, also when this terminal closes. Prints
    /// the lines that point kubectl and etcdctl at it, and the first task. Your ~/.kube/config is left alone.
    Start(StartArguments),
    /// Check the running lab: done, not yet, and why.
    ///
    /// Run it as often as you like; what it says about a red check tells you what to look at. Lists the
    /// questions that are still open, too.
    Check(LiveArguments),
    /// Check all the time, as you work.
    ///
    /// Shows what is done, what not yet and why, and checks again whenever something happens in the lab. Keep it
    /// open in a terminal of its own; Ctrl-C leaves, and the lab goes on. Elsewhere than on a terminal it prints a
    /// line for each change; with --json, a document a line.
    Watch(LiveArguments),
    /// Get the next hint for what is still red.
    ///
    /// Each call gives one more, from a nudge to nearly the answer.
    Hint(LiveArguments),
    /// Answer a question of the lab.
    ///
    /// Some tasks ask for what you found out. Without an ID, lists the questions.
    Answer(AnswerArguments),
    /// Break something, or heal it.
    ///
    /// Without a verb, lists what is broken and what there is to break. TARGET is a name such as etcd/etcd1,
    /// scheduler, kubelet/worker2 or node/worker2 (its power), or a role: etcd/leader. LINK is two groups:
    /// "etcd1 | etcd2, etcd3".
    Fault(FaultArguments),
    /// Let time pass at once.
    ///
    /// Every timer on the way fires in its order, so "NotReady after 40 s" needs no waiting. Without a
    /// duration, tells the lab's time.
    Clock(ClockArguments),
    /// Stop the lab's time.
    ///
    /// What you ask is still answered, but no timer fires: no heartbeat, no lease that expires, no retry. Go on
    /// with `labkit step` or `labkit resume`.
    Pause(LiveArguments),
    /// Let a little time pass while it is stopped.
    ///
    /// One second without a duration. Every timer on the way fires in its order; then time stands again.
    Step(StepArguments),
    /// Let the lab's time run again.
    Resume(LiveArguments),
    /// See the store in slow motion: Raft, one message at a time.
    ///
    /// Without a verb, shows each member's role, term, last index, committed and applied index. While messages are
    /// held, time stands: nobody is elected unless you let time pass with `labkit step`, and a write waits until
    /// you have delivered what it takes.
    Raft(RaftArguments),
    /// See what happened, message by message.
    ///
    /// Tells the running lab, else the last run: who said what to whom, and what broke, without heartbeats. With
    /// --at, shows the store, or an object, as it was at a revision: etcd keeps them all until they are compacted.
    Timeline(TimelineArguments),
    /// What runs, where it listens, how far you are.
    Status(LiveArguments),
    /// Begin the running lab anew, with a fresh cluster.
    ///
    /// Ports and files stay, so that your terminals go on to work. What you did is gone; your best points in the
    /// course stay.
    Reset(LiveArguments),
    /// Keep the running lab's state, to come back to it.
    ///
    /// Notes everything that was done so far. `labkit restore` brings the lab back to this moment, as often as you
    /// like, also after `labkit stop`: try something, and undo it.
    Snapshot(SnapshotArguments),
    /// Bring the running lab back to a snapshot.
    ///
    /// Begins the lab anew and does what the snapshot tells again, after the same times, as fast as it goes. Ports
    /// and files stay, so that your terminals go on to work. What chance decides, such as names that are generated,
    /// may come out differently.
    Restore(RestoreArguments),
    /// Write what you did as a submission, to hand in.
    ///
    /// Your writes, faults and answers go into DIR/submission.yaml with their times. `labkit run LAB
    /// --submission DIR` grades it as your instructor will.
    Submit(SubmitArguments),
    /// End the running lab.
    ///
    /// Ends the control plane and removes its files. Submit first if you want to keep what you did.
    Stop(StopArguments),
    /// Run a cluster without a lab, in this terminal.
    ///
    /// For your own experiments, and for test suites that want an API server. The flags are kube-apiserver's, as far
    /// as they are served. Prints the line that points kubectl at it; Ctrl-C ends it and removes its files.
    Up(UpArguments),
    /// Grade a submission in virtual time, in milliseconds.
    ///
    /// Without a flag it grades start/, what a student begins with: it shows every check in red. The same
    /// lab, submission and seed give the same report, byte for byte.
    Run(RunArguments),
    /// Grade a class: every submission in a folder, all cores at work.
    ///
    /// DIR has one folder a student, named after the student, with submission.yaml in it (or in a folder named
    /// after the lab, as `labkit submit` writes it). The name draws the student's variants and all chance of the
    /// run, so grading again gives the same, however many jobs run. Submissions are data: each is read and played
    /// in a process of its own rights, within bounds of time and memory. One that breaks these costs its own points
    /// only, and its report says so. With --out, each report is written as soon as it is done: Ctrl-C or a full
    /// disk loses nothing that was done before, and --resume goes on from there.
    ///
    /// Ends with 0 when every submission got a grade, whatever it is; with 1 when some got none, because they went
    /// over their limits or grading was interrupted; with 2 when the command or the lab is wrong; with 3 when
    /// labkit itself failed on one.
    Grade(GradeArguments),
    /// Prove that labs are right.
    ///
    /// Checks every file, then grades: start/ must score below full, solution/ full marks, each of wrong/
    /// must fail exactly the checks that it names, and all of it the same over several seeds. No check may pass
    /// on an empty cluster. Then it spoils the solution, one mistake at a time, and lists the mistakes that
    /// cost no points.
    Lint(LintArguments),
    /// Write the course for students, without solutions.
    ///
    /// A folder to hand out: the labs (those that are named, else all) with their texts and what students begin
    /// with, but without solution/ and wrong/. In it, `labkit start LAB` plays them.
    Pack(PackArguments),
    /// Begin something new: a lab.
    #[command(subcommand)]
    New(NewCommand),
    /// Write the JSON Schemas of lab files, for your editor.
    ///
    /// Writes them to the schemas/ folder beside labs/. With --check, only says whether they are up to date.
    Schema(SchemaArguments),
    /// Run one etcd member in this terminal, with etcd's flags.
    ///
    /// Three terminals, or three machines, make a cluster: give each its own --name and URLs, and all the same
    /// --initial-cluster. Stock etcdctl works against it. Every write is on the disks of a majority before it is
    /// acknowledged: kill a member as you like, and start it again with the same command line. It then reads its log
    /// and its last snapshot from the data directory; the --initial... flags count only the first time. Ctrl-C ends it.
    Etcd(EtcdArguments),
    /// Build the course as a book, or serve it.
    #[cfg(feature = "book")]
    #[command(subcommand)]
    Book(BookCommand),
    /// Run a lab's control plane; `start` calls it.
    #[command(hide = true)]
    Daemon(StartArguments),
    /// Grade what the grader orders; `grade` calls it.
    #[command(hide = true)]
    GradeWorker(WorkerArguments),
}

#[derive(Debug, Args)]
pub struct TourArguments {
    /// Print it all at once, without pauses.
    #[arg(long)]
    pub fast: bool,
}

#[derive(Debug, Clone, Args)]
pub struct StartArguments {
    /// A lab's name, its number such as 2.4, or the path of its folder.
    pub lab: String,
    /// Stay in this terminal; Ctrl-C ends the lab.
    #[arg(long)]
    pub foreground: bool,
    /// Whose variants the lab has, the same as when this student is graded [default: LABKIT_STUDENT, else those of `labkit run`].
    #[arg(long, value_name = "ID", conflicts_with = "snapshot")]
    pub student: Option<String>,
    /// Begin where a snapshot was taken.
    #[arg(long, value_name = "NAME")]
    pub snapshot: Option<String>,
}

#[derive(Debug, Args)]
pub struct SnapshotArguments {
    /// The snapshot's name; one of the same name is replaced.
    #[arg(value_name = "NAME", default_value = "last")]
    pub snapshot: String,
    #[command(flatten)]
    pub which: WhichLab,
}

#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The snapshot's name.
    #[arg(value_name = "NAME", default_value = "last")]
    pub snapshot: String,
    /// List the running lab's snapshots instead.
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub which: WhichLab,
}

#[derive(Debug, Args)]
pub struct PackArguments {
    /// Labs: names or numbers such as 2.4 [default: all].
    #[arg(value_name = "LAB")]
    pub labs: Vec<String>,
    /// Leave solutions and wrong submissions out; there is no other kind of package.
    #[arg(long, required = true)]
    pub student: bool,
    /// The folder to write, which must not be there yet.
    #[arg(long, value_name = "DIR", default_value = "labkit-student")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct LiveArguments {
    #[command(flatten)]
    pub which: WhichLab,
}

/// Which of the running labs.
#[derive(Debug, Clone, Args)]
pub struct WhichLab {
    /// The running lab, when there are several [default: LABKIT_LAB, else the only one].
    #[arg(long = "lab", value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct AnswerArguments {
    /// The question's id, as `labkit check` shows it.
    #[arg(requires = "value")]
    pub id: Option<String>,
    /// What you found: a word, a number, or a JSON value.
    #[arg(allow_hyphen_values = true)]
    pub value: Option<String>,
    #[command(flatten)]
    pub which: WhichLab,
}

#[derive(Debug, Args)]
#[command(subcommand_help_heading = "Verbs", subcommand_value_name = "VERB", disable_help_subcommand = true)]
pub struct FaultArguments {
    #[command(subcommand)]
    pub verb: Option<FaultVerb>,
    #[command(flatten)]
    pub which: WhichLab,
}

/// What to break. The names are those of lab files, written as commands are.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum FaultVerb {
    /// End a process at once, as SIGKILL does. Its disk stays.
    Kill {
        /// A component: etcd/leader, etcd/etcd1, apiServer, scheduler, kubelet/worker1.
        target: String,
    },
    /// Freeze a process, as SIGSTOP does.
    Pause {
        /// A component: etcd/leader, etcd/etcd1, apiServer, scheduler, kubelet/worker1.
        target: String,
    },
    /// Cut a machine's power: node/worker2.
    PowerOff {
        /// A machine: node/worker1.
        target: String,
    },
    /// Kill an etcd member and lose what it had not synced to its disk.
    PowerLoss {
        /// A member of the store: etcd/leader, etcd/etcd1.
        target: String,
    },
    /// Let nothing pass between groups: "etcd1 | etcd2, etcd3".
    Partition {
        /// Two groups or more: "etcd1 | etcd2, etcd3".
        link: String,
    },
    /// Make messages between groups late by a duration.
    Delay {
        /// Two groups or more: "etcd1 | etcd2, etcd3".
        link: String,
        /// A duration: 200ms, 1s.
        by: String,
    },
    /// Lose messages between groups with a probability from 0 to 1.
    Drop {
        /// Two groups or more: "etcd1 | etcd2, etcd3".
        link: String,
        /// How likely each is lost: 0.3.
        probability: f64,
    },
    /// Make each sync of an etcd member's disk take that long.
    SlowDisk {
        /// A member of the store: etcd/leader, etcd/etcd1.
        target: String,
        /// A duration: 200ms, 1s.
        by: String,
    },
    /// Let an etcd member's disk take no more.
    FullDisk {
        /// A member of the store: etcd/leader, etcd/etcd1.
        target: String,
    },
    /// Flip a byte in an etcd member's log: it shows when the member starts the next time.
    CorruptByte {
        /// A member of the store: etcd/leader, etcd/etcd1.
        target: String,
    },
    /// Set a component's clock ahead or behind: its dates are wrong, its timers are not.
    ClockSkew {
        /// A component: etcd/leader, etcd/etcd1, apiServer, scheduler, kubelet/worker1.
        target: String,
        /// How far: 10m, -30s.
        #[arg(allow_hyphen_values = true)]
        by: String,
    },
    /// Take a fault back: the one with that ID, or all.
    Heal {
        /// As `labkit fault` lists it [default: all].
        id: Option<String>,
    },
    /// Stop a component in good order, until `fault start`.
    Stop {
        /// A component: etcd/leader, etcd/etcd1, apiServer, scheduler, kubelet/worker1.
        target: String,
    },
    /// Start a component that was stopped or killed.
    Start {
        /// A component: etcd/leader, etcd/etcd1, apiServer, scheduler, kubelet/worker1.
        target: String,
    },
}

#[derive(Debug, Args)]
pub struct ClockArguments {
    /// How far: +40s, +5m, +1h30m.
    pub by: Option<String>,
    #[command(flatten)]
    pub which: WhichLab,
}

#[derive(Debug, Args)]
pub struct StepArguments {
    /// How much time: 1s, 200ms, 1m30s [default: 1s].
    pub by: Option<String>,
    #[command(flatten)]
    pub which: WhichLab,
}

#[derive(Debug, Args)]
pub struct TimelineArguments {
    /// Only what is about an object: pod/web, or key/NAME for a key of etcd.
    #[arg(long, value_name = "KIND/NAME")]
    pub object: Option<String>,
    /// Only what a component said or was told: scheduler, etcd1, worker1.
    #[arg(long, value_name = "NAME")]
    pub component: Option<String>,
    /// The store at this revision, or the object of --object; 0 is now.
    #[arg(long, value_name = "REV", allow_negative_numbers = true, conflicts_with_all = ["component", "format", "limit"])]
    pub at: Option<i64>,
    /// The timeline's form.
    #[arg(long, value_enum)]
    pub format: Option<TimelineFormat>,
    /// How many messages, the latest [default: 60 on a terminal, else all].
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// The last run, also while a lab is running.
    #[arg(long, conflicts_with = "name")]
    pub last: bool,
    #[command(flatten)]
    pub which: WhichLab,
}

/// A timeline's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimelineFormat {
    Text,
    Json,
    #[cfg(feature = "book")]
    Mermaid,
    #[cfg(feature = "book")]
    Html,
}

#[derive(Debug, Subcommand)]
pub enum NewCommand {
    /// Write a lab that already works, to change it into yours.
    ///
    /// A folder with lab.yaml, both READMEs, start/, solution/ and two wrong submissions. `labkit lint` finds
    /// nothing to complain of; then change it, one thing at a time.
    Lab(NewLabArguments),
}

#[derive(Debug, Args)]
pub struct NewLabArguments {
    /// The lab's name: lower case letters, digits and dashes.
    #[arg(value_name = "NAME")]
    pub new_name: String,
    /// The folder in which the lab's folder is made [default: here].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SubmitArguments {
    /// Where to write it [default: a folder named after the lab, here].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace a submission that is already there.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub which: WhichLab,
}

#[derive(Debug, Args)]
pub struct StopArguments {
    /// End every running lab.
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
    #[command(flatten)]
    pub which: WhichLab,
}

#[derive(Debug, Args)]
pub struct RunArguments {
    /// Labs: names, numbers such as 2.4, or paths of their folders.
    #[arg(required = true, value_name = "LAB")]
    pub labs: Vec<String>,
    /// Grade the reference solution.
    #[arg(long, conflicts_with = "submission")]
    pub solution: bool,
    /// Grade this submission: a folder with submission.yaml.
    #[arg(long, value_name = "DIR")]
    pub submission: Option<PathBuf>,
    /// The seed of all chance in the run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Grade as for this student: the same variants and chance as in `labkit grade`.
    #[arg(long, value_name = "ID", conflicts_with = "seed")]
    pub student: Option<String>,
    /// Write the report to this file too; JSON unless --format says otherwise.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// The report's form.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
}

/// A report's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Junit,
    Markdown,
}

#[derive(Debug, Args)]
pub struct LintArguments {
    /// Folders of labs or of a course [default: the whole course].
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How many seeds to grade over.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub seeds: u64,
}

#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// Write nothing; end with 1 if a file is not up to date.
    #[arg(long)]
    pub check: bool,
    /// The folder to write to [default: schemas/ beside labs/].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[cfg(feature = "book")]
#[derive(Debug, Subcommand)]
pub enum BookCommand {
    /// Grade the course and write it as a book.
    ///
    /// Grades each lab's reference solution and puts what really happened into the book: results, diagrams,
    /// timelines. The book opens without a network.
    Build(BookBuildArguments),
    /// Build the book and show it on a local port.
    ///
    /// The page of a lab that runs on this machine shows its checks and its messages as they happen.
    Serve(BookServeArguments),
    /// Be mdBook's preprocessor, for plain `mdbook build book`.
    Preprocess(BookPreprocessArguments),
}

#[cfg(feature = "book")]
#[derive(Debug, Args)]
pub struct BookBuildArguments {
    /// Where the book goes [default: target/book in a checkout, else labkit-book].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[cfg(feature = "book")]
#[derive(Debug, Args)]
pub struct BookServeArguments {
    #[command(flatten)]
    pub build: BookBuildArguments,
    /// The port on 127.0.0.1; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    pub port: u16,
}

#[cfg(feature = "book")]
#[derive(Debug, Args)]
pub struct BookPreprocessArguments {
    #[command(subcommand)]
    pub question: Option<PreprocessQuestion>,
}

/// What mdBook asks before it sends the book.
#[cfg(feature = "book")]
#[derive(Debug, Subcommand)]
pub enum PreprocessQuestion {
    /// Whether a renderer is supported, by the exit code.
    Supports { renderer: String },
}
