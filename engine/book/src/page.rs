//! What the templates see: the course, its labs and a run of each, in one language and in display order.
//! Nothing here knows the lab engine; `from_lab` fills it in.

use serde::Serialize;
use serde_json::Value;

/// The languages of the book: the folder of each under `src/` and in the built book, and its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    En,
    Ko,
}

impl Language {
    pub const ALL: [Language; 2] = [Language::En, Language::Ko];

    /// The BCP 47 tag, which is also the folder's name.
    pub fn tag(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Ko => "ko",
        }
    }

    /// What the language calls itself.
    pub fn name(self) -> &'static str {
        match self {
            Language::En => "English",
            Language::Ko => "한국어",
        }
    }

    /// The language of a tag such as `ko` or `ko-KR`; English for any other.
    pub fn of_tag(tag: &str) -> Language {
        if tag.to_ascii_lowercase().starts_with("ko") { Language::Ko } else { Language::En }
    }
}

/// The course in one language.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CoursePage {
    pub title: String,
    pub minutes: u64,
    pub points_max: u64,
    pub sessions: Vec<SessionPage>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionPage {
    pub id: String,
    pub title: String,
    pub labs: Vec<LabPage>,
}

/// A lab in one language, with the run of its reference solution where there is one.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabPage {
    /// The lab's name, as on the command line.
    pub id: String,
    /// Its folder under `labs/`: `2-etcd/kill-the-leader`.
    pub folder: String,
    /// With its number in the course: `2.4 Kill the leader mid-write`.
    pub title: String,
    pub minutes: u64,
    pub points_max: u64,
    pub objectives: Vec<String>,
    /// What is booted: `etcd × 3`.
    pub components: Vec<String>,
    pub tasks: Vec<TaskPage>,
    pub run: Option<RunPage>,
    /// The README in this language, with directives.
    #[serde(skip)]
    pub prose: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskPage {
    pub id: String,
    pub title: Option<String>,
    pub points_max: u64,
    pub checks: Vec<CheckPage>,
    pub hints: Vec<HintPage>,
}

/// A hint, numbered from 1 in the order in which a task gives them away; its text is Markdown.
#[derive(Debug, Clone, Serialize)]
pub struct HintPage {
    pub number: usize,
    pub text: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckPage {
    pub id: String,
    pub title: String,
    pub points: u64,
}

/// A graded run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunPage {
    pub points: u64,
    pub points_max: u64,
    /// `passed` with full points.
    pub verdict: &'static str,
    pub seed: u64,
    pub virtual_ms: u64,
    pub rows: Vec<ResultRow>,
    pub faults: Vec<Fault>,
    #[serde(skip)]
    pub acts: Vec<Act>,
    #[serde(skip)]
    pub messages: Vec<Message>,
    /// Messages of a long run that its report does not keep.
    #[serde(skip)]
    pub left_out: usize,
}

/// One check of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultRow {
    pub task: String,
    pub id: String,
    pub title: String,
    pub points: u64,
    pub points_max: u64,
    /// `passed`, `failed`, `skipped`: a key of the words and a class of the style sheet.
    pub verdict: &'static str,
    /// It shows what was expected, beside what was seen.
    pub unmet: bool,
    pub expected: String,
    pub actual: String,
    pub error: Option<String>,
}

/// A fault of a run, with its role resolved.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    pub id: String,
    pub target: String,
    pub at_ms: u64,
    pub healed_ms: Option<u64>,
}

/// Something done to the cluster that is no message: a stop, a start, a step of the clock; or one that came to
/// nothing.
#[derive(Debug, Clone)]
pub struct Act {
    pub at_ms: u64,
    /// What a person would have typed.
    pub command: String,
    pub error: Option<String>,
}

/// One line of the run's timeline: a message, or an event at a component (then `from` equals `to`).
#[derive(Debug, Clone, Default)]
pub struct Message {
    pub id: u64,
    pub at_ms: u64,
    pub from: String,
    pub to: String,
    pub kind: String,
    pub text: String,
    pub cause: Option<u64>,
    /// Heartbeats, lease renewals and what they set off.
    pub noise: bool,
    pub fields: Value,
}

impl LabPage {
    pub fn task(&self, id: &str) -> Option<&TaskPage> {
        self.tasks.iter().find(|task| task.id == id)
    }

    /// The chapter's file in the book, as mdBook names it.
    pub fn chapter(&self) -> String {
        format!("labs/{}/index.md", self.folder)
    }
}
