//! Faults on cue: armed when their task begins, struck at their time or condition, healed on theirs.

use std::sync::Arc;
use std::time::Duration;

use labkit_cluster::Injected;
use tokio::task::JoinHandle;

use super::{Run, millis};
use crate::faults::FaultSpec;
use crate::report::FaultReport;

/// How long a fault waits for its condition.
const CUE_MAX: Duration = Duration::from_secs(600);

/// A fault that has struck, or could not.
#[derive(Debug)]
pub(super) struct Struck {
    verb: &'static str,
    target: String,
    at: Duration,
    healed: Option<Duration>,
    injected: Option<Injected>,
    error: Option<String>,
}

impl Struck {
    pub fn report(&self, id: &str) -> FaultReport {
        FaultReport {
            id: id.to_owned(),
            verb: self.verb.to_owned(),
            target: self.target.clone(),
            at_ms: millis(self.at),
            healed_ms: self.healed.map(millis),
            error: self.error.clone(),
        }
    }
}

impl Run {
    /// Arms the faults of a task. Each handle ends when its fault has struck, or could not.
    pub(crate) fn arm(self: &Arc<Run>, faults: &[FaultSpec]) -> Vec<JoinHandle<()>> {
        faults
            .iter()
            .map(|fault| {
                let (run, fault) = (self.clone(), fault.clone());
                self.grader.spawn(async move {
                    if let Err(error) = run.cue(&fault).await {
                        let struck = Struck { error: Some(error), ..run.unstruck(&fault) };
                        run.locked().faults.insert(fault.id.clone(), struck);
                        return;
                    }
                    if run.strike(&fault).await.is_ok() {
                        run.heal_later(&fault);
                    }
                })
            })
            .collect()
    }

    async fn cue(&self, fault: &FaultSpec) -> Result<(), String> {
        if let Some(condition) = &fault.when {
            let held = self.holds_within(condition, CUE_MAX).await;
            held.map_err(|why| format!("its condition never held: {} ({why})", condition.cel.source()))?;
        }
        if let Some(at) = fault.at {
            // With a condition, the time counts from the moment at which it held.
            let wait =
                if fault.when.is_some() { at.0 } else { (self.began().at + at.0).saturating_sub(self.now()) };
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn unstruck(&self, fault: &FaultSpec) -> Struck {
        let (verb, _) = fault.verb();
        Struck { verb, target: String::new(), at: self.now(), healed: None, injected: None, error: None }
    }

    /// Injects a fault now; returns the target that it met.
    pub(crate) async fn strike(&self, fault: &FaultSpec) -> Result<String, String> {
        if self.locked().faults.get(&fault.id).is_some_and(|struck| struck.injected.is_some()) {
            return Err(format!("the fault {} has struck already", fault.id));
        }
        let (_, verb) = fault.verb();
        let mut struck = self.unstruck(fault);
        let outcome = match self.cluster.inject(&verb.fault()).await {
            Ok(injected) => {
                struck.target = injected.target.clone();
                struck.at = injected.at;
                struck.injected = Some(injected);
                Ok(struck.target.clone())
            }
            Err(error) => {
                struck.error = Some(error.to_string());
                Err(error.to_string())
            }
        };
        self.locked().faults.insert(fault.id.clone(), struck);
        self.pulse.beat();
        outcome
    }

    /// Heals a fault that has struck when its time comes, if it has one.
    pub(crate) fn heal_later(self: &Arc<Run>, fault: &FaultSpec) {
        let after = match (fault.lasts, fault.heal_at) {
            (Some(lasts), _) => lasts.0,
            (None, Some(at)) => (self.began().at + at.0).saturating_sub(self.now()),
            (None, None) => return,
        };
        let (run, id) = (self.clone(), fault.id.clone());
        self.grader.spawn(async move {
            tokio::time::sleep(after).await;
            // It may have been healed by hand meanwhile.
            let _ = run.heal(&id).await;
        });
    }

    /// Takes a fault back; returns whom it had met.
    pub(crate) async fn heal(&self, id: &str) -> Result<String, String> {
        let (injected, target) = {
            let mut state = self.locked();
            let known: Vec<String> = state.faults.keys().cloned().collect();
            let struck = state.faults.get_mut(id).ok_or_else(|| match known.is_empty() {
                true => format!("there is no fault {id} to heal"),
                false => format!("there is no fault {id}; there are {}", known.join(", ")),
            })?;
            (
                struck.injected.take().ok_or_else(|| format!("the fault {id} is not in effect"))?,
                struck.target.clone(),
            )
        };
        injected.heal().await.map_err(|error| error.to_string())?;
        let now = self.now();
        if let Some(struck) = self.locked().faults.get_mut(id) {
            struck.healed = Some(now);
        }
        self.pulse.beat();
        Ok(target)
    }

    /// Stops a component; returns its full name.
    pub(crate) async fn stop(&self, target: &str) -> Result<String, String> {
        let stopped = self.cluster.stop(target).await.map_err(|error| error.to_string())?;
        self.pulse.beat();
        Ok(stopped.to_string())
    }

    /// Starts a component that was stopped; returns its full name.
    pub(crate) async fn start(&self, target: &str) -> Result<String, String> {
        let started = self.cluster.start(target).await.map_err(|error| error.to_string())?;
        self.pulse.beat();
        Ok(started.to_string())
    }

    /// Takes back whatever is still in effect: messages that are held, then faults in the order of the ids.
    pub(crate) async fn heal_all(&self) -> Vec<String> {
        let ids: Vec<String> = self
            .locked()
            .faults
            .iter()
            .filter(|(_, s)| s.injected.is_some())
            .map(|(id, _)| id.clone())
            .collect();
        let mut errors = Vec::new();
        if self.cluster.holds_messages()
            && let Err(error) = self.cluster.release_messages().await
        {
            errors.push(error.to_string());
        }
        for id in ids {
            if let Err(error) = self.heal(&id).await {
                errors.push(format!("heal {id}: {error}"));
            }
        }
        errors
    }
}
