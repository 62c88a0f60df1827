//! What `labkit grade` takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct GradeArguments {
    /// A lab's name, its number such as 2.4, or the path of its folder.
    pub lab: String,
    /// The class: a folder of submissions, one folder a student; or one submission.
    pub dir: PathBuf,
    /// How many are graded at the same time [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=512))]
    pub jobs: Option<u64>,
    /// What is printed.
    #[arg(long, value_enum)]
    pub format: Option<GradeFormat>,
    /// Write a report a student and a summary into this folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Keep the grades that --out has already, if the lab is still the same; delete a report to grade it again.
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Whose submission it is, where DIR is one.
    #[arg(long, value_name = "ID")]
    pub student: Option<String>,
    /// Grade elsewhere: write a Job for a Kubernetes cluster, which grades the class in several pods.
    #[arg(long, value_enum, requires = "image", conflicts_with_all = ["out", "resume", "student", "format"])]
    pub on: Option<GradeOn>,
    /// With --on: the container image that has labkit as its entrypoint.
    #[arg(long, value_name = "IMAGE", requires = "on")]
    pub image: Option<String>,
    /// With --on: the PersistentVolumeClaim that holds the class in submissions/ and gets grades/.
    #[arg(long, value_name = "NAME", requires = "on", default_value = "labkit-class")]
    pub claim: String,
    /// Into how many parts the class is cut; without --on, grade the part of JOB_COMPLETION_INDEX.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub shards: Option<u64>,
    /// Run the scripts of submissions that have one, in a sandbox without a network; needs bubblewrap.
    #[arg(long, conflicts_with = "on")]
    pub allow_scripts: bool,
    /// Believe only the replayed run, not what a student's own run is said to have shown.
    #[arg(long)]
    pub replay_only: bool,
    /// Seconds of processor time that one submission may use.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub time_limit: u64,
    /// MiB of memory that one submission may use.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=65_536))]
    pub memory: u64,
    /// Seconds that an answer may take [default: four times the time limit, and 30].
    #[arg(long, value_name = "SECONDS", hide = true)]
    pub patience: Option<u64>,
    /// Submissions that one process grades before a fresh one takes over.
    #[arg(long, value_name = "N", hide = true, default_value_t = 200)]
    pub renewed_after: usize,
}

/// Where to grade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GradeOn {
    Kubernetes,
}

/// What `grade` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GradeFormat {
    Text,
    Json,
    Junit,
    Csv,
    Markdown,
    Gradescope,
}

#[derive(Debug, Args)]
pub struct WorkerArguments {
    pub lab: String,
    #[arg(long)]
    pub time_limit: u64,
    #[arg(long)]
    pub memory: u64,
}
