//! When checks are judged. A check is looked at again when there is news, and at its deadline at the latest.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use labkit_sim::Component;
use tokio::time::Instant;

use super::Run;
use crate::checks::{Check, Finding, Timing};
use crate::text::Text;

/// A check's finding and when it was settled.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub finding: Finding,
    pub passed: bool,
    pub at: Duration,
}

/// Looks at a check from now on without ending: for `throughout`, and for `always` and `never` in live play.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// The first finding that broke the promise.
    broken: Arc<Mutex<Option<Judged>>>,
    _component: Component,
}

impl Run {
    /// Judges a check as its timing says, beginning now.
    pub(crate) async fn judge(self: &Arc<Run>, check: &Check) -> Judged {
        let (_, verb) = check.verb();
        match check.timing() {
            Timing::AtTheEnd | Timing::Throughout => self.judged(verb.find(self).await, |holds| holds),
            Timing::Eventually(span) => self.until(check, span.0, |holds| holds).await,
            Timing::Always(span) => self.unless(check, span.0, |holds| !holds).await,
            Timing::Never(span) => {
                let judged = self.unless(check, span.0, |holds| holds).await;
                negated(judged)
            }
        }
    }

    /// Looks at a check once, now.
    pub(crate) async fn look_once(self: &Arc<Run>, check: &Check) -> Judged {
        let (_, verb) = check.verb();
        let finding = verb.find(self).await;
        match check.timing() {
            Timing::Never(_) => negated(self.judged(finding, |holds| !holds)),
            _ => self.judged(finding, |holds| holds),
        }
    }

    /// Watches a check for a finding that breaks its promise.
    pub(crate) fn watch(self: &Arc<Run>, check: &Check) -> Watch {
        let broken = Arc::new(Mutex::new(None));
        let (run, check, slot) = (self.clone(), check.clone(), broken.clone());
        let breaks_when_it_holds = matches!(check.timing(), Timing::Never(_));
        self.grader.spawn(async move {
            let judged = run.unless(&check, Duration::MAX, |holds| holds == breaks_when_it_holds).await;
            *slot.lock().expect("no panic happens under this lock") = Some(judged);
        });
        Watch { broken, _component: self.grader.clone() }
    }

    /// Looks until the finding is as wanted, at most that long.
    async fn until(self: &Arc<Run>, check: &Check, at_most: Duration, wanted: fn(bool) -> bool) -> Judged {
        let judged = self.look(check, at_most, wanted).await;
        let passed = wanted(judged.finding.holds());
        Judged { passed, ..judged }
    }

    /// Looks for a finding that is not wanted, for that long.
    async fn unless(
        self: &Arc<Run>,
        check: &Check,
        during: Duration,
        unwanted: impl Fn(bool) -> bool,
    ) -> Judged {
        let judged = self.look(check, during, &unwanted).await;
        let passed = !unwanted(judged.finding.holds());
        Judged { passed, ..judged }
    }

    /// Looks until `stop` says so of a finding, or for that long; returns the last finding.
    async fn look(self: &Arc<Run>, check: &Check, at_most: Duration, stop: impl Fn(bool) -> bool) -> Judged {
        let (_, verb) = check.verb();
        // Further off than any run lasts, and still a time that the timer can hold.
        const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
        let deadline = Instant::now() + at_most.min(FOREVER);
        loop {
            let seen = self.pulses();
            let finding = verb.find(self).await;
            if stop(finding.holds()) || Instant::now() >= deadline {
                return self.judged(finding, |holds| holds);
            }
            self.news(seen, deadline, mentions_time(check)).await;
        }
    }

    fn judged(&self, finding: Finding, passes: fn(bool) -> bool) -> Judged {
        Judged { passed: passes(finding.holds()), at: self.now(), finding }
    }
}

impl Watch {
    /// What broke the promise, if anything did.
    pub fn broken(&self) -> Option<Judged> {
        self.broken.lock().expect("no panic happens under this lock").clone()
    }
}

/// A `never` reads the other way round.
pub(crate) fn negated(judged: Judged) -> Judged {
    let expected = Text {
        en: format!("never: {}", judged.finding.expected.en),
        ko: format!("한 번도 없어야 함: {}", judged.finding.expected.ko),
    };
    let finding = Finding { expected, ..judged.finding };
    Judged { finding, ..judged }
}

fn mentions_time(check: &Check) -> bool {
    let source = check.cel.as_ref().map(|cel| cel.0.cel.expression().variables());
    source.is_some_and(|names| names.iter().any(|name| name == "elapsed"))
}
