//! `labs/course.yaml`: the course's sessions and their labs, in order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::ApiVersion;
use crate::text::Text;

/// A course: sessions of labs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Course {
    pub api_version: ApiVersion,
    pub kind: CourseKind,
    /// The course's title.
    pub title: Text,
    /// The sessions, in the order in which they are taught.
    #[schemars(length(min = 1))]
    pub sessions: Vec<CourseSession>,
}

/// `Course`, the kind of this file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CourseKind {
    #[default]
    Course,
}

/// One session of a course.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CourseSession {
    /// A short name, unique in the course: session-2.
    #[schemars(regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub id: String,
    /// The session's title.
    pub title: Text,
    /// The folders of its labs, relative to this file: session-2/kill-the-leader.
    #[schemars(length(min = 1))]
    pub labs: Vec<String>,
}
