//! `load`: a writer in the background.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, StepResult, StepVerb};
use crate::run::Run;
use crate::span::{Rate, Span};
use crate::text::{Text, text};
use crate::words;

/// `load: {rate: 100/s, etcdctl: "put seq ${n}"}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LoadStep {
    /// How many writes per second are begun. One at a time is under way: a slow answer makes them fewer.
    pub rate: Rate,
    /// How many writes are made; the writer stops then, or when a step stops it.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1, max = 100_000))]
    pub total: u32,
    /// How long a write waits for its answer; then its outcome is unknown. etcdctl waits 5s.
    #[serde(default = "five_seconds")]
    pub timeout: Span,
    /// The write: a `put` of etcdctl, where ${n} counts from 1.
    #[schemars(extend("format" = "command"))]
    pub etcdctl: String,
}

fn ten_thousand() -> u32 {
    10_000
}

fn five_seconds() -> Span {
    Span::seconds(5)
}

impl LoadStep {
    /// The key and the value of write number `n`. The loader has seen that it is a `put`.
    pub(crate) fn write(&self, n: u32) -> Result<(String, String), Text> {
        write_of(&self.etcdctl.replace("${n}", &n.to_string()))
    }
}

/// The key and the value of `put KEY VALUE`.
pub(crate) fn write_of(command: &str) -> Result<(String, String), Text> {
    match words::split(command)?.as_slice() {
        [put, key, value] if put == "put" => Ok((key.clone(), value.clone())),
        _ => Err(text!(
            "a load writes with `put KEY VALUE`, not with `{command}`",
            "부하는 `put KEY VALUE` 로 씁니다. `{command}` 로는 쓰지 못합니다"
        )),
    }
}

impl StepVerb for LoadStep {
    fn run<'a>(&'a self, run: &'a Arc<Run>, step: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let id = step.id.as_deref().ok_or("a load needs an id")?;
            run.start_load(id, self)?;
            Ok(format!("writing {} as load/{id}", self.rate))
        })
    }

    fn command(&self) -> String {
        format!("# {} in the background: etcdctl {}", self.rate, self.etcdctl)
    }
}
