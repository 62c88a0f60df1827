//! `etcdctl`: one command of etcdctl, with etcd's own module for it.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Step, StepFailure, StepResult, StepVerb, text_verb};
use crate::run::Run;
use crate::words;

text_verb! {
    /// `etcdctl: put foo bar`
    Etcdctl, {"type": "string", "format": "command"}
}

impl StepVerb for Etcdctl {
    fn run<'a>(&'a self, run: &'a Arc<Run>, _: &'a Step) -> BoxFuture<'a, StepResult> {
        Box::pin(async move {
            let words = words::split(&self.0)?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let output = labkit_cluster::etcd::ctl::run(&run.cluster.etcd_client("etcdctl"), &words).await;
            match output.code {
                0 => Ok(output.stdout.trim_end().to_owned()),
                _ => Err(StepFailure {
                    output: output.stdout.trim_end().to_owned(),
                    error: output.stderr.trim_end().to_owned(),
                }),
            }
        })
    }

    fn command(&self) -> String {
        format!("etcdctl {}", self.0)
    }
}
