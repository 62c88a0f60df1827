//! What expressions see of a run. Only what an expression names is looked up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use labkit_cluster::etcd::MemberStatus;
use labkit_expr::Expression;
use labkit_sim::ComponentState;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::Run;
use crate::cel::Condition;

/// The variables that every expression may use, for messages and the loader.
pub(crate) const VARIABLES: &[&str] = &["answers", "elapsed", "etcd", "faults", "load"];

/// How often a condition on `elapsed` is looked at, for want of news.
const TICK: Duration = Duration::from_millis(100);

impl Run {
    /// The variables that an expression names.
    pub(crate) async fn variables(&self, condition: &Condition) -> Result<BTreeMap<String, Value>, String> {
        let mut variables = BTreeMap::new();
        for name in condition.cel.expression().variables() {
            if let Some(key) = condition.history.get(name) {
                variables.insert(name.clone(), self.history(key).await?);
                continue;
            }
            let value = match (name.as_str(), condition.objects.get(name)) {
                (_, Some(object)) => object.bound(&self.grader()?).await?,
                ("answers", _) => json!(self.answers()),
                ("elapsed", _) => json!(self.since_task_began(self.now())),
                ("etcd", _) => self.etcd_value(condition.cel.expression()),
                ("faults", _) => self.faults_value(),
                ("load", _) => self.load_table(),
                _ => continue,
            };
            variables.insert(name.clone(), value);
        }
        Ok(variables)
    }

    pub(crate) async fn evaluate(&self, condition: &Condition) -> Result<Value, String> {
        evaluate(condition, &self.variables(condition).await?)
    }

    /// Waits until a condition holds, at most that long; then says why it does not.
    pub(crate) async fn holds_within(&self, condition: &Condition, at_most: Duration) -> Result<(), String> {
        let deadline = Instant::now() + at_most;
        let ticks = condition.cel.expression().variables().iter().any(|name| name == "elapsed");
        let mut last = None;
        loop {
            let seen = self.pulse.count();
            // Most news changes nothing that the condition sees.
            let variables = self.variables(condition).await;
            let held = match last.take() {
                Some((before, held)) if before == variables => held,
                _ => variables.clone().and_then(|variables| judge(condition, &variables)),
            };
            if held == Ok(true) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(held.err().unwrap_or_else(|| "it is false".to_owned()));
            }
            last = Some((variables, held));
            self.news(seen, deadline, ticks).await;
        }
    }

    /// Waits for news after `seen`, or until the deadline.
    pub(super) async fn news(&self, seen: u64, deadline: Instant, ticks: bool) {
        let until = if ticks { deadline.min(Instant::now() + TICK) } else { deadline };
        tokio::select! {
            biased;
            () = self.pulse.after(seen) => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    pub(super) fn pulses(&self) -> u64 {
        self.pulse.count()
    }

    fn since_task_began(&self, at: Duration) -> f64 {
        let millis = at.saturating_sub(self.began().at).as_millis();
        millis as f64 / 1000.0
    }

    /// The store as an expression sees it, without the fields that it does not read.
    fn etcd_value(&self, expression: &Expression) -> Value {
        let members = self.cluster.etcd().members();
        let leader = self.cluster.etcd().leader();
        let running = || members.iter().filter(|member| member.state == ComponentState::Running);
        let leader_id = leader.as_ref().and_then(|name| members.iter().find(|member| member.name == *name));
        let mut fields = Map::new();
        let mut put = |name: &str, value: &dyn Fn() -> Value| {
            if expression.reads("etcd", name) {
                fields.insert(name.to_owned(), value());
            }
        };
        put("leader", &|| {
            let id = leader_id.map(|member| hexadecimal(member.id)).unwrap_or_default();
            json!({"name": leader.clone().unwrap_or_default(), "id": id})
        });
        let shown = |member: &MemberStatus| {
            json!({
                "name": member.name,
                "id": hexadecimal(member.id),
                "running": member.state == ComponentState::Running,
                "isLeader": member.is_leader,
                "role": member.role,
                "term": member.term,
                "lastIndex": member.raft_index,
                "commitIndex": member.commit_index,
                "appliedIndex": member.applied_index,
                "revision": member.revision,
            })
        };
        put("members", &|| members.iter().map(shown).collect());
        put("term", &|| json!(running().map(|member| member.term).max().unwrap_or_default()));
        put("revision", &|| json!(running().map(|member| member.revision).max().unwrap_or_default()));
        put("termAtTaskStart", &|| json!(self.began().term));
        put("leaderAtTaskStart", &|| json!(self.began().leader.unwrap_or_default()));
        Value::Object(fields)
    }

    fn faults_value(&self) -> Value {
        let faults: Map<String, Value> = self
            .fault_reports()
            .into_iter()
            .filter(|fault| fault.error.is_none())
            .map(|fault| {
                let at = self.since_task_began(Duration::from_millis(fault.at_ms));
                let healed =
                    fault.healed_ms.map(|healed| self.since_task_began(Duration::from_millis(healed)));
                // A target without its kind, too: what etcdctl and kubectl call it.
                let name = fault.target.rsplit('/').next().unwrap_or_default().to_owned();
                (fault.id, json!({"target": fault.target, "name": name, "at": at, "healedAt": healed}))
            })
            .collect();
        Value::Object(faults)
    }
}

fn evaluate(condition: &Condition, variables: &BTreeMap<String, Value>) -> Result<Value, String> {
    condition.cel.expression().eval(variables).map_err(|error| error.to_string())
}

/// Whether a condition holds; the reason where it cannot be told.
fn judge(condition: &Condition, variables: &BTreeMap<String, Value>) -> Result<bool, String> {
    match evaluate(condition, variables)? {
        Value::Bool(holds) => Ok(holds),
        other => Err(format!("the expression gives {other}, not true or false")),
    }
}

/// An id as etcdctl prints it.
fn hexadecimal(id: u64) -> String {
    format!("{id:x}")
}

/// Keeps the borrow checker's promise that a run can be shared by tasks.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Run>>();
};
