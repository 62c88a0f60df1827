//! Steps: what is done in a lab, by its setup or by a submission. One file each, one line in the list.

mod answer;
mod apply;
mod create;
mod delete;
mod etcdctl;
mod fast_forward;
mod fault;
mod heal;
mod load;
mod manifest;
mod patch;
mod raft;
mod replace;
mod scale;
mod start;
mod stop;
mod wait;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::faults::FaultSpec;
use crate::run::Run;
use crate::span::Span;
use crate::text::Text;
use crate::verbs::verbs;

pub use answer::AnswerStep;
pub use apply::Apply;
pub use create::Create;
pub use delete::Delete;
pub use etcdctl::Etcdctl;
pub use heal::Heal;
pub use load::LoadStep;
pub(crate) use load::write_of;
pub use manifest::Manifest;
pub(crate) use manifest::documents_of as manifest_documents;
pub use patch::{Patch, PatchType};
pub use raft::Raft;
pub use replace::Replace;
pub use scale::Scale;
pub use start::Start;
pub use stop::Stop;
pub use wait::Wait;

/// What a step printed, or why it failed, in the words of the tool that it stands for.
pub(crate) type StepResult = Result<String, StepFailure>;

/// Why a step failed, and what it had printed until then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StepFailure {
    pub output: String,
    pub error: String,
}

impl From<String> for StepFailure {
    fn from(error: String) -> StepFailure {
        StepFailure { output: String::new(), error }
    }
}

impl From<&str> for StepFailure {
    fn from(error: &str) -> StepFailure {
        error.to_owned().into()
    }
}

impl From<Text> for StepFailure {
    fn from(error: Text) -> StepFailure {
        error.en.into()
    }
}

impl From<labkit_cluster::client::Error> for StepFailure {
    fn from(error: labkit_cluster::client::Error) -> StepFailure {
        error.to_string().into()
    }
}

/// Something that a step does.
pub(crate) trait StepVerb: Send + Sync {
    fn run<'a>(&'a self, run: &'a Arc<Run>, step: &'a Step) -> BoxFuture<'a, StepResult>;

    /// What a person would have typed.
    fn command(&self) -> String;
}

verbs! {
    /// One thing that is done: exactly one verb.
    pub struct Step ("step") does StepVerb {
        /// A name, for later steps and for expressions: `load.writer` is the load of the step `writer`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(regex(pattern = "^[a-z][a-z0-9-]*$"))]
        pub id: Option<String>,
        /// The task that the step belongs to. Without it: the same as the step before, at first the first task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub task: Option<String>,
    }
    verbs {
        /// Applies objects, as `kubectl apply -f` does: a three-way merge with what was applied last.
        "apply" apply: apply::Apply,
        /// Creates objects, as `kubectl create -f` does.
        "create" create: create::Create,
        /// Replaces objects, as `kubectl replace -f` does.
        "replace" replace: replace::Replace,
        /// Patches an object, as `kubectl patch` does.
        "patch" patch: Patch,
        /// Deletes an object, as `kubectl delete` does.
        "delete" delete: Delete,
        /// Scales a Deployment or ReplicaSet, as `kubectl scale` does.
        "scale" scale: Scale,
        /// Runs etcdctl with these arguments: put foo bar.
        "etcdctl" etcdctl: etcdctl::Etcdctl,
        /// Injects a fault.
        "fault" fault: FaultSpec,
        /// Takes the fault of that id back: what was killed starts again.
        "heal" heal: heal::Heal,
        /// Stops a component, such as scheduler/0, or a load, as load/ID.
        "stop" stop: stop::Stop,
        /// Starts a component that was stopped.
        "start" start: start::Start,
        /// Lets time pass, or waits for a condition.
        "wait" wait: Wait,
        /// Lets that much time pass at once; in a live lab the world's clock jumps.
        "fastForward" fast_forward: Span,
        /// Writes to the store in the background; every acknowledged write is accounted for.
        "load" load: LoadStep,
        /// Shows the store in slow motion: hold lets the messages between its members wait, {deliver: 1} lets the
        /// oldest arrive and tells term, last index, commit index and applied index of each member, release lets
        /// them go. While they are held, a step that asks the cluster for something does not wait for the answer.
        "raft" raft: Raft,
        /// Answers a question of the lab, at this moment of the run.
        "answer" answer: AnswerStep,
    }
}

/// A verb whose whole value is one text.
macro_rules! text_verb {
    ($(#[$doc:meta])* $Name:ident, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $Name(pub String);

        impl schemars::JsonSchema for $Name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

pub(crate) use text_verb;
